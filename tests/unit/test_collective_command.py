"""``supernode collective`` on its three levels: laws between them, faults, several jobs, what was measured nearest."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

import topologies
from simulator.collectives import KINDS, price
from simulator.collectives.laid import _side_by_side, algorithms_laid, nest_of
from simulator.collectives.schedules.nested import Nest, nested
from simulator.collectives.symbolic import faults as wrong
from simulator.errors import InputError, InternalError
from simulator.faults import Fault, check_joined, damaged, read_fault
from simulator.machine import slice_of, slice_of_shape
from supernode import collective_flow, collective_jobs
from supernode.cli import _run
from supernode.collective_flow import priced_by_flow, wire
from supernode.collective_jobs import levels_of_job
from supernode.collective_sweep import Request, sweep
from supernode.nearest_rows import judged, measured_of, nearest
from tests.support_fabrics import torus

MIB, GIB = 2.0**20, 2.0**30
LEFT_OPEN = Request("all-reduce", "hgx-h100", "64MiB", None, "", "", "", 8, 0)


@pytest.fixture
def answer(monkeypatch, capsys, tmp_path):
    """Run ``supernode collective`` and read its JSON."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> dict:
        monkeypatch.setattr("sys.argv", ["supernode", "collective", *words, "--samples", "8", "--json"])
        assert _run() == 0
        return json.loads(capsys.readouterr().out)

    return run


def flow(kind, size, machine, chips=None, **more):
    """A collective on the flow level."""
    described = topologies.machine(machine)
    shape = more.get("shape", ())
    part = slice_of_shape(described, shape) if shape else slice_of(described, chips or described.chips)
    algorithm = more.pop("algorithm", "")
    return priced_by_flow(kind, size, wire(machine, part, **more), algorithm=algorithm)


def asked(**changes):
    """The answer at the first size of a request."""
    return sweep(dataclasses.replace(LEFT_OPEN, **changes)).answers[0]


# -- flow against closed form

SAME = {
    ("hgx-h100", 8): {
        "all-reduce": ("ring", "halving-doubling", "one-shot", "two-shot", "in-network"),
        "all-gather": ("ring", "pat", "direct"),
        "reduce-scatter": ("ring", "halving-doubling", "direct"),
        "all-to-all": ("direct",),
        "broadcast": ("ring", "direct"),
        "send-recv": ("direct",),
    },
    ("gb200-nvl72", 72): {"all-reduce": ("ring", "two-shot", "in-network"), "all-to-all": ("direct",)},
    ("gb200-nvl72", 64): {"all-reduce": ("halving-doubling",), "all-gather": ("pat",)},
    ("mi300x-8", 8): {
        "all-reduce": ("ring", "halving-doubling", "one-shot", "two-shot", "full-mesh"),
        "all-gather": ("pat",),
        "reduce-scatter": ("direct", "full-mesh"),
        "all-to-all": ("direct",),
        "broadcast": ("ring", "direct"),
    },
    ("metax-dragonfly-64", 64): {"all-reduce": ("full-mesh", "hierarchical"), "all-gather": ("full-mesh",)},
    ("cambricon-mlu590-8", 8): {"all-reduce": ("full-mesh", "hierarchical"), "reduce-scatter": ("hierarchical",)},
    ("trn2-ultraserver", 64): {"all-reduce": ("ring", "ring-per-dimension", "bucket"), "all-to-all": ("direct",)},
    ("ironwood-9216", 64): {
        "all-reduce": ("ring", "bidirectional-ring", "ring-per-dimension", "bucket", "swing"),
        "all-gather": ("bucket", "ring"),
        "all-to-all": ("direct",),
    },
    ("ironwood-9216", 256): {"all-reduce": ("bucket", "ring-per-dimension"), "all-to-all": ("direct",)},
    ("tpu-v5e", 16): {"all-reduce": ("bucket", "ring-per-dimension")},
}
CASES = [
    (machine, chips, kind, algorithm)
    for (machine, chips), kinds in SAME.items()
    for kind, algorithms in kinds.items()
    for algorithm in algorithms
]


@pytest.mark.parametrize(("machine", "chips", "kind", "algorithm"), CASES)
@pytest.mark.parametrize("size", [64 * 1024.0, 64 * MIB])
def test_flows_on_an_idle_fabric_take_what_the_closed_form_says(machine, chips, kind, algorithm, size):
    found = flow(kind, size, machine, chips, algorithm=algorithm)
    assert found.seconds == pytest.approx(found.closed_s, rel=1e-9)
    assert found.differs == ""


