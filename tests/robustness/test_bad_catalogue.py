"""Catalogue files that are wrong by mistake or on purpose: one message that names file, field and remedy."""

from __future__ import annotations

import math
import re
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import topologies
from simulator.errors import InputError
from simulator.figures import settle_all
from simulator.files import convert
from topologies import load
from topologies.schema import MachineEntry

MACHINE = (load.ROOT / "machines" / "hgx-h100.toml").read_text(encoding="utf-8")
READINGS = (load.ROOT / "machines" / "scalex640.toml").read_text(encoding="utf-8")
TORUS = (load.ROOT / "machines" / "ironwood-9216.toml").read_text(encoding="utf-8")
SHARES = (load.ROOT / "machines" / "trn2-ultraserver.toml").read_text(encoding="utf-8")
CHIP = (load.ROOT / "chips" / "h100-sxm.toml").read_text(encoding="utf-8")


def swap(text: str, old: str, new: str) -> str:
    assert old in text, f"the catalogue no longer holds {old!r}"
    return text.replace(old, new, 1)


def in_table(table: str, key: str, value: str, text: str = MACHINE) -> str:
    """``text`` with another value of ``key`` in ``[table]``."""
    pattern = re.compile(rf"(^\[{re.escape(table)}\]\n(?:.+\n)*?{key} = ).*$", re.MULTILINE)
    changed, count = pattern.subn(lambda found: found.group(1) + value, text, count=1)
    assert count == 1, f"no {key} in [{table}]"
    return changed


def without(table: str, key: str, text: str = MACHINE) -> str:
    return re.sub(rf"(^\[{re.escape(table)}\]\n(?:.+\n)*?){key} = .*\n", r"\1", text, count=1, flags=re.MULTILINE)


def refused(tmp_path, text: str) -> str:
    """The message about a user's machine file with this text: at least two lines, the second saying what is right."""
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        topologies.machine(str(path))
    message = str(caught.value)
    where, _, remedy = message.partition("\n")
    assert str(path) in where
    assert remedy.strip()
    assert len(message) < 2000
    assert "Traceback" not in message
    return message


def in_line(key: str, value: str, text: str = MACHINE) -> str:
    """``text`` with another value of a key that stands before the tables."""
    changed, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
    assert count == 1, f"no {key}"
    return changed


def with_others(value: str) -> str:
    """The machine where another source states ``value`` first in place of the share that its links reach."""
    table = MACHINE.index("[fabric.link.fraction]")
    start = MACHINE.index("others = [\n  { value = ", table)
    return MACHINE[:start] + re.sub(r"value = [0-9.]+", f"value = {value}", MACHINE[start:], count=1)


