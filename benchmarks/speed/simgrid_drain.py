"""Let SimGrid drain the flows of a file, as a baseline: ``python simgrid_drain.py FLOWS.npz`` prints times as JSON.

The file has the arrays of :func:`simulator.network.drained` and the ends of every flow. Every flow takes the links that
it has there, all at once and without latency, because SimGrid weighs flows by latency where there is one. Its figures
for TCP (windows, cross traffic) are off, so that it shares links max-min fairly and nothing else.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

try:
    import simgrid
except ImportError as error:
    sys.exit(f"no SimGrid: {error}")

SETTINGS = (
    "network/model:CM02",
    "network/crosstraffic:0",
    "network/TCP-gamma:0",
    "network/bandwidth-factor:1",
    "network/latency-factor:1",
    "network/weight-S:0",
)


def main() -> None:
    """Build the platform, start all flows at once, wait for all."""
    flows = np.load(sys.argv[1])
    engine = simgrid.Engine(["drain", *(f"--cfg={each}" for each in SETTINGS), "--log=root.thresh:critical"])
    zone = simgrid.NetZone.create_full_zone("fabric")
    hosts = [zone.create_host(f"n{node}", 1e9) for node in range(int(flows["nodes"]))]
    links = [
        simgrid.LinkInRoute(zone.create_link(f"l{at}", float(capacity)).set_latency(0.0).seal())
        for at, capacity in enumerate(flows["capacity"])
    ]
    first, link = flows["first"], flows["link"]
    ends = list(zip(flows["source"].tolist(), flows["target"].tolist(), strict=True))
    known = set()
    for flow, (source, target) in enumerate(ends):
        if (source, target) not in known:
            known.add((source, target))
            way = [links[each] for each in link[first[flow] : first[flow + 1]]]
            zone.add_route(hosts[source].netpoint, hosts[target].netpoint, None, None, way, False)  # noqa: FBT003 - takes no names
    zone.seal()
    begun: list[float] = []
    finish: list[float] = []

    def drain() -> None:
        begun.append(time.perf_counter())
        moving = [
            simgrid.Comm.sendto_async(hosts[source], hosts[target], int(volume))
            for (source, target), volume in zip(ends, flows["volume"].tolist(), strict=True)
        ]
        simgrid.Comm.wait_all(moving)
        finish.extend(each.finish_time for each in moving)

    simgrid.Actor.create("drain", hosts[0], drain)
    engine.run()
    print(json.dumps({"seconds": time.perf_counter() - begun[0], "finish_s": finish}))


if __name__ == "__main__":
    main()