NESTED = [("scalex640", 80), ("dgx-h100-superpod", 64), ("metax-shanghai-cube-128", 128), ("l40s-server", 8)]


@pytest.mark.parametrize(("machine", "chips"), NESTED)
@pytest.mark.parametrize("kind", ["all-reduce", "reduce-scatter", "all-gather"])
def test_levels_overlap_in_chunks_as_in_the_closed_form(machine, chips, kind):
    """Two tiers of switches that share ports; two that reduce; meshes below a switch; a tree of PCIe."""
    for size in (64 * 1024.0, 64 * MIB, 4 * GIB):
        found = flow(kind, size, machine, chips, algorithm="hierarchical")
        assert found.seconds == pytest.approx(found.closed_s, rel=1e-9)


@pytest.mark.parametrize(("machine", "chips"), [("hgx-h100", 16), ("gb200-nvl72", 144), ("dgx-2-v100", 32)])
@pytest.mark.parametrize("kind", ["all-reduce", "all-gather"])
def test_between_machines_rails_are_shorter_than_the_longest_way_of_the_closed_form(machine, chips, kind):
    for size, most in ((64 * 1024.0, 0.1), (64 * MIB, 0.02), (16 * GIB, 1e-3)):
        found = flow(kind, size, machine, chips, algorithm="hierarchical")
        assert found.closed_s * (1 - most) < found.seconds <= found.closed_s * (1 + 1e-9)
        assert "longest way" in found.differs


TREES = [("hgx-h100", 16), ("hgx-h100", 64), ("dgx-h100-superpod", 128), ("hgx-b200", 32)]


@pytest.mark.parametrize(("machine", "chips"), TREES)
def test_trees_across_nodes_take_what_the_closed_form_says_but_for_shorter_ways(machine, chips):
    """Reducing switches or rings inside; eager messages, chunks up to the window, and bytes that fill the ports."""
    for size, most in ((4096.0, 0.15), (64 * MIB, 0.02), (16 * GIB, 1e-3)):
        found = flow("all-reduce", size, machine, chips, algorithm="hierarchical-tree")
        assert found.closed_s * (1 - most) < found.seconds <= found.closed_s * (1 + 1e-9)


@pytest.mark.parametrize(("machine", "chips"), [("hgx-h100", 16), ("dgx-h100-superpod", 64)])
def test_a_broadcast_along_rings_leaves_every_node_by_all_its_ports(machine, chips):
    """Chunks start inside a node, where steps are shorter than the slowest, at whose pace the closed form has all."""
    found = flow("broadcast", GIB, machine, chips, algorithm="ring")
    assert 0.95 * found.closed_s < found.seconds <= found.closed_s * (1 + 1e-9)


def test_units_with_fewer_links_than_chips_say_that_these_share_links_inside():
    found = flow("all-reduce", GIB, "lightsphere-x-128", 128, algorithm="hierarchical")
    assert found.closed_s < found.seconds < 1.2 * found.closed_s
    assert "links inside" in found.differs


@pytest.mark.parametrize(
    "nest",
    [
        Nest((), (), (4,), {0: (3,)}),
        Nest((), (), (3, 4), {0: (2,) * 4, 1: (3,) * 3}),
        Nest((2, 3), (), (4, 2), {1: (3,) * 12}),
        Nest((2, 2), (True, False), (3, 2), {1: (2,) * 8}),
        Nest((3, 4, 2), (), ()),
    ],
    ids=["one switch", "two reducing levels", "above a full mesh", "above a torus", "a full mesh"],
)
@pytest.mark.parametrize("kind", ["all-gather", "reduce-scatter", "all-reduce"])
def test_levels_give_every_rank_every_contribution_once(kind, nest):
    assert wrong(nested(kind, nest)) == []


@pytest.mark.parametrize(
    "nest",
    [
        Nest((), (), (6, 4), chunks=3),
        Nest((), (), (6, 4), {0: (3,) * 4}, chunks=3),
        Nest((), (), (6, 4), {0: (2,) * 4, 1: (1,) * 6}, chunks=3),
        Nest((2, 3), (), (4,), chunks=3),
    ],
    ids=["rings inside", "switches inside", "switches everywhere", "a full mesh inside"],
)
def test_trees_over_units_give_every_rank_every_contribution_once(nest):
    assert wrong(nested("all-reduce", nest)) == []


