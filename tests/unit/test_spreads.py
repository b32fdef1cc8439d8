"""The range of what closed forms miss: held to the rows it is taken from, and never a part of the prediction."""

from __future__ import annotations

import csv
import functools
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

import topologies
from simulator.collectives import group_of, price, price_in
from simulator.collectives.exchange import Tokens, balanced, combine, dispatch
from simulator.errors import InputError
from simulator.figures import Draw
from simulator.machine import slice_of
from supernode.collective_sweep import Request, sweep
from supernode.fitting.spread import spread, spreads_by_size
from supernode.validation import exchange
from supernode.validation.cases import read_cases
from supernode.validation.parts import part_of
from supernode.validation.run import predict
from topologies import spreads

FOLDER = os.environ.get("SUPERNODE_DATA")
KIB, MIB = 1024.0, 1024.0**2
MACHINES = {
    "a100_sxm": "hgx-a100-80gb",
    "h100_sxm": "hgx-h100",
    "h200_sxm": "hgx-h200",
    "b200_sxm": "hgx-b200",
    "gb200": "gb200-nvl72",
    "gb300": "gb300-nvl72",
}
"""Systems of the kernel tables -> machines."""
ENOUGH = 8
"""Rows from which a family has a spread of its own."""


def asked(size, chips, level="", machine="hgx-h100"):
    """A request for an all-reduce."""
    return Request("all-reduce", machine, size, chips, "", "", "", 64, 0, fidelity=level)


def test_a_spread_is_between_the_percentiles_of_measured_over_predicted_and_holds_one():
    # 21 rows predicted 0 to 20 % too low: measured over predicted 1 to 1.2, 95 % of them below 1.19
    found = spread([1 / (1 + place / 100) - 1 for place in range(21)])
    assert (found.rows, found.low, found.high) == (21, 1.0, pytest.approx(1.19))
    by_size = spreads_by_size([KIB, 64 * KIB, 64 * MIB], [0.25, 0.0, -0.5])
    assert {name: (each.low, each.high) for name, each in by_size.items()} == {
        "small": (0.8, 1.0),
        "middle": (1.0, 1.0),
        "large": (1.0, 2.0),
    }


def test_the_outermost_links_decide_and_unmeasured_families_have_that_of_all():
    machine = topologies.machine("hgx-h100")
    assert spreads.spread_of(slice_of(machine, 8), MIB).key == "spread/nvlink4/middle"
    assert spreads.spread_of(slice_of(machine, 16), KIB).key == "spread/any/small"


def test_no_spread_moves_a_prediction(tmp_path, monkeypatch):
    part = slice_of(topologies.machine("hgx-h100"), 8)
    draw = Draw()
    assert draw(spreads.spread_of(part, MIB)) == 1
    assert sweep(asked("1MiB", 8)).answers[0].seconds == price("all-reduce", MIB, part).seconds
    wrong = tmp_path / "spreads.toml"
    wrong.write_text(
        spreads.FILE.read_text().replace("value = 1\n", "value = 1.1\n", 1).replace("low = 0.78", "low = 1")
    )
    monkeypatch.setattr(spreads, "FILE", wrong)
    monkeypatch.setattr(spreads, "ROOT", tmp_path / "a" / "b")
    spreads.spreads.cache_clear()
    with pytest.raises(InputError, match=r"1\.1 would move predictions"):
        spreads.spread_of(part, MIB)
    spreads.spreads.cache_clear()


@pytest.mark.parametrize("size", ["4KiB", "4MiB", "4GiB"])
def test_a_band_is_at_least_as_wide_as_what_the_family_misses_and_never_below_a_bound(size):
    part = slice_of(topologies.machine("hgx-h100"), 8)
    found = sweep(asked(size, 8)).answers[0]
    figure = spreads.spread_of(part, found.size_bytes)
    # 5 to 95 % of the triangle from low over one to high
    assert found.high_s / found.seconds > 1 + 0.6 * (figure.high - 1)
    assert found.low_s >= found.bounds.least_s * (1 - 1e-12)
    assert found.low_s < found.seconds


