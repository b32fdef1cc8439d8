"""Outputs of nccl-tests in the layouts of several years, with times that are made up."""

from __future__ import annotations

from simulator.collectives import bus_factor, kind_id

TESTS = {
    "all-reduce": ("all_reduce_perf", "sum"),
    "reduce-scatter": ("reduce_scatter_perf", "sum"),
    "all-gather": ("all_gather_perf", "none"),
    "all-to-all": ("alltoall_perf", "none"),
    "broadcast": ("broadcast_perf", "none"),
    "send-recv": ("sendrecv_perf", "sum"),
}
TITLES = ("time", "algbw", "busbw", "#wrong")


def rates(size, time_us, kind, ranks):
    algbw = size / time_us / 1e3
    return algbw, algbw * bus_factor(kind_id(kind), ranks)


def half(size, time_us, kind, ranks, wrong="0"):
    algbw, busbw = rates(size, time_us, kind, ranks)
    return f"  {time_us:7.2f}  {algbw:6.2f}  {busbw:6.2f}  {wrong:>6}"


def devices(ranks, groups=1):
    return [
        f"#  Rank {rank:2d} Group {rank % groups:2d} Pid {4000 + rank:6d} on     node-a device {rank % 8:2d} "
        f"[0000:{rank + 16:02x}:00] NVIDIA H100 80GB HBM3"
        for rank in range(ranks)
    ]


def printed(kind, ranks, times, *, wrong="0", named=True, groups=1, more=(), more_cells="", in_place=True):
    """What nccl-tests 2.17 prints: ``times`` [us] by size [B]."""
    test, redop = TESTS[kind]
    lines = ["# nccl-tests version 2.17.6 nccl-headers=22803 nccl-library=22803"] if named else []
    lines += [f"# Collective test starting: {test}"] if named else []
    lines += [
        "# nThread 1 nGpus 1 minBytes 8 maxBytes 8589934592 step: 2(factor) warmup iters: 1 iters: 20 graph: 0",
        "#",
        "# Using devices",
        *devices(ranks * groups, groups),
        "#",
        "#" + " " * 60 + "out-of-place" + " " * 23 + "in-place",
        "#       size         count      type   redop    root  " + "  ".join([*TITLES, *TITLES, *more]),
        "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)",
    ]
    for size, time_us in times.items():
        row = f"{size:12d}  {size // 4:12d}     float  {redop:>6}      -1"
        row += half(size, time_us, kind, ranks, wrong)
        row += half(size, 0.99 * time_us, kind, ranks, wrong) if in_place else ""
        lines.append(row + more_cells)
    tail = ["# Out of bounds values : 0 OK", "# Avg bus bandwidth    : 201.37", "#"]
    return "\n".join([*lines, *tail, *([f"# Collective test concluded: {test}", ""] if named else [""])])


def printed_of_2019(kind, ranks, times):
    """What nccl-tests 2.0 printed: neither root nor group, ``error`` instead of ``#wrong``, and no name of the test."""
    redop = "     sum" if TESTS[kind][1] == "sum" and kind != "send-recv" else ""
    title = "   redop" if redop else ""
    lines = [
        f"# nThread 1 nGpus {ranks} minBytes 8 maxBytes 134217728 step: 2(factor) warmup iters: 5 iters: 20",
        "#",
        "# Using devices",
        *(
            f"#   Rank {rank:2d} Pid   7093 on     node-b device {rank:2d} [0x{rank:02x}] Tesla V100"
            for rank in range(ranks)
        ),
        "#",
        "#                                                     out-of-place                       in-place",
        f"#       size         count    type{title}     time   algbw   busbw  error     time   algbw   busbw  error",
        "#        (B)    (elements)                     (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)",
    ]
    for size, time_us in times.items():
        error = half(size, time_us, kind, ranks, "2e-07")
        lines.append(f"{size:12d}  {size // 4:12d}   float{redop}{error}{error}")
    return "\n".join([*lines, " Out of bounds values : 0 OK", " Avg bus bandwidth    : 41.7", ""])