def test_a_dead_switch_of_one_node_slows_the_reduction_of_all():
    """One of two nodes loses 5 of 18 planes; its chips reduce over the others, and the rails wait for them."""
    size = 64 * GIB
    alone = flow("all-reduce", size, "hgx-h100", algorithm="in-network", fails=("switch0",))
    found = flow("all-reduce", size, "hgx-h100", 16, algorithm="hierarchical", fails=("0/switch0",))
    assert alone.seconds / alone.whole_s == pytest.approx(18 / 13, rel=5e-3)
    assert found.whole_s < found.seconds <= found.whole_s * 18 / 13


def test_a_sweep_says_at_each_size_what_that_size_alone_says():
    for kind, machine, chips in (
        ("all-reduce", "hgx-h100", 8),
        ("broadcast", "hgx-h100", 8),
        ("all-reduce", "tpu-v5e", 16),
    ):
        request = dataclasses.replace(LEFT_OPEN, kind=kind, machine=machine, chips=chips, fidelity="flow")
        swept = sweep(dataclasses.replace(request, size="64KiB:16MiB")).answers
        for each in swept[::4]:
            alone = sweep(dataclasses.replace(request, size=f"{each.size_bytes:.0f}")).answers[0]
            assert (each.seconds, each.algorithm, each.bounds) == (alone.seconds, alone.algorithm, alone.bounds)


def test_lanes_that_wait_for_each_other_are_no_faster_than_the_whole_fabric(monkeypatch):
    """A dead link of a torus lets lanes meet: each at its own pace, or, of many transfers, round by round."""
    more = {"shape": (4, 4, 4), "algorithm": "bucket", "fails": ("chip0-chip1",)}
    free = flow("all-reduce", 16 * MIB, "ironwood-9216", **more)
    monkeypatch.setattr("simulator.collectives.flow.MOST_FREE", 0)
    kept = flow("all-reduce", 16 * MIB, "ironwood-9216", **more)
    assert (free.found.level, kept.found.level) == ("over-time", "in-lock-step")
    assert kept.whole_s < free.seconds * 1.001 <= kept.seconds * 1.1


def test_an_algorithm_without_a_schedule_is_left_to_the_fastest_that_has_one():
    stated = price("broadcast", 1024.0, slice_of(topologies.machine("hgx-h100"), 8))
    named = flow("broadcast", 1024.0, "hgx-h100", 8).algorithm
    assert named in algorithms_laid("broadcast")
    assert stated.algorithm == named or stated.algorithm not in algorithms_laid("broadcast")


@pytest.mark.parametrize(("ranks", "rings", "unit"), [(16, 8, 8), (24, 7, 8), (6, 3, 3), (8, 3, 4), (8, 2, 8)])
@pytest.mark.parametrize("kind", ["all-gather", "reduce-scatter", "all-reduce"])
def test_rings_side_by_side_give_every_rank_every_contribution_once(kind, ranks, rings, unit):
    assert wrong(_side_by_side(kind, ranks, rings, unit)) == []


def test_rings_need_not_divide_the_chips_of_a_node():
    """Eight chips whose links inside hold as much as seven of their ports."""
    found = flow("all-reduce", GIB, "hgx-a800", 24, algorithm="ring")
    assert found.seconds == pytest.approx(found.closed_s, rel=0.2)


@pytest.mark.parametrize("kind", ["all-gather", "reduce-scatter", "all-reduce"])
def test_pods_of_a_torus_give_every_rank_every_contribution_once(kind):
    machine = topologies.machine("trn2-ultraserver")
    axes = [
        dataclasses.replace(level, size=size) for level, size in zip(machine.slice_levels(64), (2, 3, 2), strict=True)
    ]
    pods = [dataclasses.replace(machine.network.level(2, 64), size=3)]
    assert wrong(nested(kind, nest_of([*axes, *pods]))) == []


def test_rings_leave_every_node_by_all_its_ports():
    """Two nodes of eight: a ring for each port, so that 16 chips keep the rate of the closed form.

    Each of 30 rounds ends with its slowest step here, where the closed form has what a part needs on its way round.
    """
    found = flow("all-reduce", GIB, "hgx-h100", 16, algorithm="ring")
    assert found.closed_s * 0.85 < found.seconds <= found.closed_s + 30 * 25e-6


