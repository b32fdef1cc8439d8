"""Predicted against published: rows read, plans restored, quantities converted, errors summed up."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import topologies
import workloads
from simulator.collectives import price
from simulator.machine import slice_of
from simulator.plan import Plan
from simulator.training import step
from supernode.cli import validate as command
from supernode.plots.validation import family_looks, pictures, validation_figure
from supernode.validation import Case, Row, as_json, default_files, predict, read_cases, summary, validate
from supernode.validation.answers import Refused
from supernode.validation.architecture import architecture
from supernode.validation.columns import FORMATS
from supernode.validation.parts import part_of
from supernode.validation.possibilities import dtypes, possibilities
from supernode.validation.rates import flops_per_token
from supernode.validation.stacks import stacks_of
from supernode.validation.training import TUNED
from workloads.program import count, moe_layers, program

UNREAD = ("id", "split", "clean", "group", "source_title", "source_url", "note", "confidence", "system", "family")
LLAMA = {
    "id": "T1",
    "machine": "hgx-h100",
    "chips": "64",
    "params_B": "70.6",
    "layers": "80",
    "hidden": "8192",
    "heads": "64",
    "kv_heads": "8",
    "ffn": "28672",
    "vocab": "128256",
    "seq_len": "8192",
    "precision": "BF16",
    "tp": "4",
    "cp": "1",
    "pp": "4",
    "vp": "5",
    "dp": "4",
    "zero_or_fsdp": "distributed-optimizer",
    "micro_batch": "1",
    "global_batch": "128",
    "recompute": "full",
    "unit": "s/step",
    "step_time_s": "20",
    "family": "H100",
    "split": "mine",
}
RING = {
    "id": "c1",
    "machine": "hgx-h100",
    "chips": "8",
    "collective": "all_reduce",
    "algorithm_if_known": "Ring",
    "message_bytes": "1e9",
    "time_us": "5000",
    "busbw_GBps": "",
    "split": "mine",
}


def _file(folder: Path, *rows: dict[str, str], name: str = "cases.csv") -> Path:
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def case(tmp_path):
    def made(base: dict[str, str], **changes: str) -> Case:
        changed = base | {key: value for key, value in changes.items() if value != "gone"}
        changed = {key: value for key, value in changed.items() if changes.get(key) != "gone"}
        return read_cases(_file(tmp_path, changed))[0]

    return made


@pytest.fixture
def row(case):
    def made(base: dict[str, str], **changes: str) -> Row:
        return predict(case(base, **changes))

    return made


@pytest.fixture(scope="module")
def published() -> dict:
    return as_json(validate())


def test_a_collective_is_predicted_as_the_engine_prices_it(row):
    found = row(RING)
    priced = price("all-reduce", 1e9, slice_of(topologies.machine("hgx-h100"), 8), algorithm="ring")
    assert (found.status, found.unit, found.measured) == ("ok", "s", pytest.approx(5e-3))
    assert found.predicted == pytest.approx(priced.seconds, rel=1e-12)
    assert found.error == pytest.approx(priced.seconds / 5e-3 - 1, rel=1e-12)
    assert found.low < found.predicted < found.high


def test_without_a_time_the_bus_bandwidth_is_compared_as_nccl_tests_defines_it(row):
    timed, rated = row(RING), row(RING, time_us="", busbw_GBps="350")
    assert rated.unit == "B/s"
    assert rated.predicted == pytest.approx(1e9 * 2 * 7 / 8 / timed.predicted, rel=1e-12)


def test_a_zero_is_a_rounded_value_and_not_a_measurement(row):
    assert row(RING, time_us="0", busbw_GBps="350").unit == "B/s"
    assert row(RING, time_us="0", busbw_GBps="0").status == "unsupported"


def test_a_named_network_joins_the_machines_and_an_unknown_one_is_said_to_be_unknown(row):
    fast = row(RING, chips="32", network="ib-ndr-8x400", algorithm_if_known="")
    default = row(RING, chips="32", network="", algorithm_if_known="")
    assert fast.predicted == default.predicted
    unknown = row(RING, chips="32", network="carrier-pigeon")
    assert (unknown.status, unknown.predicted) == ("unsupported", None)
    assert "carrier-pigeon" in unknown.reason
    assert row(RING, chips="8", network="carrier-pigeon").status == "ok"  # nothing leaves the machine


def test_a_part_of_every_rack_is_used_where_chips_are_no_whole_number_of_racks(case):
    part = part_of(case(RING, machine="gb200-nvl72", chips="256"))
    assert [level.size for level in part.levels] == [64, 4]
    assert (part.chips, part.machines) == (256, 4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"machine": "hgx-of-tomorrow"}, "not in the catalogue"),
        ({"machine": ""}, "not named"),
        ({"machine": "../../etc/passwd.toml"}, "not in the catalogue"),
        ({"collective": "moe_shuffle"}, "moe_shuffle is not predicted yet"),
        ({"message_bytes": ""}, "message_bytes is empty"),
        ({"chips": ""}, "number of chips"),
    ],
)
def test_what_is_not_predicted_keeps_its_row_and_says_why(row, changes, reason):
    found = row(RING, **changes)
    assert (found.status, found.predicted, found.error) == ("unsupported", None, None)
    assert reason in found.reason


def test_a_step_is_predicted_as_the_engine_prices_the_same_plan(row):
    found = row(LLAMA)
    plan = Plan(tensor=4, pipeline=4, virtual_stages=5, data=4, recompute="full")
    priced = step(
        program(workloads.model("llama3-70b")),
        plan,
        slice_of(topologies.machine("hgx-h100"), 64),
        workloads.stack("megatron-bridge-26.04"),
        sequence=8192,
        batch=128,
    )
    assert found.predicted == pytest.approx(priced.seconds, rel=1e-9)
    assert (found.stack, found.possibilities) == ("megatron-bridge-26.04", 1)
    assert found.low < found.predicted < found.high


def test_the_same_step_compared_as_a_rate_is_the_same_prediction(row):
    seconds = row(LLAMA).predicted
    tokens = 128 * 8192
    rates = {"tokens/s": tokens, "tokens/s/chip": tokens / 64, "seq/s": 128, "samples/s": 128}
    for unit, amount in rates.items():
        found = row(LLAMA, step_time_s="", value="1000", unit=unit)
        assert found.predicted == pytest.approx(amount / seconds, rel=1e-12), unit
        assert found.measured == 1000


def test_a_flop_rate_lies_between_causal_and_whole_attention(row):
    seconds = row(LLAMA).predicted
    found = row(LLAMA, step_time_s="", value="400", unit="TFLOP/s/chip", metric="model FLOP rate")
    work = program(workloads.model("llama3-70b"))
    low, high = (3 * flops_per_token(work, 8192, causal=causal) * 128 * 8192 / 64 / seconds for causal in (True, False))
    assert found.measured == 4e14
    assert found.predicted == pytest.approx((low * high) ** 0.5, rel=1e-12)
    hardware = row(
        LLAMA, step_time_s="", value="400", unit="TFLOP/s/chip", metric="FLOP rate (hardware incl. recompute)"
    )
    assert hardware.predicted == pytest.approx(high * 4 / 3, rel=1e-12)


def test_flops_of_a_gpt_follow_the_formula_of_narayanan_2021():
    # 24 B s l h^2 (1 + s / 6h + V / 12lh) forward, Narayanan et al., SC21, appendix; biases and norms are not counted
    work = program(workloads.model("gpt3-175b"))
    s, l, h, v = 2048, 96, 12288, 50257
    formula = 24 * l * h * h * (1 + s / (6 * h) + v / (12 * l * h))
    assert flops_per_token(work, s, causal=False) == pytest.approx(formula, rel=1e-3)


@pytest.mark.parametrize(
    ("unit", "metric", "reason"),
    [
        ("% MFU", "MFU", "MFU"),
        ("min", "time-to-train", "time to train"),
        ("GPU-hours", "cost", "GPU-hours"),
        ("furlongs", "", "furlongs"),
    ],
)
def test_measures_without_a_common_definition_are_refused_by_name(row, unit, metric, reason):
    found = row(LLAMA, step_time_s="", value="50", unit=unit, metric=metric)
    assert found.status == "unsupported"
    assert reason in found.reason


@pytest.mark.parametrize(("column", "values"), [("vp", "1 2 4 8"), ("recompute", "none selective full")])
def test_what_is_unknown_enters_as_every_possibility_and_the_band_holds_them_all(row, column, values):
    small = {"seq_len": "2048", "vp": "1"}
    each = [row(LLAMA, **small | {column: value}).predicted for value in values.split()]
    unknown = row(LLAMA, **small | {column: ""})
    assert unknown.possibilities == len(each)
    assert unknown.predicted == pytest.approx(np.exp(np.median(np.log(each))), rel=1e-12)
    assert unknown.low <= min(each) <= max(each) <= unknown.high


def test_a_plan_left_open_is_one_that_its_owner_would_have_chosen(row):
    found = row(LLAMA, tp="", pp="", dp="", vp="", micro_batch="")
    one_of_them = row(LLAMA, vp="1")
    assert found.possibilities > 1
    assert found.predicted <= TUNED * one_of_them.predicted


def test_missing_data_ranks_are_what_fills_the_chips(row):
    assert row(LLAMA, dp="").predicted == row(LLAMA).predicted


def test_devices_of_a_chip_count_as_one_with_the_sequences_of_both(case):
    base = LLAMA | {"machine": "ironwood-9216", "chips": "256", "tp": "1", "pp": "1", "vp": "", "dp": "512"}
    fsdp = case(base, zero_or_fsdp="FSDP over 512 devices", micro_batch="3", global_batch="1536")
    (only,) = possibilities(fsdp, architecture(fsdp), part_of(fsdp))
    assert (only.plan.data, only.plan.micro_batch, only.plan.zero) == (256, 6, 3)
    split = case(base, cp="8", dp="64", zero_or_fsdp="FSDP64", micro_batch="0.125", global_batch="64")
    (only,) = possibilities(split, architecture(split), part_of(split))
    assert (only.plan.context, only.plan.data, only.plan.micro_batch) == (4, 64, 1)


MAVERICK = {
    "model": "Llama4-Maverick",
    "machine": "tpu-v5p",
    "chips": "128",
    "params_B": "400",
    "layers": "48",
    "hidden": "5120",
    "heads": "40",
    "kv_heads": "8",
    "head_dim": "128",
    "ffn": "16384",
    "vocab": "202048",
    "experts": "128",
    "topk": "1",
    "moe_ffn": "8192",
    "shared_experts": "1",
    "dense_layers": "24",
    "pp": "1",
    "vp": "",
    "dp": "32",
    "zero_or_fsdp": "FSDP32",
    "micro_batch": "4",
    "global_batch": "512",
}
"""A published configuration of MaxText: four sequences for each of 128 devices, of which four share each sequence."""


def test_a_device_mesh_gives_tensor_ranks_their_sequences_together_and_experts_no_axis_that_is_not_left(case):
    stated = case(LLAMA | MAVERICK)
    (only,) = possibilities(stated, architecture(stated), part_of(stated))
    assert (only.plan.tensor, only.plan.data, only.plan.micro_batch) == (4, 32, 16)
    assert (only.plan.expert, only.plan.expert_tensor) == (1, 4)
    silent = case(LLAMA | MAVERICK, dp="")
    legal = {each.plan.expert for each in possibilities(silent, architecture(silent), part_of(silent))}
    assert legal == {1, 2, 4, 8, 16, 32}  # times four tensor ranks, which split each expert
    elsewhere = case(LLAMA | MAVERICK | {"stack": "megatron-bridge-26.06"})
    found = possibilities(elsewhere, architecture(elsewhere), part_of(elsewhere))
    assert {(each.plan.micro_batch, each.plan.expert_tensor) for each in found} == {(4, 1)}
    assert {each.plan.expert for each in found} == {1 << power for power in range(8)}


def test_slices_of_one_machine_that_a_row_says_are_joined_by_a_network_are_joined_so(case):
    joined = part_of(case(LLAMA, machine="tpu-v4", chips="512", zero_or_fsdp="FSDP64 x 8 DCN-DP"))
    assert (joined.machines, joined.chips, joined.levels[-1].link.family) == (8, 512, "dcn")
    whole = part_of(case(LLAMA, machine="tpu-v4", chips="512", zero_or_fsdp="FSDP512 x 1 DCN-DP"))
    assert (whole.machines, whole.chips) == (1, 512)
    assert joined.levels[: len(joined.levels) - 1] != whole.levels


def test_policies_of_recompute_that_keep_some_tensors_of_each_layer_are_so_many_layers(case):
    def savings(named):
        stated = case(LLAMA | MAVERICK, recompute=named)
        found = possibilities(stated, architecture(stated), part_of(stated))
        return {(each.plan.recompute, each.plan.recompute_layers, each.plan.offload) for each in found}

    parts = {("full", layers) for layers in (12, 24, 36)}
    assert savings("full") == {("full", 0, "none")}
    assert savings("minimal") == {("selective", 0, "none")}
    assert savings("custom offload") == {
        (*mode, "activations") for mode in {("none", 0), ("selective", 0), ("full", 0)} | parts
    }
    assert {(mode, layers) for mode, layers, offload in savings("custom") if layers} == parts
    assert not any(layers for _, layers, _ in savings("unspecified"))


def test_recomputing_a_part_counts_only_where_it_is_faster_than_recomputing_everything(case):
    from simulator.figures import Draw
    from supernode.validation.training import plausible, run_of

    slow = run_of(case(LLAMA | MAVERICK, recompute="custom offload", micro_batch="1", global_batch="128"), "s")
    kept = plausible(slow, Draw())
    times = dict(zip([each.plan.recompute_layers for each in kept.found], kept.values(Draw()), strict=True))
    assert 0 in times
    assert max(times.values()) == times[0]
    assert len(kept.found) < len(slow.found)


def test_degrees_that_do_not_fill_the_chips_are_remarked_on(row):
    found = row(LLAMA, dp="2")
    assert found.status == "ok"
    assert "= 32, not 64 chips" in found.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tp": "3", "chips": "48", "dp": "4"}, "tp = 3 does not divide 64 heads"),
        ({"tp": "64", "pp": "3", "dp": ""}, "does not divide 64 chips"),
        ({"pp": "64", "tp": "1", "dp": "1", "layers": "32"}, "pp = 64 is more than the 32 layers"),
        ({"global_batch": "2"}, "without a sequence"),
        ({"kv_heads": "7"}, "do not divide"),
    ],
)
def test_a_plan_that_cannot_be_laid_out_is_infeasible(row, changes, reason):
    found = row(LLAMA, **changes)
    assert found.status == "infeasible"
    assert reason in found.reason


def test_a_plan_that_our_count_of_memory_refuses_is_predicted_with_a_remark(row):
    found = row(LLAMA, tp="1", pp="1", dp="64", vp="")
    assert found.status == "ok"
    assert "count of memory" in found.reason


@pytest.mark.parametrize("name", ["hidden", "heads", "ffn", "vocab", "layers"])
def test_a_missing_column_of_the_architecture_is_named(row, name):
    found = row(LLAMA, **{name: ""})
    assert found.status == "unsupported"
    assert found.reason == f"the architecture lacks {name}"


@pytest.mark.parametrize("name", workloads.names("models"))
def test_every_model_of_the_catalogue_is_recognised_by_its_columns_alone(case, name):
    model = workloads.model(name)
    mixed = model.experts
    columns = {field: str(getattr(model, field)) for field in ("layers", "hidden", "heads", "kv_heads", "ffn", "vocab")}
    if mixed:
        columns |= {"experts": f"{mixed.count}", "topk": f"{mixed.active}", "moe_ffn": f"{mixed.ffn}"}
        columns |= {"shared_experts": f"{mixed.shared}", "dense_layers": f"{model.layers - moe_layers(model)}"}
    found = architecture(case(LLAMA, **columns, params_B=""))
    assert (found.latent, found.window, found.experts, found.gated) == (model.latent, model.window, mixed, model.gated)
    assert count(found).parameters == count(model).parameters


def _stated(model, **changes):
    names = ("layers", "hidden", "heads", "kv_heads", "ffn", "vocab")
    return {name: str(getattr(model, name)) for name in names} | changes


def test_of_models_that_agree_the_nearest_vocabulary_and_number_of_layers_count(case):
    for name in ("mpt-7b", "gpt3-6.7b", "megatron-22b", "gpt-neox-20b", "mt-nlg-530b"):
        assert architecture(case(LLAMA, **_stated(workloads.model(name)), params_B="")).name == name
    padded = _stated(workloads.model("gpt3-175b"), vocab="51200")  # as Megatron pads it: 96 layers of the 145.6b
    assert count(architecture(case(LLAMA, **padded, params_B="175"))).parameters == pytest.approx(174.6e9, rel=1e-3)


def test_a_stated_head_gives_way_to_stated_parameters_and_to_nothing_else(case):
    # MaxText 22B: 24 heads of 256 make up 22e9 parameters; later defaults of 128 do not
    model = workloads.model("maxtext-22b")
    assert architecture(case(LLAMA, **_stated(model, head_dim="128"), params_B="22")).head_dim == 256
    assert architecture(case(LLAMA, **_stated(model, head_dim="128"), params_B="18.3")).head_dim == 128
    assert architecture(case(LLAMA, **_stated(model, head_dim="128"), params_B="")).head_dim == 128


@pytest.mark.parametrize("layers", [1, 2, 3, 24])
def test_a_part_of_a_model_has_the_same_share_of_experts_and_windows(case, layers):
    model = workloads.model("llama4-maverick")
    mixed = {"experts": "128", "topk": "1", "moe_ffn": "8192", "shared_experts": "1", "dense_layers": ""}
    found = architecture(case(LLAMA, **_stated(model, layers=str(layers)), **mixed, params_B=""))
    assert moe_layers(found) == max(1, layers // 2)
    assert found.windowed_layers == round(0.75 * layers)
    stated = architecture(case(LLAMA, **_stated(model, layers="4"), **mixed | {"dense_layers": "1"}, params_B=""))
    assert moe_layers(stated) == 3


@pytest.mark.parametrize(
    ("columns", "billions", "gated"),
    [
        # MPT-3B, MosaicML llm-foundry; Mistral 7B; a plain MLP of 4 h and a gated one of 3.5 h
        ({"layers": 32, "hidden": 2560, "heads": 20, "kv_heads": 20, "ffn": 10240, "vocab": 50368}, 2.652, False),
        ({"layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 8, "ffn": 14336, "vocab": 32000}, 7.24, True),
        ({"layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 32, "ffn": 16384, "vocab": 50368}, 6.659, False),
    ],
)
def test_an_unknown_model_is_gated_and_tied_as_its_parameters_say(case, columns, billions, gated):
    texts = {name: str(value) for name, value in columns.items()}
    found = architecture(case(LLAMA, **texts, params_B=str(billions)))
    assert found.gated is gated
    assert count(found).parameters == pytest.approx(billions * 1e9, rel=0.01)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("BF16", ["bf16"]),
        ("FP16", ["fp16"]),
        ("FP8-CS", ["fp8"]),
        ("MXFP8", ["fp8"]),
        ("bf16+fp8", ["fp8"]),
        ("NVFP4", ["fp4"]),
        ("INT8 (AQT)", ["int8"]),
        ("", ["bf16", "fp8"]),
    ],
)
def test_precisions_are_read_as_sources_write_them(text, meant):
    assert dtypes(text) == meant


def test_no_prediction_can_see_titles_splits_or_results():
    for form in FORMATS:
        assert set(form.given).isdisjoint({*form.measured, *UNREAD} - {"system"})
    assert all("system" not in form.given for form in FORMATS if form.kind in {"collective", "training"})


@pytest.mark.parametrize("file", default_files(), ids=lambda path: path.stem)
def test_shuffling_what_no_prediction_may_read_changes_no_byte_of_any_prediction(tmp_path, file):
    with file.open(newline="", encoding="utf-8") as handle:
        rows = [dict(row) for row in csv.DictReader(handle)]
    shuffled = [dict(row) for row in rows]
    generator = random.Random(7)  # noqa: S311 - a shuffle, not a secret
    measured = ("time_us", "busbw_GBps", "algbw_GBps", "step_time_s", "value")
    for column in (*UNREAD, *measured):
        for pattern in (True, False):  # what was measured stays the same quantity, with another value
            places = [index for index, row in enumerate(rows) if bool(row.get(column)) is pattern]
            values = [rows[index].get(column, "") for index in places]
            generator.shuffle(values)
            for index, value in zip(places, values, strict=True):
                if column in rows[index]:
                    shuffled[index][column] = value
    before, after = (validate([_file(tmp_path, *group)]).rows for group in (rows, shuffled))
    assert [one.case.id for one in before] != [one.case.id for one in after]
    keys = ("predicted", "low", "high", "unit", "stack", "status", "possibilities")
    assert [[getattr(one, key) for key in keys] for one in before] == [
        [getattr(one, key) for key in keys] for one in after
    ]


def test_statistics_of_four_rows_worked_by_hand(case):
    empty = case(RING)

    def judged(error: float, low: float, high: float) -> Row:
        return Row(empty, "", "ok", measured=1.0, predicted=1 + error, low=low, high=high, unit="s", error=error)

    rows = [judged(0.5, 1.2, 1.8), judged(-0.1, 0.8, 1.1), judged(0.0, 0.9, 1.1), Row(empty, "", "unsupported")]
    found = summary(rows)
    assert found["count"] == 3
    assert found["unsupported"] == 1
    assert found["mape"] == pytest.approx(0.2)
    assert found["median"] == pytest.approx(0.1)
    assert found["bias"] == pytest.approx(0.4 / 3)
    assert found["p90"] == pytest.approx(0.42)  # 80 % of the way from the second to the third of three
    assert found["inside_band"] == pytest.approx(2 / 3)
    assert found["band_width"] == pytest.approx((0.6 / 1.5 + 0.3 / 0.9 + 0.2) / 3)
    held_against = summary(rows, with_unsupported=True)
    assert held_against["count"] == 4
    assert held_against["mape"] == pytest.approx(1.6 / 4)
    assert held_against["inside_band"] == pytest.approx(0.5)


def test_statistics_of_nothing_are_null_and_not_zero(case):
    found = summary([Row(case(RING), "", "unsupported")])
    assert found["count"] == 0
    assert all(found[key] is None for key in ("mape", "median", "p90", "bias", "inside_band", "band_width"))


@pytest.mark.parametrize(
    ("header", "cells", "kind"),
    [
        ("id,model,input_len,output_len,split,machine", "a,M,1,2,dev,hgx-h100", "inference"),
        ("id,backend,isl,osl,system,cfg_split", "a,vllm,1,2,h100_sxm,dev", "inference"),
        ("id,setting,quantity,value,split,experiment", "a,x,y,1,dev,mmc", "scheduling"),
    ],
)
def test_kinds_that_are_not_predicted_yet_are_recognised_and_every_row_is_kept(tmp_path, header, cells, kind):
    path = tmp_path / "other.csv"
    path.write_text(f"{header}\n{cells}\n{cells}\n", encoding="utf-8")
    found = as_json(validate([path]))
    assert (found["kind"], len(found["rows"])) == (kind, 2)
    assert {row["status"] for row in found["rows"]} == {"unsupported"}
    assert {row["split"] for row in found["rows"]} == {"dev"}
    assert found["reasons"] == {f"unsupported: {kind} is not predicted yet": 2}


def test_published_rows_are_all_there_with_their_error_or_their_reason(published):
    rows = published["rows"]
    read = [case for path in default_files() if path.parent.name == "published" for case in read_cases(path)]
    assert {case.id for case in read} <= {row["id"] for row in rows}
    for row in rows:
        if row["status"] == "ok":
            assert row["error"] == pytest.approx(row["predicted"] / row["measured"] - 1, rel=1e-12)
            assert row["low"] <= row["predicted"] <= row["high"]
        else:
            assert row["reason"]
            assert row["predicted"] is row["error"] is None
    whole = published["summary"]
    assert whole["count"] + whole["unsupported"] + whole["infeasible"] == len(rows) == whole["rows"]
    assert sum(family["count"] for family in published["families"].values()) == whole["count"]
    assert whole["with_unsupported"]["mape"] >= whole["mape"]


def test_the_project_ships_measurements_with_public_sources():
    folder = next(path.parent for path in default_files() if path.parent.name == "published")
    for name in ("collectives.csv", "training.csv"):
        with (folder / name).open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        assert len(rows) >= 30
        assert len({row["id"] for row in rows}) == len(rows)
        assert all(row["source_title"] and row["source_url"].startswith("http") for row in rows)
        assert {row["split"] for row in rows} <= {"calibrate", "dev"}
        assert all(row["machine"] in topologies.names("machines") for row in rows)


def test_predictions_are_the_same_bytes_every_time(tmp_path):
    path = _file(tmp_path, LLAMA | {"vp": ""}, LLAMA | {"id": "T2", "machine": "gb200-nvl72", "dp": "4"})
    assert json.dumps(as_json(validate([path]))) == json.dumps(as_json(validate([path])))


def test_every_row_of_the_reference_data_is_reported_once(shared_data, monkeypatch):
    monkeypatch.setenv("SUPERNODE_DATA", str(shared_data))
    files = default_files()
    assert [path.name for path in files[-2:]] == ["measured-comm.csv", "measured-training.csv"]
    found = validate(files)
    distinct = {(case.kind, case.id) for path in files for case in read_cases(path)}
    assert len(found.rows) == len(distinct)
    assert found.repeated == sum(len(read_cases(path)) for path in files[:-2])
    assert {row.status for row in found.rows} <= {"ok", "unsupported", "infeasible"}


def test_without_the_variable_only_the_shipped_cases_are_read(monkeypatch):
    monkeypatch.delenv("SUPERNODE_DATA", raising=False)
    assert {path.name for path in default_files()} == {"collectives.csv", "training.csv"}


def test_the_command_prints_one_json_object_and_writes_its_files(tmp_path):
    app = typer.Typer()
    app.command()(command.validate)
    cases, out = _file(tmp_path, LLAMA), tmp_path / "out"
    found = CliRunner().invoke(app, ["--cases", str(cases), "--json", "--out", str(out)])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout) == json.loads((out / "validation.json").read_text(encoding="utf-8"))
    assert json.loads(found.stdout)["schema"] == 1
    assert (out / "validation.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (out / "validation.svg").read_bytes()
    page, picture = tmp_path / "page.md", tmp_path / "picture.svg"
    table = CliRunner().invoke(app, ["--cases", str(cases), "--markdown", str(page), "--plot", str(picture)])
    assert table.exit_code == 0
    assert "By family" in table.stdout
    assert "all rows, those not predicted as 100 % error" in table.stdout
    assert page.read_text(encoding="utf-8").startswith("# Predicted against published")
    assert b"<svg" in picture.read_bytes()
    refused = CliRunner().invoke(app, ["--cases", str(cases), "--plot", "picture.jpg"])
    assert "end the path in .png or .svg" in str(refused.exception)


def test_the_scatter_plot_names_quantities_units_families_splits_and_the_ten_per_cent_lines(tmp_path):
    rows = validate([_file(tmp_path, LLAMA, LLAMA | {"id": "T2", "family": "other", "split": "dev"})]).rows
    figure = validation_figure(rows)
    scatter, ratios = figure.axes
    assert scatter.get_xlabel() == "measured time of a training step [s]"
    assert scatter.get_ylabel() == "predicted time of a training step [s]"
    assert scatter.get_xscale() == scatter.get_yscale() == "log"
    assert [text.get_text() for text in ratios.get_yticklabels()] == ["H100", "other"]
    shown = {text.get_text() for text in figure.legends[0].get_texts()}
    assert shown == {"equal", "±10 %", "split mine", "split dev", "H100 (1)", "other (1)"}
    assert validation_figure([]).axes[0].texts[0].get_text() == "no row was predicted"


def test_twenty_eight_families_all_look_different(tmp_path):
    rows = [
        replace(row, case=replace(row.case, family=f"f{n}"))
        for n in range(28)
        for row in validate([_file(tmp_path, LLAMA)]).rows
    ]
    looks = family_looks(rows)
    assert len({(look["color"], look["fillstyle"]) for look in looks.values()}) == 28


def test_a_picture_is_the_same_bytes_every_time(tmp_path):
    rows = validate([_file(tmp_path, LLAMA)]).rows
    assert pictures(rows) == pictures(rows)


@pytest.mark.parametrize(
    ("name", "precision", "expected"),
    [
        ("GPT-175B (MegaScale)", "BF16", ("megascale-2024",)),
        ("GPT-175B (Megatron-LM)", "BF16", ("megatron-lm-2023",)),
        ("GPT-175B (Megatron-LM)", "FP16", ("megatron-lm-2022",)),
        ("GPT-175B", "BF16", ("megatron-lm-2023", "megascale-2024")),
    ],
)
def test_a_row_whose_model_says_what_ran_it_has_that_stack_alone(case, name, precision, expected):
    stated = case(LLAMA, model=name, machine="hgx-a100-80gb", precision=precision, recompute="")
    assert tuple(stack.name for stack in stacks_of(stated, topologies.machine("hgx-a100-80gb"))) == expected


@pytest.mark.parametrize(
    ("machine", "precision", "expected"),
    [
        ("gb200-nvl72", "MXFP8", ("megatron-bridge-26.06", "megatron-bridge-26.04")),
        ("gb300-nvl72", "BF16", ("megatron-bridge-26.04",)),
        ("hgx-b200", "MXFP8", ("megatron-bridge-26.04",)),
        ("hgx-h100", "FP8", ("megatron-bridge-26.04",)),
    ],
)
def test_experts_in_block_scaled_fp8_on_racks_can_have_been_fused(case, machine, precision, expected):
    stated = case(LLAMA, machine=machine, precision=precision)
    assert tuple(stack.name for stack in stacks_of(stated, topologies.machine(machine))) == expected


def test_a_row_may_name_the_order_of_its_passes(case):
    def found(**cells):
        stated = case(LLAMA, global_batch="256", **cells)
        return {(each.plan.schedule, each.plan.virtual_stages) for each in possibilities_of(stated)}

    def possibilities_of(stated):
        return possibilities(stated, architecture(stated), part_of(stated))

    assert found(schedule="zb-v", vp="") == {("zb-v", 2)}
    assert found(schedule="zb-h2", vp="") == {("zb-h2", 1)}
    assert found(schedule="1F1B") == {("1f1b", 5)}
    with pytest.raises(Refused, match=r"zb-h3 is none of gpipe, 1f1b"):
        found(schedule="zb-h3")
    with pytest.raises(Refused, match=r"zb-v cannot run"):
        found(schedule="zb-v", vp="4")
