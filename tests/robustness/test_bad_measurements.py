"""Measurements that are wrong by mistake or on purpose: one message with file and line, and nothing is written."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from supernode.cli.fit import collective, curves
from supernode.fitting.rows import read_rows
from tests.support_nccl import printed

TIMES = {65536: 31.5, 1048576: 40.2, 16777216: 141.0}
CPU_TIME = json.dumps(
    {
        "args": ["all_reduce_perf", "-C", "1"],
        "config": {"nthreads": 1, "ngpus": 8, "devices": [{"rank": 0}]},
        "results": [{"size": 8, "out_of_place": {"cpu_time": 5.0}}],
    }
)
GOOD = printed("all-reduce", 8, TIMES)


def complaint(tmp_path, text, name="nccl.txt", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        read_rows(path, **options)
    assert str(caught.value).startswith((str(path), "--")) or "unknown collective" in str(caught.value)
    assert "\n  " in str(caught.value), "no remedy"
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        (b"\x00\x01\x02 12 13 float", "is no text"),
        (b"\xff\xfe\x00", "UTF-8"),
        ("hello\nworld\n", "holds no measured collective"),
        (GOOD.replace("31.50", "-31.50"), "a time of -31.5 us"),
        (GOOD.replace("  31.50", "   0.00"), "a time of 0 us"),
        (GOOD.replace("31.50", "31,50"), "no number"),
        (GOOD.replace("31.50", "3.150"), "algbw is"),
        (GOOD.replace("time", "cputime"), "without -C 1"),
        (GOOD.replace("algbw", "bandwidth"), "none of nccl-tests"),
        (GOOD.replace("  0  ", "  7  ", 1).replace("       0", "       7"), "#wrong is 7"),
        (GOOD.replace("all_reduce_perf", "hypercube_perf"), "hypercube_perf is not priced"),
        (GOOD.replace("#  Rank ", "#  Runk "), "--chips"),
        (GOOD.replace("#  Rank  7", "#  Runk  7"), "of 7 ranks"),
        (printed("all-gather", 8, TIMES, named=False), "--kind"),
        (GOOD.replace("Group  0 Pid   4007", "Group  1 Pid   4007"), "groups of 1, 7 ranks"),
        ("{", "is not JSON"),
        ("[1, 2]", "is JSON without results"),
        ('{"results": [{"size": 8}], "args": ["all_reduce_perf"], "config": {}}', "--chips"),
        ('{"results": []}', "--kind"),
        ("collective,chips,message_bytes\nall_reduce,8,1024\n", "columns are missing: time_us"),
        ("collective,chips,message_bytes,time_us\nall_reduce,8,1024\n", "line 2: has 3 cells"),
        ("collective,chips,message_bytes,time_us\nall_reduce,8,x,5\n", "'x' is no number"),
        ("collective,chips,message_bytes,time_us\nall_reduce,1,1024,5\n", "1 chips make no collective"),
        ("collective,chips,message_bytes,time_us\nall_reduce,8,1024,-5\n", "a time of -5 us"),
        ("collective,chips,message_bytes,time_us\nall_reduce,8,1024,nan\n", "no number"),
        ("collective,chips,message_bytes,time_us\nall_redoce,8,1024,5\n", "all_redoce"),
        ("collective,chips,message_bytes,time_us\nall_reduce,1e300,1024,5\n", "1e+300 chips"),
        ("collective,message_bytes,time_us,message_bytes\n", "'message_bytes' stands there twice"),
        ("collective,chips,message_bytes,time_us\n" + "x" * 200_000 + ",8,1024,5\n", "is not CSV"),
        ('[{"name": "AllReduce", "ranks": 8, "size": NaN, "time": 5}]', "no number"),
        (CPU_TIME, "without -C 1"),
        ("[" * 100_000, "is not JSON"),
        ('collective,chips,message_bytes,time_us\n"all_reduce,8,1024,5\n', "is not CSV"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, part):
    assert part in complaint(tmp_path, text)


def test_the_line_of_a_wrong_row_is_named(tmp_path):
    line = next(number for number, text in enumerate(GOOD.splitlines(), 1) if "31.50" in text)
    assert f"line {line}: " in complaint(tmp_path, GOOD.replace("31.50", "99.50"))


def test_options_that_are_wrong_are_refused(tmp_path):
    assert "at least 2" in complaint(tmp_path, GOOD, chips=1)
    assert "busbw / algbw" in complaint(tmp_path, GOOD, chips=4)
    assert "all-reduce" in complaint(tmp_path, GOOD, kind="all-redoce")
    with pytest.raises(InputError, match="--machine"):
        collective(tmp_path / "nccl.txt")
    (tmp_path / "nccl.txt").write_text(GOOD)
    with pytest.raises(InputError, match=r"mine\.toml"):
        collective(
            tmp_path / "nccl.txt", machine="hgx-h100", out=tmp_path / "mine.csv", network="", kind="", chips=None
        )
    assert [path.name for path in tmp_path.iterdir()] == ["nccl.txt"]


def test_measurements_of_another_machine_are_refused_with_the_reason(tmp_path):
    (tmp_path / "nccl.txt").write_text(printed("all-reduce", 8, {2**30: 2600.0}))  # as on B200
    options = {"network": "", "kind": "", "chips": None, "out": None}
    with pytest.raises(InputError, match="faster than the links allow"):
        collective(tmp_path / "nccl.txt", machine="hgx-a100-80gb", **options)
    with pytest.raises(InputError, match="chips"):
        collective(tmp_path / "nccl.txt", machine="ironwood-9216", **options)


def test_a_file_of_curves_is_not_written_over_its_measurements(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("collective,chips,message_bytes,time_us,machine\nall_reduce,8,1048576,40.2,hgx-h100\n")
    with pytest.raises(InputError, match="is the file to read"):
        curves(path, out=path)
    path.write_text("collective,chips,message_bytes,time_us,machine\nall_reduce,8,1048576,40.2,nobody\n")
    with pytest.raises(InputError, match="catalogue"):
        curves(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.integers(0, len(GOOD) - 1), st.text(max_size=6), st.integers(0, 40))
def test_damaged_outputs_are_read_or_refused_but_never_crash(tmp_path, place, more, less):
    path = tmp_path / "nccl.txt"
    path.write_bytes((GOOD[:place] + more + GOOD[place + less :]).encode("utf-8", "surrogatepass"))
    rows, message = (), str(path)
    try:
        rows = read_rows(path)
    except InputError as error:
        message = str(error)
    assert message.startswith(str(path))
    assert all(row.seconds > 0 and row.chips >= 2 for row in rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_message(tmp_path, raw):
    path = tmp_path / "any"
    path.write_bytes(raw)
    with pytest.raises(InputError, match="any"):
        read_rows(path)
