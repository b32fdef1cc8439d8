"""The serving estimate against rooflines, its limits and its own plain version."""

from __future__ import annotations

import numpy as np
import pytest

import topologies
import workloads
from simulator.collectives.rows.kernels import COLUMNS
from simulator.errors import InputError
from simulator.figures import Draw
from simulator.serving import estimate, kernels
from simulator.serving.estimate import _Arrays, serving_dtype
from workloads.program import program

LIMITS = {"input_tokens": 4096, "output_tokens": 1024, "tpot_s": 0.05, "ttft_s": 5.0}


def served(model, machine, chips=None, stack="vllm-0.15", **changes):
    found = topologies.machine(machine)
    return estimate(
        program(workloads.model(model)), found, chips or found.chips, workloads.stack(stack), **(LIMITS | changes)
    )


def test_limits_are_kept_and_parts_sum_to_the_iteration():
    best = served("llama3-70b", "hgx-h100").best
    assert best.tpot_s <= 0.05
    assert best.ttft_s <= 5.0
    parts = best.compute_s + best.attention_s + best.communication_s + best.overhead_s
    assert parts == pytest.approx(best.iteration_s, rel=1e-12)
    assert best.output_tokens_per_s == pytest.approx(best.batch * best.instances / best.tpot_s)


def test_prefill_in_between_costs_what_time_per_token_exceeds_the_iteration_by():
    best = served("llama3-70b", "hgx-h100").best
    prompts_per_s = best.output_tokens_per_s / 1024
    share_of_prefill = prompts_per_s * 4096 / best.prefill_tokens_per_s
    assert share_of_prefill == pytest.approx(1 - best.iteration_s / best.tpot_s, rel=1e-9)


def test_a_looser_limit_never_serves_less():
    rates = [served("deepseek-r1", "gb200-nvl72", tpot_s=limit).best.output_tokens_per_s for limit in (0.02, 0.05, 0.1)]
    assert rates == sorted(rates)


def test_decode_of_one_sequence_is_bound_by_reading_the_weights():
    """One token at a time reads every weight once: time is at least bytes over achieved bandwidth."""
    machine = topologies.machine("hgx-h100")
    work = program(workloads.model("llama3-70b"))
    arrays = _Arrays(work, machine, workloads.stack("vllm-0.15"), 128, 128, "bf16", Draw())
    parts = np.empty(4)
    levels = np.empty((0, COLUMNS))
    alone = (1.0, 1.0, 1.0, 1.0, 128.0, kernels.DECODE)  # tensor, copies, tokens, sequences, context
    given = (work.rows, arrays.counts, arrays.chip, levels, arrays.stack)
    seconds = kernels.iteration(*given, *alone, np.empty((1, COLUMNS)), parts)
    chip = machine.chip
    read_s = 2 * work.active_parameters / (chip.hbm.bandwidth.si * chip.hbm.fraction.si)
    assert read_s < parts[0] < 1.2 * read_s
    assert seconds > read_s


def test_caches_hold_what_the_architectures_publish():
    """Llama-3 70B keeps 80 layers x 8 heads x 128 x 2 values; latent attention 576 values a layer, on every rank."""
    machine = topologies.machine("hgx-h100")
    stack = workloads.stack("vllm-0.15")
    llama = _Arrays(program(workloads.model("llama3-70b")), machine, stack, 1, 1, "bf16", Draw())
    assert kernels.kv_bytes_per_sequence(1.0, llama.counts, 1.0) == 2 * 80 * 8 * 128 * 2
    assert kernels.kv_bytes_per_sequence(1.0, llama.counts, 16.0) == 2 * 80 * 8 * 128 * 2 / 8
    deepseek = _Arrays(program(workloads.model("deepseek-v3")), machine, stack, 1, 1, "bf16", Draw())
    assert kernels.kv_bytes_per_sequence(1.0, deepseek.counts, 8.0) == 2 * 61 * 576


def test_a_sliding_window_keeps_only_the_window():
    arrays = _Arrays(
        program(workloads.model("gpt-oss-120b")),
        topologies.machine("hgx-h100"),
        workloads.stack("vllm-0.15"),
        1,
        1,
        "bf16",
        Draw(),
    )
    short, longer, longest = (kernels.kv_bytes_per_sequence(n, arrays.counts, 1.0) for n in (100.0, 1128.0, 2128.0))
    assert longest - longer < (longer - short) * 1000 / 1028


def test_weights_are_those_of_the_model_when_nothing_is_split():
    work = program(workloads.model("deepseek-v3"))
    arrays = _Arrays(work, topologies.machine("hgx-h100"), workloads.stack("vllm-0.15"), 1, 1, "fp8", Draw())
    whole = kernels.weight_bytes(arrays.counts, arrays.chip, 1.0, 1.0)
    embeddings = 2 * work.embedding_parameters
    assert whole == pytest.approx(work.parameters - work.embedding_parameters + embeddings, rel=1e-3)


def test_experts_that_do_not_divide_the_chips_are_copied():
    counts = np.zeros(17)
    counts[kernels.EXPERTS] = 256
    assert [kernels.local_experts(counts, ranks) for ranks in (1.0, 64.0, 80.0, 320.0)] == [256, 4, 4, 1]


def test_what_fits_nowhere_says_what_it_needs():
    found = served("kimi-k2", "hgx-h100")
    assert found.best is None
    assert found.infeasible.needed_bytes > found.infeasible.available_bytes > 0


def test_a_limit_that_nothing_keeps_is_infeasible_without_blaming_memory():
    found = served("llama3-405b", "gb200-nvl72", tpot_s=1e-4)
    assert found.best is None
    assert found.infeasible.needed_bytes == 0
    assert "TPOT" in found.infeasible.reason


def test_eight_bit_weights_use_int8_where_there_is_no_fp8():
    assert serving_dtype(topologies.machine("cloudmatrix384").chip, "fp8") == "int8"
    assert serving_dtype(topologies.machine("scalex640").chip, "fp8") == "bf16"
    assert serving_dtype(topologies.machine("hgx-h100").chip, "fp8") == "fp8"


def test_a_training_stack_does_not_serve():
    with pytest.raises(InputError, match="does not serve"):
        served("llama3-8b", "hgx-h100", stack="megatron-bridge-26.06")


def test_plain_and_compiled_batch_search_agree_to_the_last_bit():
    work = program(workloads.model("gpt-oss-120b"))
    machine = topologies.machine("hgx-h100")
    arrays = _Arrays(work, machine, workloads.stack("vllm-0.15"), 2048, 256, "fp8", Draw())
    from simulator.collectives import level_rows
    from simulator.machine import slice_of

    levels = level_rows(slice_of(machine, 8).levels, machine.software, Draw())
    results = []
    for kernel in (kernels.best_batch, kernels.best_batch_fast):
        out, parts, scratch = np.zeros(6), np.empty(4), np.empty((len(levels) + 1, COLUMNS))
        kernel(
            work.rows,
            arrays.counts,
            arrays.work,
            arrays.chip,
            levels,
            arrays.stack,
            2.0,
            4.0,
            0.03,
            scratch,
            parts,
            out,
        )
        results.append((out.tobytes(), parts.tobytes()))
    assert results[0] == results[1]