@pytest.mark.parametrize(
    ("machine", "chips"),
    [("hgx-h100", 16), ("cloudmatrix384", 32), ("atlas-950-1024", 128), ("metax-dragonfly-64", 64), ("tpu-v5e", 512)],
)
def test_every_schedule_of_a_fabric_of_many_levels_is_above_its_bounds(machine, chips):
    part = slice_of(topologies.machine(machine), chips)
    wired = wire(machine, part)
    for kind in ("all-reduce", "all-gather", "all-to-all"):
        for algorithm in price(kind, 16 * MIB, part).by_algorithm:
            if algorithm in algorithms_laid(kind):
                found = priced_by_flow(kind, 16 * MIB, wired, algorithm=algorithm)
                assert found.seconds >= found.bounds.least_s
                assert found.bounds.link_s > 0


def test_an_answer_below_a_bound_is_our_error(monkeypatch):
    honest = collective_flow.flow_bounds
    monkeypatch.setattr(
        collective_flow, "flow_bounds", lambda *given: dataclasses.replace(honest(*given), bisection_s=1.0)
    )
    with pytest.raises(InternalError, match="below its bound"):
        flow("all-reduce", MIB, "hgx-h100")


# -- faults


def test_a_dead_switch_costs_the_share_of_its_links():
    """NVSwitch 0 of HGX H100 has 5 of the 18 links of every GPU."""
    size = 64 * GIB
    found = flow("all-reduce", size, "hgx-h100", algorithm="ring", fails=("switch0",))
    assert found.seconds / found.whole_s == pytest.approx(18 / 13, rel=5e-3)
    reduced = flow("all-reduce", size, "hgx-h100", algorithm="in-network", fails=("switch0",))
    assert reduced.seconds / reduced.whole_s == pytest.approx(18 / 13, rel=5e-3)


def test_a_slow_switch_costs_what_its_links_lose():
    """All ways are shared by width, so that half of 5 of 18 links is 2.5 less."""
    found = flow("all-reduce", 64 * GIB, "hgx-h100", algorithm="two-shot", fails=("switch0=0.5",))
    assert found.seconds / found.whole_s == pytest.approx(18 / 15.5, rel=5e-3)


@pytest.mark.parametrize("machine", ["hgx-h100", "ironwood-9216"])
def test_more_failures_never_make_a_collective_faster(machine):
    names = {"hgx-h100": ["chip0-switch0", "chip5-switch1", "switch2"], "ironwood-9216": ["chip0-chip1", "chip5-chip9"]}
    times = []
    for count in range(len(names[machine]) + 1):
        chips = {"hgx-h100": 8, "ironwood-9216": 64}[machine]
        algorithm = {"hgx-h100": "two-shot", "ironwood-9216": "bucket"}[machine]
        fails = tuple(names[machine][:count])
        times.append(flow("all-reduce", 64 * MIB, machine, chips, algorithm=algorithm, fails=fails).seconds)
    assert times == sorted(times)
    assert times[-1] > times[0]


def test_links_are_named_by_two_nodes_whose_names_have_hyphens_of_their_own():
    part = slice_of(topologies.machine("scalex640"), 80)
    wired = wire("scalex640", part)
    found = read_fault(wired.whole, "leaf0-0-spine1")
    assert found == Fault(("leaf0-0", "spine1"), 0.0)
    assert read_fault(wired.whole, "leaf0-0=0.25") == Fault(("leaf0-0",), 0.25)


def test_a_damaged_fabric_lacks_just_the_links_that_failed():
    fabric = torus(4, 4)
    ends = (fabric.nodes[0], fabric.nodes[int(fabric.indices[0])])
    dead = damaged(fabric, [Fault(ends)])
    assert len(dead.indices) == len(fabric.indices) - 2
    assert not dead.is_vertex_transitive
    slow = damaged(fabric, [Fault(ends, 0.25)])
    lost = fabric.bandwidth_bytes_per_s.sum() - slow.bandwidth_bytes_per_s.sum()
    assert lost == pytest.approx(2 * 0.75 * fabric.bandwidth_bytes_per_s[0])
    assert damaged(fabric, []) is fabric


def test_nodes_that_are_cut_off_are_named():
    fabric = torus(4, wraps=False)
    names = [f"{fabric.nodes[0]}-{fabric.nodes[1]}"]
    cut = damaged(fabric, [read_fault(fabric, name) for name in names])
    with pytest.raises(InputError, match=f"{fabric.nodes[0]} is cut off from the other 3 chips"):
        check_joined(cut, np.arange(4))
    check_joined(cut, np.arange(1, 4))