LINK = "fabric.link.bandwidth"
BAD = {
    "a unit of another kind": (in_table(LINK, "unit", '"W"'), LINK, "use one of"),
    "a unit nobody knows": (in_table(LINK, "unit", '"GBps"'), LINK, "GB/s"),
    "bits taken for a power": (in_table("power.full", "unit", '"kb/s"'), "power.full", "kW"),
    "a missing source": (without(LINK, "source"), LINK, "sources.toml"),
    "a source nobody knows": (in_table(LINK, "source", '"stas00-ml-enginering"'), LINK, "stas00-ml-engineering"),
    "an assumed figure without a note": (without("prices.life", "note"), "prices.life", "say why"),
    "a value outside its range": (in_table(LINK, "value", "26"), LINK, "widen"),
    "infinity": (in_table(LINK, "value", "inf"), LINK, ""),
    "not a number": (in_table(LINK, "value", "nan"), LINK, ""),
    "an infinite range": (in_table(LINK, "high", "inf"), LINK, ""),
    "a negative number": (in_table(LINK, "low", "-1"), LINK, ""),
    "a bandwidth of nothing": (in_table(LINK, "low", "0"), LINK, "raise it"),
    "a bandwidth of an exabyte times an exabyte": (
        in_table(LINK, "high", "1e24"),
        LINK,
        "check the number and its unit",
    ),
    "a share above one": (in_table("fabric.link.fraction", "high", "1.01"), "fabric.link.fraction", "check"),
    "a share of nothing": (in_table("fabric.link.fraction", "low", "0"), "fabric.link.fraction", "raise it"),
    "a building that makes energy": (in_table("site.pue", "low", "0.9"), "site.pue", "raise it"),
    "a life of no time": (in_table("prices.life", "low", "0"), "prices.life", "raise it"),
    "a machine that draws nothing": (in_table("power.full", "low", "0"), "power.full.low", "raise it"),
    "a machine that costs nothing": (in_table("prices.capital", "low", "0"), "prices.capital.low", "raise it"),
    "chips that are let for nothing": (
        in_table("prices.rent_per_chip", "low", "0"),
        "prices.rent_per_chip.low",
        "raise it",
    ),
    "nothing stated by another source": (
        with_others("0.0"),
        "fabric.link.fraction.others[0].value",
        "raise it",
    ),
    "too much stated by another source": (
        with_others("1e23"),
        "fabric.link.fraction.others[0].value",
        "check the number",
    ),
    "a launch before there were accelerators": (
        in_table("dates.announced", "low", "1989.9"),
        "dates.announced.low",
        "raise it",
    ),
    "a launch in another century": (
        in_table("dates.announced", "high", "2100.5"),
        "dates.announced.high",
        "check the number",
    ),
    "a day that is none": (in_table(LINK, "kind", '"announced"\ndate = "2025-13"'), f"{LINK}.date", "CONTRIBUTING.md"),
    "a day in words": (in_table(LINK, "kind", '"announced"\ndate = "last summer"'), f"{LINK}.date", "CONTRIBUTING.md"),
    "no title": (in_line("title", '""'), "title", "CONTRIBUTING.md"),
    "no vendor": (in_line("vendor", '""'), "vendor", "CONTRIBUTING.md"),
    "no reason for a reading": (
        re.sub(r"^reason = .*$", 'reason = ""', READINGS, count=1, flags=re.MULTILINE),
        "reason",
        "",
    ),
    "a whole number of 80,000 bits": (in_line("chips", "0x" + "f" * 20_000), "chips", "1e9"),
    "a share of a link next to nothing": (
        swap(SHARES, "share = [1.0,", "share = [1e-300,"),
        "fabric.share[0]",
        "CONTRIBUTING.md",
    ),
    "a number in quotation marks": (in_table(LINK, "value", '"25"'), LINK, "CONTRIBUTING.md"),
    "a truth value for a number": (in_table(LINK, "value", "true"), LINK, "CONTRIBUTING.md"),
    "a kind nobody knows": (in_table(LINK, "kind", '"guessed"'), LINK, "CONTRIBUTING.md"),
    "an unknown key in a figure": (in_table(LINK, "value", "25\nvalve = 3"), LINK, "value"),
    "an unknown key at the top": (swap(MACHINE, "vendor =", 'vendr = "x"\nvendor ='), "vendr", "vendor"),
    "a key that the reader sets": (in_table(LINK, "value", '25\nkey = "mine"'), LINK, "take the line out"),
    "10**12 chips": (swap(MACHINE, "chips = 8", "chips = 1000000000000"), "chips", "CONTRIBUTING.md"),
    "10**12 chips in the fabric": (
        in_table("fabric", "chips", "1000000000000"),
        "fabric.chips",
        "CONTRIBUTING.md",
    ),
    "no chips": (swap(MACHINE, "chips = 8", "chips = 0"), "chips", "CONTRIBUTING.md"),
    "minus one chip": (swap(MACHINE, "chips = 8", "chips = -1"), "chips", "CONTRIBUTING.md"),
    "half a chip": (swap(MACHINE, "chips = 8", "chips = 7.5"), "chips", "CONTRIBUTING.md"),
    "other chips than the fabric joins": (swap(MACHINE, "chips = 8", "chips = 16"), "chips", "correct one of them"),
    "a unit that does not divide the machine": (in_table("allocation", "chips", "3"), "allocation.chips", "whole"),
    "a builder nobody knows": (in_table("fabric", "builder", '"moebius"'), "fabric", "CONTRIBUTING.md"),
    "a missing table": (re.sub(r"\[allocation\]\n.*\n.*\n", "", MACHINE), "allocation", "CONTRIBUTING.md"),
    "a missing stack": (re.sub(r"serving = .*\n", "", MACHINE), "stacks", "serving"),
    "a cube that does not divide the torus": (in_table("fabric", "cube", "[5, 4, 4]", TORUS), "fabric.cube", "whole"),
    "a cube with fewer axes": (in_table("fabric", "cube", "[4, 4]", TORUS), "fabric.cube", "one each"),
    "a torus of more chips than there are": (
        in_table("fabric", "dims", "[1048576, 1048576, 1048576]", TORUS),
        "chips",
        "correct one of them",
    ),
    "a chip outside the catalogue": (swap(MACHINE, "h100-sxm", "../../x"), "chip", "CONTRIBUTING.md"),
    "an absolute path for a chip": (swap(MACHINE, "h100-sxm", "/etc/passwd"), "chip", "CONTRIBUTING.md"),
    "a chip nobody knows": (swap(MACHINE, "h100-sxm", "h100-sxn"), "chip", "h100-sxm"),
    "a network nobody knows": (swap(MACHINE, "ib-ndr-8x400", "ib-ndr-8x40"), "network", "ib-ndr-8x400"),
    "weights that do not sum to one": (swap(READINGS, "weight = 0.6", "weight = 0.7"), "hypotheses", "sum to 1"),
    "a weight above one": (swap(READINGS, "weight = 0.6", "weight = 1.6"), "weight", "CONTRIBUTING.md"),
    "two hypotheses of one name": (
        swap(READINGS, '"per-1280-per-direction"', '"per-640"'),
        "hypotheses",
        "rename",
    ),
    "a hypothesis about nothing": (
        swap(READINGS, '"chip.hbm.capacity"', '"chip.hbm.capacty"'),
        "chip.hbm.capacty",
        "chip.hbm.capacity",
    ),
    "a hypothesis in another unit": (
        swap(READINGS, 'value = 128\nunit = "GB"', 'value = 128\nunit = "GB/s"'),
        "chip.hbm.capacity",
        "use one of",
    ),
    "hypotheses without a reading": (re.sub(r"reading = .*\n", "", READINGS), "reading", "say which"),
    "text that is not TOML": (MACHINE + "\n[[[\n", "TOML", "mend"),
    "a table twice": (MACHINE + "\n[site.pue]\n", "TOML", "mend"),
    "a key of 40 kB with dots": (MACHINE + "\n" + "a." * 20_000 + "b = 1\n", "dots", "shorten"),
    "a heading of 40 kB with dots": (MACHINE + "\n[" + "a." * 20_000 + "b]\n", "dots", "shorten"),
    "brackets 100,000 deep": (MACHINE + "\nx = " + "[" * 100_000 + "]" * 100_000 + "\n", "nested", "levels"),
    "brackets 500 deep": (MACHINE + "\nx = " + "[" * 500 + "]" * 500 + "\n", "", ""),
    "a file of more than a MiB": (MACHINE + "\n#" + "x" * (1 << 20), "larger", "split"),
    "a title of 3,000 characters": (
        swap(MACHINE, 'vendor = "', 'vendor = "' + "x" * 3000),
        "vendor",
        "at most 2,000",
    ),
    "an empty file": ("", "name", "CONTRIBUTING.md"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_machine_file_is_refused_for(what, tmp_path):
    text, field, remedy = BAD[what]
    message = refused(tmp_path, text)
    assert field in message
    assert remedy in message.partition("\n")[2]


def test_the_files_that_the_cases_are_made_of_are_themselves_right(tmp_path):
    for text in (MACHINE, READINGS, TORUS):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        topologies.machine(str(path))


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("[peak.bf16]", "[peak.fp16]", "bf16"),
        ("[matmul.fraction.fp8]", "[matmul.fraction.fp4]", "matmul.fraction"),
        ("[peak.bf16]", "[peak.bf61]", "peak"),
        ("[peak.int8]", "[peak.fp4]", "matmul.fraction"),
    ],
)
def test_a_chip_file_is_refused_that_a_plan_could_not_be_priced_on(old, new, field, tmp_path):
    chip = swap(swap(CHIP, 'name = "h100-sxm"', 'name = "mine-1"'), old, new)
    (tmp_path / "mine-1.toml").write_text(chip, encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(swap(MACHINE, "h100-sxm", "mine-1"), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        topologies.machine(str(path))
    assert "mine-1.toml" in str(caught.value)
    assert field in str(caught.value)


@pytest.mark.parametrize("name", ["missing.toml", "deep/missing.toml", "a\x00b.toml", "x" * 5000 + ".toml"])
def test_a_missing_machine_file_is_named(name, tmp_path):
    with pytest.raises(InputError):
        topologies.machine(f"{tmp_path}/{name}")


def test_a_folder_is_no_machine(tmp_path):
    with pytest.raises(InputError, match="folder"):
        topologies.machine(f"{tmp_path}/")


def test_bytes_that_are_not_text_are_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(MACHINE.encode() + b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        topologies.machine(str(path))


@pytest.mark.parametrize("name", ["../machines/hgx-h100", "..", "chips/h100-sxm", "hgx-h100.toml/../hgx-h100"])
def test_a_path_is_never_read_as_a_name_of_the_catalogue(name):
    with pytest.raises(InputError):
        topologies.machine(name)


@pytest.mark.parametrize("kind", ["machines", "chips", "networks"])
@pytest.mark.parametrize("name", ["", "../sources", "HGX-H100", "hgx-h100\n", "*", "h" * 10_000])
def test_no_kind_knows_a_name_that_is_not_written_exactly(kind, name):
    with pytest.raises(InputError) as caught:
        topologies.resolve(kind, name)
    assert len(str(caught.value)) < 2000


def leaves(tree, path=()):
    for key, child in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(child, dict | list):
            yield from leaves(child, (*path, key))
        else:
            yield (*path, key)


TREE = tomllib.loads(MACHINE)
LEAVES = [path for path in leaves(TREE) if path[-1] in {"value", "low", "high", "chips"}]
JUNK = st.one_of(
    st.floats(max_value=-1e-9, allow_nan=False),
    st.sampled_from([math.inf, -math.inf, math.nan]),
    st.floats(min_value=1e25),
    st.text(max_size=8),
    st.booleans(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(LEAVES), junk=JUNK)
def test_junk_in_any_number_is_an_error_of_the_input(path, junk):
    tree = tomllib.loads(MACHINE)
    node = tree
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = junk
    with pytest.raises(InputError) as caught:
        settle_all(convert(tree, MachineEntry, "mine.toml"), "machine/mine", "mine.toml")
    assert "mine.toml" in str(caught.value)
    assert str(path[0]) in str(caught.value)
