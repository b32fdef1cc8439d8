"""Pipeline schedules: legal sizes, complete orders, published bubbles and memory, and the estimate of a search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError, InternalError
from simulator.plan import SCHEDULES
from simulator.training.memory.kernels import in_flight
from simulator.training.schedules import Order, check_schedule, execute, kernels, peak_activations, pipeline_order
from simulator.training.schedules.folded import PERIOD, block_starts
from simulator.training.schedules.passes.kernels import BACKWARD, FORWARD, INPUT, MICRO, PAIRED, WEIGHT
from tests.support_pipelines import SIZES, pipelines, rows, uneven

FOLDED = ("zb-v", "v-half", "v-min")


def virtual(schedule):
    return 2 if schedule in FOLDED else 1


def run(schedule, ranks, micro_batches, times=(1.0, 1.0, 1.0), virtual_stages=0, **how):
    order = pipeline_order(schedule, ranks, virtual_stages or virtual(schedule), micro_batches)
    return execute(order, *times, **how)


def orders(schedule):
    return [pipeline_order(*size) for size in SIZES if size[0] == schedule]


# Complete orders


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_pass_of_every_micro_batch_is_run_exactly_once_and_in_its_order(schedule):
    for order in orders(schedule):
        check_passes(order)


def check_passes(order):
    micro_batches = set(range(order.micro_batches))
    for rank in range(order.ranks):
        found = rows(order, rank)
        assert len(set(found)) == len(found)
        for chunk in range(order.chunks):
            place = {kind: {} for kind in (FORWARD, INPUT, WEIGHT, BACKWARD)}
            for at, (kind, of, micro) in enumerate(found):
                if of == chunk:
                    place[FORWARD if kind == PAIRED else kind][micro] = at
            if order.schedule == "dualpipe":
                half = order.micro_batches // 2
                micro_batches = set(range(half)) if chunk == 0 else set(range(half, order.micro_batches))
            back = place[INPUT] | place[BACKWARD]
            assert len(back) == len(place[INPUT]) + len(place[BACKWARD])
            assert set(place[FORWARD]) == set(back) == micro_batches
            assert set(place[WEIGHT]) == set(place[INPUT])
            assert all(place[FORWARD][micro] < back[micro] for micro in micro_batches)
            assert all(back[micro] < at for micro, at in place[WEIGHT].items())
            assert place[FORWARD] == dict(sorted(place[FORWARD].items(), key=lambda item: item[1]))
        for (kind, _, _), (after, _, _) in zip(found, [*found[1:], (-1, 0, 0)], strict=True):
            assert kind != PAIRED or after == BACKWARD


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_messages_come_before_what_needs_them_and_no_rank_runs_two_passes_at_once(schedule):
    for seed, order in enumerate(orders(schedule)):
        check_times(order, seed)


def check_times(order, seed):
    *times, hops = uneven(seed, order.stages)
    found = execute(order, *times, hop_s=hops)
    spans = {}
    for rank in range(order.ranks):
        count = len(rows(order, rank))
        for at, (kind, chunk, micro) in enumerate(rows(order, rank)):
            what = {PAIRED: "F", FORWARD: "F", INPUT: "B", BACKWARD: "B", WEIGHT: "W"}[kind]
            spans[what, rank * order.chunks + chunk, micro] = (found.start_s[rank, at], found.end_s[rank, at])
            is_paired = kind == PAIRED
            if at + 1 < count:
                after = found.start_s[rank, at + 1]
                assert after == found.start_s[rank, at] if is_paired else after >= found.end_s[rank, at]
    for (what, node, micro), (start, _) in spans.items():
        needs = {"F": [("F", order.above[node])], "B": [("F", node), ("B", order.below[node])], "W": [("B", node)]}
        for kind, other in needs[what]:
            assert other < 0 or start >= spans[kind, other, micro][1]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_stages_lie_on_ranks_as_the_schedule_says(schedule):
    order = pipeline_order(schedule, 4, virtual(schedule), 8)
    if schedule == "dualpipe":
        assert order.stage_of.tolist() == [[0, 3], [1, 2], [2, 1], [3, 0]]
    elif schedule in FOLDED:
        assert order.stage_of.tolist() == [[0, 7], [1, 6], [2, 5], [3, 4]]
    else:
        assert order.stage_of.tolist() == [[0], [1], [2], [3]]
    interleaved = pipeline_order("1f1b", 4, 3, 8)
    assert interleaved.stage_of.tolist() == [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]]
    assert interleaved.stages == 12


def test_interleaved_passes_come_in_the_order_of_megatron():
    """Narayanan et al., SC21, figure 4: 4 ranks with 2 chunks each; the first rank warms up with 10 passes."""
    found = rows(pipeline_order("1f1b", 4, 2, 8), 0)
    assert [(chunk, micro) for _, chunk, micro in found[:11]] == [
        *((0, micro) for micro in range(4)),
        *((1, micro) for micro in range(4)),
        *((0, micro) for micro in range(4, 7)),
    ]
    assert [kind for kind, _, _ in found[:13]] == [FORWARD] * 11 + [BACKWARD, FORWARD]
    assert found[11] == (BACKWARD, 1, 0)


@pytest.mark.parametrize("schedule", FOLDED)
def test_no_two_passes_of_a_repeated_block_fall_on_the_same_unit_of_a_rank(schedule):
    for ranks in range(1, 130):
        slots = np.sort(block_starts(schedule, ranks) % PERIOD, axis=1)
        assert (np.diff(slots, axis=1) > 0).all()


def test_orders_are_remembered_and_cannot_be_changed():
    order = pipeline_order("zb-h1", 4, 1, 8)
    assert pipeline_order("zb-h1", 4, 1, 8) is order
    with pytest.raises(ValueError, match="read-only"):
        order.passes[0, 0, 0] = 1


def test_an_order_that_waits_for_itself_is_our_error():
    order = pipeline_order("1f1b", 2, 1, 4)
    passes = order.passes.copy()
    passes[0, :, MICRO] = passes[0, ::-1, MICRO]
    broken = Order("1f1b", 2, 1, 4, passes, order.stage_of, order.above, order.below)
    with pytest.raises(InternalError, match="waits for itself"):
        execute(broken, 1.0, 1.0, 1.0)


# Published bubbles: F, B and W of one rank (of all its chunks) take `times`


@pytest.mark.parametrize("times", [(1.0, 1.0, 1.0), (1.0, 1.4, 0.6), (3.0, 2.0, 4.0)])
@pytest.mark.parametrize("micro_batches", [8, 16, 40])
@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
class TestPublishedBubbles:
    def test_gpipe_and_1f1b_wait_for_p_minus_1_micro_batches(self, ranks, micro_batches, times):
        """Huang et al., NeurIPS 2019, section 2.3; Narayanan et al., SC21, section 2.2.1."""
        for schedule in ("gpipe", "1f1b"):
            assert run(schedule, ranks, micro_batches, times).bubble_s == pytest.approx((ranks - 1) * sum(times))

    @pytest.mark.parametrize("virtual_stages", [2, 4])
    def test_interleaving_divides_the_bubble_by_the_virtual_stages(self, ranks, micro_batches, times, virtual_stages):
        """Narayanan et al., SC21, section 2.2.2."""
        if ranks == 1:
            return
        parts = [each / virtual_stages for each in times]
        found = run("1f1b", ranks, micro_batches, parts, virtual_stages)
        assert found.bubble_s == pytest.approx((ranks - 1) * sum(times) / virtual_stages)

    def test_zb_h1_and_zb_h2_fill_the_bubble_with_w(self, ranks, micro_batches, times):
        """Qi et al., arXiv 2401.10241, section 2: (p - 1)(F + B - W) and (p - 1)(F + B - 2W), where W is not longer.

        They count waits between the first and the last pass of a rank. Where W is longer, what is left is the way of
        the first micro-batch down the ranks, and back.
        """
        forward, inputs, weight = times
        found = run("zb-h1", ranks, micro_batches, times).idle_s.max()
        assert found == pytest.approx((ranks - 1) * max(forward + inputs - weight, inputs, 0))
        if micro_batches >= 2 * ranks - 1:
            found = run("zb-h2", ranks, micro_batches, times)
            assert found.idle_s.max() == pytest.approx((ranks - 1) * max(forward + inputs - 2 * weight, 0))
            assert found.bubble_s.max() == pytest.approx((ranks - 1) * max(forward + inputs - 2 * weight, forward))


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 6, 8, 16, 64])
def test_zb_v_never_waits_between_its_first_and_its_last_pass(ranks):
    """Qi et al., arXiv 2405.15362: no bubble; the step is longer by the way of the first micro-batch down the ranks."""
    for micro_batches in (2 * ranks - 1, 2 * ranks, 5 * ranks):
        found = run("zb-v", ranks, micro_batches)
        assert (found.idle_s == 0).all()
        assert found.seconds == 6 * micro_batches + ranks - 1
    assert run("zb-v", ranks, ranks).seconds == 6 * ranks + ranks - 1


@pytest.mark.parametrize("ranks", range(3, 33))
def test_v_half_and_v_min_wait_no_longer_than_published(ranks):
    """The page of the scheduler of Qi et al.: about p / 2m and 2p / 3m of a step of 6m passes, that is 3p and 4p."""
    for micro_batches in (ranks, 4 * ranks):
        assert (run("v-half", ranks, micro_batches).bubble_s == 3 * ranks - 4).all()
        assert (run("v-min", ranks, micro_batches).bubble_s == 4 * ranks - (3 if ranks % 3 == 0 else 5)).all()


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("ranks", [2, 4, 6, 8, 16])
@pytest.mark.parametrize("micro_batches", [32, 40])
def test_dualpipe_waits_as_its_authors_say(ranks, micro_batches, overlap):
    """(PP / 2 - 1)(F&B + B - 3W): the table of the DualPipe repository, where B is the whole backward pass."""
    found = run("dualpipe", ranks, micro_batches, overlap=overlap)
    both = 3 - overlap
    assert found.bubble_s[ranks // 2] == pytest.approx((ranks / 2 - 1) * (both + 2 - 3))


# Published memory, in micro-batches of all stages of a rank


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 64])
def test_activations_peak_where_the_papers_say(ranks):
    micro_batches = 4 * ranks
    below = ranks - np.arange(ranks)
    for schedule, peaks in (
        ("gpipe", np.full(ranks, micro_batches)),  # Huang et al.: all of a batch
        ("1f1b", below),  # Narayanan et al., SC21, section 2.2.1
        ("zb-h1", np.full(ranks, ranks)),  # Qi et al., arXiv 2401.10241, section 2
        ("zb-h2", np.full(ranks, 2 * ranks - 1)),
    ):
        assert peak_activations(pipeline_order(schedule, ranks, 1, micro_batches)).tolist() == peaks.tolist()
    # Qi et al., arXiv 2405.15362, and the page of its authors' scheduler: p, (p + 2) // 2, (p + 4) // 3
    for schedule, most in (("zb-v", ranks), ("v-half", (ranks + 2) // 2), ("v-min", (ranks + 4) // 3)):
        assert peak_activations(pipeline_order(schedule, ranks, 2, micro_batches), 0.5).max() == most
    if ranks % 2 == 0:
        # the table of the DualPipe repository
        assert (peak_activations(pipeline_order("dualpipe", ranks, 1, micro_batches)) == ranks + 1).all()


@pytest.mark.parametrize("ranks", [2, 4, 8])
@pytest.mark.parametrize("virtual_stages", [2, 4])
def test_interleaving_holds_more_activations_by_p_minus_1_over_pv(ranks, virtual_stages):
    """Korthikanti et al., arXiv 2205.05198, section 4.2.3: p (1 + (p - 1) / (p v)) on the first rank."""
    order = pipeline_order("1f1b", ranks, virtual_stages, 4 * ranks)
    want = ranks * (1 + (ranks - 1) / (ranks * virtual_stages))
    assert peak_activations(order, 1 / virtual_stages)[0] == pytest.approx(want)


def test_what_w_does_not_need_is_given_back_by_b():
    order = pipeline_order("zb-h1", 4, 1, 12)
    whole, part, none = (peak_activations(order, 1.0, kept) for kept in (1.0, 0.4, 0.0))
    assert whole.tolist() == [4, 4, 4, 4]
    assert part == pytest.approx([4, 3.4, 2.8, 2.2])
    assert none.tolist() == [4, 3, 2, 1]  # as 1F1B


# Which pipelines are legal


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("zb-v", 4, 1, 8), r"plan.virtual_stages: zb-v folds the model once, with 2 virtual stages, not 1\n  try 2"),
        (("v-min", 4, 3, 8), "not 3\n  try 2"),
        (("gpipe", 4, 2, 8), "plan.virtual_stages: gpipe has one stage a rank, not 2\n  try 1, or schedule 1f1b"),
        (("dualpipe", 4, 2, 8), "dualpipe has one stage a rank"),
        (("1f1b", 1, 2, 8), "2 virtual stages need a pipeline of at least 2 ranks\n  try 1"),
        (("1f1b", 4, 2, 10), "plan.micro_batches: interleaved 1f1b .* groups of 4 .*, not 10\n  try 8 or 12"),
        (("1f1b", 4, 2, 3), "not 3\n  try 4"),
        (("dualpipe", 5, 1, 20), "plan.pipeline: dualpipe .* even number of ranks, not 5\n  try 4 or 6"),
        (("dualpipe", 4, 1, 9), "plan.micro_batches: .* at least 8, not 9\n  try 8 or 10"),
        (("dualpipe", 4, 1, 6), "at least 8, not 6\n  try 8"),
        (("zbv", 4, 2, 8), "plan.schedule: unknown schedule 'zbv'\n  did you mean zb-v"),
        (("1f1b", 0, 1, 8), "plan.pipeline: 0 is not a count"),
        (("1f1b", 4, 1, 0), "plan.micro_batches: 0 is not a count"),
    ],
)
def test_an_illegal_pipeline_is_refused_with_legal_ones_nearby(asked, message):
    with pytest.raises(InputError, match=message):
        check_schedule(*asked)
    with pytest.raises(InputError):
        pipeline_order(*asked)


@pytest.mark.parametrize(
    ("given_times", "message"),
    [
        ({"forward_s": [1.0, 2.0]}, "forward_s: 2 values where 4 are needed"),
        ({"input_s": -1.0}, "input_s: values are finite and not negative"),
        ({"weight_s": float("nan")}, "weight_s: values are finite"),
        ({"hop_s": [0.0] * 4}, "hop_s: 4 values where 3 are needed"),
        ({"overlap": 1.5}, "overlap 1.5"),
    ],
)
def test_times_that_do_not_fit_are_refused(given_times, message):
    order = pipeline_order("1f1b", 4, 1, 8)
    with pytest.raises(InputError, match=message):
        execute(order, **({"forward_s": 1.0, "input_s": 1.0, "weight_s": 1.0} | given_times))


def test_w_cannot_keep_more_than_f_leaves():
    with pytest.raises(InputError, match="kept"):
        peak_activations(pipeline_order("zb-h1", 2, 1, 4), 1.0, 1.5)


# The estimate of a search


def estimate(order, times, hop_s=0.0, overlap=0.0):
    per_rank = np.stack([np.broadcast_to(each, order.stages)[order.stage_of].sum(axis=1) for each in times])
    if order.schedule == "dualpipe":
        per_rank /= 2
    slowest = per_rank[:, per_rank.sum(axis=0).argmax()]
    size = (SCHEDULES.index(order.schedule), order.ranks, order.virtual_stages, order.micro_batches)
    return kernels.pipeline_seconds_fast(*size, *slowest, *per_rank.mean(axis=1), hop_s, overlap)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_estimate_is_exact_where_f_b_and_w_of_all_stages_are_equal(schedule):
    for order in orders(schedule):
        near = 0.1 if schedule == "zb-v" and 1 < order.micro_batches < order.ranks else 1e-12
        found = execute(order, 1.0, 1.0, 1.0).seconds
        assert estimate(order, (1.0, 1.0, 1.0)) == pytest.approx(found, rel=near), order


@settings(max_examples=150, deadline=None)
@given(
    size=pipelines(most_ranks=12, most_micro_batches=40),
    ratios=st.tuples(st.floats(0.7, 1.6), st.floats(0.4, 1.3)),
    overlap=st.floats(0, 1),
)
def test_the_estimate_is_exact_to_a_few_thousandths_where_stages_are_equal(size, ratios, overlap):
    order = pipeline_order(*size)
    if order.micro_batches < order.ranks and order.schedule.startswith(("zb", "v")):
        return
    times = (1.0, *ratios)
    found = execute(order, *times, overlap=overlap).seconds
    is_near = order.schedule in ("v-half", "v-min") or order.micro_batches < 2 * order.ranks - 1
    near = 0.04 if order.schedule in FOLDED and is_near else 1e-9
    assert estimate(order, times, overlap=overlap) == pytest.approx(found, rel=near)


# Mean and largest part by which the estimate is off, over 300 pipelines drawn as below; docs/models/pipelines.md has
# the table. The largest is held with a quarter to spare, because another draw finds another largest.
UNEVEN_ERRORS = {
    "gpipe": (0.001, 0.01),
    "1f1b": (0.025, 0.10),
    "zb-h1": (0.025, 0.10),
    "zb-h2": (0.04, 0.14),
    "zb-v": (0.02, 0.11),
    "v-half": (0.02, 0.09),
    "v-min": (0.035, 0.12),
    "dualpipe": (0.03, 0.12),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_estimate_of_uneven_stages_is_off_by_no_more_than_stated(schedule):
    """Stages differ by 15 % either way, messages take up to a tenth of a forward pass."""
    generator = np.random.default_rng(20261122)
    errors = []
    for _ in range(300):
        ranks = int(generator.choice([2, 4, 6, 8, 12, 16]))
        micro_batches = ranks * int(generator.choice([2, 4, 8]))
        virtual_stages = int(generator.choice([1, 2, 4])) if schedule == "1f1b" else virtual(schedule)
        order = pipeline_order(schedule, ranks, virtual_stages, micro_batches)
        stages = generator.uniform(0.85, 1.15, order.stages)
        times = [stages * generator.uniform(low, high) for low, high in ((1, 1), (0.8, 1.4), (0.6, 1.1))]
        hop_s = generator.uniform(0, 0.1)
        errors.append(estimate(order, times, hop_s) / execute(order, *times, hop_s=hop_s).seconds - 1)
    mean, largest = np.abs(errors).mean(), np.abs(errors).max()
    assert mean <= UNEVEN_ERRORS[schedule][0]
    assert largest <= UNEVEN_ERRORS[schedule][1]


@pytest.mark.parametrize(("ranks", "stages", "micro_batches"), [(2, 2, 1), (4, 8, 1), (4, 3, 3), (16, 4, 8), (8, 2, 7)])
def test_few_micro_batches_wait_for_themselves_between_the_chunks_of_a_rank(ranks, stages, micro_batches):
    """Fewer than ranks: they pass all chunks one after the other, whatever the number of chunks."""
    times = np.array([1.0, 1.25, 0.5])  # F, B and W of a rank
    free, done = np.zeros(ranks), np.zeros(micro_batches)
    for stage in range(ranks * stages):
        for micro in range(micro_batches):
            free[stage % ranks] = done[micro] = max(free[stage % ranks], done[micro]) + times.sum() / stages
    found = kernels.pipeline_seconds(SCHEDULES.index("1f1b"), ranks, stages, micro_batches, *times, *times, 0.0, 0.0)
    assert found == pytest.approx(done[-1], rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(size=pipelines(), seed=st.integers(0, 2**32 - 1))
def test_plain_and_compiled_kernels_agree_to_the_byte(size, seed):
    order = pipeline_order(*size)
    generator = np.random.default_rng(seed)
    numbers = generator.uniform(0.1, 2, 6)
    arguments = (SCHEDULES.index(size[0]), *size[1:], *numbers, 0.1, 0.3)
    assert kernels.pipeline_seconds(*arguments) == kernels.pipeline_seconds_fast(*arguments)
    held = generator.uniform(0, 1, order.above.size)
    plain, fast = np.empty(order.ranks), np.empty(order.ranks)
    kernels.fill_peaks(order.passes, held, held / 2, plain)
    kernels.fill_peaks_fast(order.passes, held, held / 2, fast)
    assert plain.tobytes() == fast.tobytes()


@pytest.mark.parametrize("schedule", ["zb-h2", "v-half"])
def test_plain_and_compiled_kernels_place_weight_gradients_alike(schedule):
    order = pipeline_order(schedule, 5, virtual(schedule), 11)
    is_weight = order.passes[:, :, 0] == WEIGHT
    plain = np.stack([each[~mask] for each, mask in zip(order.passes, is_weight, strict=True)])
    again = np.empty_like(order.passes)
    limit = {"zb-h2": 9, "v-half": 6}[schedule]
    assert kernels.fill_weights(plain, order.above, order.below, order.chunks, 11, limit, again)
    assert again.tobytes() == order.passes.tobytes()
    assert not kernels.fill_weights_fast(plain, order.above, order.below, order.chunks, 11, 1, again)


# The page


PAGE = Path(__file__).resolve().parents[2] / "docs" / "models" / "pipelines.md"


def test_the_table_for_choosing_is_what_the_schedules_do():
    cells = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in PAGE.read_text("utf-8").splitlines()]
    stated = [line for line in cells if len(line) == 6 and line[0] in SCHEDULES]
    assert {line[0] for line in stated} == set(SCHEDULES)
    for schedule, pieces, *numbers in stated:
        order = pipeline_order(schedule, 8, int(pieces), 64)
        found = execute(order, *[1 / int(pieces)] * 3)
        held = peak_activations(order, 1 / int(pieces)).max()
        links = order.chunks if schedule != "dualpipe" else 1
        wanted = found.bubble_s[4], 100 * found.bubble_s[4] / found.seconds, held, 2 * links
        assert [float(number) for number in numbers] == pytest.approx(wanted, abs=0.051), schedule


# Beside the memory of a search


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_a_search_takes_for_the_activations_of_a_rank_is_the_peak_of_its_order(schedule):
    for order in orders(schedule):
        if order.ranks == 1:  # not a pipeline: gradients are added up micro-batch by micro-batch
            continue
        size = (SCHEDULES.index(schedule), order.ranks, order.virtual_stages, order.micro_batches)
        taken = [in_flight(*size, rank, order.virtual_stages) for rank in range(order.ranks)]
        held = peak_activations(order, 1 / order.virtual_stages)
        assert max(taken) == pytest.approx(max(held)), order
        assert (np.array(taken) >= held - 1e-9).all(), order