# -- jobs


def test_jobs_on_links_of_their_own_do_not_slow_each_other_down():
    found = asked(machine="gb200-nvl72", chips=18, jobs=4).jobs
    assert found.slowdowns == pytest.approx([1.0] * 4)
    assert len(found.seconds) == 4


def test_interleaved_jobs_share_links_and_take_longer():
    """Every second chip of a line of four, from both jobs: the link in the middle carries two flows each way."""
    packed = asked(machine="tpu-v5e", chips=16, jobs=4).jobs
    mixed = asked(machine="tpu-v5e", chips=16, jobs=4, placement="interleaved").jobs
    assert packed.slowdowns == pytest.approx([1.0] * 4)
    assert min(mixed.slowdowns) > 1.2
    assert max(mixed.seconds) > max(packed.seconds)


def test_groups_of_a_torus_are_boxes_of_its_chips():
    machine = topologies.machine("ironwood-9216")
    whole = slice_of(machine, 256)
    sizes = {}
    for placement in ("packed", "interleaved"):
        levels = levels_of_job(whole, slice_of(machine, 64), 4, placement)
        assert math.prod(level.size for level in levels) == 64
        sizes[placement] = [(level.size, level.wraps, level.hops) for level in levels]
    assert sizes["packed"] == [(8, True, 1), (8, True, 1)]
    assert sizes["interleaved"] == [(4, True, 1), (8, True, 1), (2, True, 4)]


# -- what the command says


@pytest.mark.parametrize("level", ["curve", "closed-form", "flow"])
def test_every_level_answers_with_the_same_keys(answer, level):
    found = answer("all-reduce", "gb200-nvl72", "--bytes", "1GiB", "--fidelity", level)
    assert found["level"] == level
    assert set(found["bounds"]) == {"injection", "link", "bisection", "latency"}
    assert found["time"]["low"] <= found["time"]["value"] <= found["time"]["high"]
    assert found["over_bound"] == pytest.approx(found["time"]["value"] / max(found["bounds"].values()))
    assert found["over_bound"] >= 1
    assert found["algbw"]["value"] * found["time"]["value"] == pytest.approx(GIB)
    assert found["busbw"]["value"] == pytest.approx(found["algbw"]["value"] * 2 * 71 / 72)
    assert {"algorithm", "bottleneck", "by_algorithm", "nearest", "validation"} <= set(found)


def test_failures_are_priced_by_flows_and_held_against_the_whole_fabric(answer):
    found = answer("all-reduce", "hgx-h100", "--bytes", "1GiB", "--fail", "switch0", "--fail", "chip3-switch1")
    assert found["level"] == "flow"
    assert found["flow"]["degradation"] > 18 / 13 * 0.99
    assert found["flow"]["whole"] * found["flow"]["degradation"] == pytest.approx(found["time"]["value"])


def test_jobs_are_listed_with_their_slowdowns(answer):
    found = answer("all-to-all", "scalex640", "--chips", "8", "--jobs", "3", "--bytes", "1MiB")
    assert [set(job) for job in found["jobs"]] == [{"time", "alone", "slowdown"}] * 3
    for job in found["jobs"]:
        assert job["time"] == pytest.approx(job["alone"] * job["slowdown"])


def test_the_nearest_rows_are_of_the_same_kind_and_the_nearest_come_first(answer):
    found = answer("all-reduce", "hgx-h100", "--bytes", "1GiB")
    first = found["nearest"][0]
    assert (first["machine"], first["chips"], first["bytes"]) == ("hgx-h100", 8, GIB)
    assert first["source"]
    assert first["busbw"] == pytest.approx(first["bytes"] / first["time"] * 2 * 7 / 8)
    part = slice_of(topologies.machine("hgx-h100"), 8)
    away = [each.away for each in nearest(part, "all-reduce", GIB)]
    assert away == sorted(away)
    assert {each.row.chips for each in measured_of(nearest(part, "all-reduce", GIB), part)} == {8}


def test_errors_of_a_machine_are_those_of_its_own_rows():
    part = slice_of(topologies.machine("gb200-nvl72"), 72)
    found = judged(part, "all-reduce")
    assert found is not None
    assert "gb200-nvl72 inside a machine" in found.what
    assert 0 < found.median < 1
    assert 0 < found.fitted <= found.rows
    assert judged(slice_of(topologies.machine("scalex640"), 640), "all-reduce") is None