def errors(family: str, size_class: str) -> list[float]:
    """Relative errors of the rows of a family that are open to fitting; of all families but exchange for ``any``."""
    assert FOLDER
    found = []
    rows = exchange_errors if family == spreads.EXCHANGE else nccl_errors
    for where, size, error in (*comm_errors(), *rows()):
        is_one = where == family or (family == spreads.ANY and where != spreads.EXCHANGE)
        if is_one and spreads.size_class(size) == size_class:
            found.append(error)
    return found


@functools.cache
def comm_errors():
    return tuple(_comm_errors())


@functools.cache
def nccl_errors():
    return tuple(_nccl_errors())


@functools.cache
def exchange_errors():
    return tuple(_exchange_errors())


def _comm_errors():
    for case in read_cases(Path(FOLDER) / "reference" / "measured-comm.csv"):
        row = predict(case)
        if case.split != "calibrate" or row.error is None:
            continue
        is_exchange = exchange.phase(case) in exchange.PHASES
        family = spreads.EXCHANGE if is_exchange else part_of(case).levels[-1].link.family
        error = row.error if row.unit == "s" else 1 / (1 + row.error) - 1
        yield family, case.number("message_bytes") or 1e9, error


def table(name):
    with (Path(FOLDER) / "reference" / name).open(encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _nccl_errors():
    for row in table("kernel-collective.csv"):
        if row["lib"] == "nccl" and row["system"] in MACHINES:
            machine = topologies.machine(MACHINES[row["system"]])
            chips, size = int(row["num_gpus"]), float(row["bytes"])
            if chips in machine.legal_chips:
                part = slice_of(machine, chips)
                group = replace(group_of(part), call_s=0.0)  # captured: no host calls
                seconds = price_in(group, row["op_name"], size).seconds
                yield part.levels[-1].link.family, size, seconds / float(row["latency_ms"]) * 1e3 - 1


def _exchange_errors():
    sent = exchange.table().precision
    for row in table("kernel-deepep-ll.csv"):
        name = MACHINES[row["system"]]
        if not name.startswith("hgx") or int(row["num_experts"]) % (8 * int(row["node_num"])):
            continue
        part = slice_of(topologies.machine(name), 8 * int(row["node_num"]))
        kind = "deepep-sglang-blackwell" if name == "hgx-b200" else "deepep-sglang"
        library = topologies.shared("exchange", kind)
        routing = balanced(int(row["num_experts"]), int(row["num_topk"]))
        for price_phase, column, each in ((dispatch, "dispatch", sent["fp8"]), (combine, "combine", sent["bf16"])):
            hidden = int(row["hidden_size"])
            scale = each.scale_bytes * hidden / each.scaled_values
            tokens = Tokens(float(row["num_token"]), hidden, each.bytes_per_value, scale)
            seconds = price_phase(part, routing, tokens, library, "low-latency").seconds
            size = tokens.count * routing.top_k * hidden * each.bytes_per_value
            yield spreads.EXCHANGE, size, seconds / float(row[f"{column}_avg_t_us"]) * 1e6 - 1


@pytest.mark.skipif(not FOLDER, reason="SUPERNODE_DATA names no folder with reference data")
def test_spreads_are_those_of_the_rows_that_are_open_to_fitting():
    for family, entry in spreads.spreads().items():
        for name in spreads.SIZES:
            figure = getattr(entry, name)
            rows = errors(family, name)
            assert (figure is not None) == (len(rows) >= ENOUGH), (family, name, len(rows))
            if figure is not None:
                held = spread(rows)
                assert math.isclose(figure.low, held.low, abs_tol=0.05), (family, name, held)
                assert math.isclose(figure.high, held.high, abs_tol=0.05), (family, name, held)
