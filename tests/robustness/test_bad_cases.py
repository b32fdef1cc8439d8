"""Case files as spreadsheets, editors and mischief leave them: read right, or refused with line, column and value."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from supernode.validation import cases as reader
from supernode.validation import predict, read_cases, validate

HEADER = "id,machine,network,chips,collective,message_bytes,time_us,busbw_GBps,split,note"
ROW = "m1,hgx-h100,,8,all_reduce,1048576,44.1,,dev,plain"
TRAINING = (
    "id,machine,chips,layers,hidden,heads,ffn,vocab,seq_len,micro_batch,global_batch,step_time_s\n"
    "t1,hgx-h100,8,{layers},4096,32,14336,128256,8192,{micro_batch},128,{step_time_s}\n"
)


@pytest.fixture
def written(tmp_path):
    def write(content: bytes | str):
        path = tmp_path / "cases.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize(
    "content",
    [
        f"\ufeff{HEADER}\n{ROW}\n",
        f"{HEADER}\r\n{ROW}\r\n",
        f"{HEADER}\n{ROW}",
        f"\n{HEADER}\n\n{ROW}\n\n,,,,,,,,,\n",
        f" {HEADER} \n{ROW}\n".replace(",chips,", ", chips ,"),
        f"{HEADER},unheard of\n{ROW},🚀\n",
        f'{HEADER}\n{ROW[:-5]}"two\nlines, and a comma"\n',
        f"{HEADER}\n{ROW.replace('1048576', '1.048576e6').replace('44.1', ' 44.1 ')}\n",
    ],
    ids=["BOM", "CRLF", "no last newline", "blank lines", "spaces", "unknown column", "quoted newline", "exponent"],
)
def test_odd_but_honest_files_mean_the_same_row(written, content):
    (case,) = read_cases(written(content))
    assert (case.kind, case.id, case.family, case.split) == ("collective", "m1", "hgx-h100", "dev")
    assert (case.count("chips"), case.number("message_bytes"), case.measured["time_us"]) == (8, 1048576.0, 44.1)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("8", "eight"),
        ("8", "-8"),
        ("8", "0"),
        ("8", "8.5"),
        ("8", "1e12"),
        ("8", "８"),
        ("1048576", "-1"),
        ("1048576", "0"),
        ("1048576", "nan"),
        ("1048576", "inf"),
        ("1048576", "1e400"),
        ("1048576", "1_000"),
        ("1048576", "0x10"),
        ("1048576", "1 MiB"),
        ("1048576", "9" * 5000),
        ("44.1", "-44.1"),
        ("44.1", "fast"),
        ("44.1", "=1+1"),
    ],
)
def test_a_wrong_cell_is_refused_with_its_line_column_and_value(written, column, value):
    title = {"8": "chips", "1048576": "message_bytes", "44.1": "time_us"}[column]
    path = written(f"{HEADER}\n{ROW}\n{ROW.replace(f',{column},', f',{value},', 1)}\n")
    with pytest.raises(InputError) as caught:
        read_cases(path)
    assert f"{path}: line 3, column {title}: " in str(caught.value)
    assert value[:20] in str(caught.value)
    assert caught.value.remedy
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("cells", "title"),
    [
        ({"layers": "-1"}, "layers"),
        ({"layers": "1.5"}, "layers"),
        ({"layers": "1e300"}, "layers"),
        ({"micro_batch": "0"}, "micro_batch"),
        ({"step_time_s": "soon"}, "step_time_s"),
    ],
)
def test_a_wrong_cell_of_a_training_row_is_refused_too(written, cells, title):
    path = written(TRAINING.format(**{"layers": "32", "micro_batch": "1", "step_time_s": "9"} | cells))
    with pytest.raises(InputError, match=rf"line 2, column {title}: "):
        read_cases(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n\n", "is empty"),
        (HEADER, "no rows"),
        (f"{HEADER}\n\n", "no rows"),
        (f"{HEADER}\n{ROW},more\n", "line 2: has 11 cells where the header has 10"),
        (f"{HEADER}\nm1,hgx-h100\n", "line 2: has 2 cells"),
        (f'{HEADER}\n{ROW}\n"m2,open\n{ROW}\n', "line 3: is not CSV"),
        (f'{HEADER}\n"m"1,x\n', "line 2: is not CSV"),
        (f"{HEADER}\n{'x' * 200_000}{ROW}\n", "line 2: is not CSV"),
        (f"{HEADER},chips\n{ROW},9\n", "'chips' stands there twice"),
        (f"{HEADER}\n{ROW}\n".replace(",", ";"), "separate the columns with commas"),
        ("a,b\n1,2\n", "the columns fit no kind of measurement (a, b)"),
        (
            "id,collective,chips\na,b,1\n",
            "missing from a file of collective rows: machine, message_bytes, time_us or busbw",
        ),
        (f"{HEADER}\n{ROW}\n".replace("message_bytes", "mesage_bytes"), "rename 'mesage_bytes' to 'message_bytes'"),
        (b"\xff\xfe" + HEADER.encode("utf-16-le"), "is not UTF-8 at byte 0"),
        (HEADER.encode() + b"\n\x80\n", "is not UTF-8"),
    ],
)
def test_a_file_that_is_no_table_of_measurements_is_refused_with_a_remedy(written, content, said):
    path = written(content)
    with pytest.raises(InputError) as caught:
        read_cases(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.remedy


def test_what_is_no_file_is_refused(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, said in ((tmp_path, "is not a file"), (pipe, "is not a file"), (tmp_path / "none.csv", "no such file")):
        with pytest.raises(InputError, match=said):
            read_cases(path)


def test_a_file_that_is_too_large_is_refused_before_it_is_parsed(written, monkeypatch):
    monkeypatch.setattr(reader, "LARGEST_BYTES", 1000)
    with pytest.raises(InputError, match="larger than 1000 bytes"):
        read_cases(written(f"{HEADER}\n" + f"{ROW}\n" * 100))


def test_a_file_with_too_many_rows_is_refused(written, monkeypatch):
    monkeypatch.setattr(reader, "MOST_ROWS", 10)
    with pytest.raises(InputError, match="more than 10 rows"):
        read_cases(written(f"{HEADER}\n" + f"{ROW}\n" * 11))


def test_an_unknown_kind_is_refused_with_the_nearest_and_a_kind_without_rows_is_said_to_have_none(written):
    path = written(f"{HEADER}\n{ROW}\n")
    with pytest.raises(InputError, match="did you mean collective"):
        validate([path], kind="colective")
    with pytest.raises(InputError, match="no training rows"):
        validate([path], kind="training")


def test_texts_that_would_move_a_terminals_cursor_do_not_reach_it(written):
    (case,) = read_cases(written(f"{HEADER}\n{ROW}\n".replace("m1", "\x1b[2Jm1").replace("hgx-h100", "\x1b]0;x\x07")))
    row = predict(case)
    assert row.status == "unsupported"
    assert all(text.isprintable() for text in (case.id, case.family, row.reason, row.what))


@given(st.text(max_size=400) | st.lists(st.text(max_size=12), max_size=30).map(",".join))
def test_whatever_stands_below_the_header_is_a_row_or_bad_input(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "cases.csv"
    path.write_bytes(f"{HEADER}\n{text}\n".encode("utf-8", "surrogatepass"))
    said = ""
    try:
        found = read_cases(path)
    except InputError as error:
        said, found = str(error), []
    assert str(path) in said if not found else all(case.kind == "collective" for case in found)


NUMBERS = st.sampled_from(["", "1", "2", "3", "4", "8", "64", "128", "1000", "1e6", "0.5", "1e8"])
COLUMNS = ("layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab", "experts", "topk", "moe_ffn", "seq_len")
COLUMNS += ("tp", "cp", "pp", "vp", "ep", "dp", "micro_batch", "global_batch", "params_B", "dense_layers", "chips")


@given(st.lists(NUMBERS, min_size=len(COLUMNS), max_size=len(COLUMNS)))
def test_any_numbers_are_a_prediction_a_refusal_or_bad_input_and_never_a_traceback(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("any") / "cases.csv"
    path.write_text(f"machine,step_time_s,{','.join(COLUMNS)}\nhgx-h100,1,{','.join(values)}\n", encoding="utf-8")
    try:
        (case,) = read_cases(path)
    except InputError:
        return
    row = predict(case)
    assert row.status in {"ok", "unsupported", "infeasible"}
    assert (row.predicted is None) == (row.status != "ok")