def test_own_rows_stand_beside_the_published_ones(answer, tmp_path):
    own = tmp_path / "mine.csv"
    own.write_text("collective,chips,message_bytes,time_us\nall_reduce,8,1073741824,4000\n")
    found = answer("all-reduce", "hgx-h100", "--bytes", "1GiB", "--cases", str(own))
    mine = [row for row in found["nearest"] if row["machine"] is None]
    assert [row["time"] for row in mine] == pytest.approx([4e-3])
    assert mine[0]["source"] == "mine.csv"


def test_a_sweep_draws_what_was_measured(monkeypatch, tmp_path):
    from matplotlib.figure import Figure

    from supernode.plots.collectives import plot_sweep

    found = asked(size="1GiB")
    ax = Figure().subplots()
    rows = [(found, found.low_s, found.high_s)]
    plot_sweep(rows, "hgx-h100", ax=ax, measured=[(GIB, 4e11), (1.0, 1.0)], least_s=[(GIB, found.bounds.least_s)])
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines["measured: 1 rows"].get_ydata()) == [4e11]
    (limit,) = lines["the most that links and latency allow, as stated"].get_ydata()
    assert limit == pytest.approx(found.busbw_bytes_per_s * found.over_bound)


@pytest.mark.parametrize(
    ("machine", "chips", "jobs", "placement"),
    [("ironwood-9216", 64, 4, "interleaved"), ("gb200-nvl72", 12, 3, "packed"), ("scalex640", 40, 2, "interleaved")],
)
def test_jobs_that_keep_step_take_as_long_as_jobs_that_run_freely(monkeypatch, machine, chips, jobs, placement):
    """Equal jobs from one instant have no reason to get out of step."""
    monkeypatch.setattr(collective_jobs, "MOST_EXACT", 10**6)
    free = asked(machine=machine, chips=chips, jobs=jobs, placement=placement).jobs
    monkeypatch.setattr(collective_jobs, "MOST_EXACT", 0)
    kept = asked(machine=machine, chips=chips, jobs=jobs, placement=placement).jobs
    assert kept.seconds == pytest.approx(free.seconds, rel=1e-9)
    assert kept.alone_s == pytest.approx(free.alone_s, rel=1e-9)


def test_flows_of_random_machines_groups_kinds_and_sizes_are_above_their_bounds():
    """An answer below a bound would be an InternalError; what cannot be answered is refused in words."""
    rng = np.random.default_rng(11)
    names = topologies.names("machines")
    for _ in range(150):
        name = names[rng.integers(len(names))]
        machine = topologies.machine(name)
        legal = [chips for chips in machine.legal_chips if 2 <= chips <= 96]
        legal += [2 * machine.chips, 3 * machine.chips] if machine.chips <= 32 else []
        part = slice_of(machine, int(rng.choice(legal)))
        kind, size = KINDS[rng.integers(len(KINDS))], 2.0 ** rng.uniform(3, 32)
        able = [name for name in price(kind, size, part).by_algorithm if name in algorithms_laid(kind)]
        found = priced_by_flow(kind, size, wire(name, part), algorithm=able[rng.integers(len(able))])
        assert found.seconds >= found.bounds.least_s
        assert found.seconds >= found.found.link_s


def test_random_collectives_on_idle_machines_take_what_the_closed_form_says_or_say_why_not():
    """Small groups, so that all of it runs in seconds; what differs by design names its reason."""
    rng = np.random.default_rng(5)
    names = topologies.names("machines")
    same = 0
    for _ in range(60):
        name = names[rng.integers(len(names))]
        machine = topologies.machine(name)
        legal = [chips for chips in machine.legal_chips if 2 <= chips <= 32] or [machine.legal_chips[0]]
        part = slice_of(machine, int(rng.choice(legal)))
        kind, size = KINDS[rng.integers(len(KINDS))], 2.0 ** rng.uniform(8, 32)
        able = [each for each in price(kind, size, part).by_algorithm if each in algorithms_laid(kind)]
        if part.chips > 64 or not able:
            continue
        found = priced_by_flow(kind, size, wire(name, part), algorithm=able[rng.integers(len(able))])
        if not found.differs:
            assert found.seconds == pytest.approx(found.closed_s, rel=1e-9), (name, part.chips, kind, found.algorithm)
            same += 1
    assert same >= 20
