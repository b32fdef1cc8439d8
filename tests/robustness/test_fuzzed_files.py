"""Every field of every TOML file, damaged in every way: one message that names file, field and remedy, or a file that
means something else and says so in :func:`is_legal`.

The tests damage each kind of field in each way once, in a file drawn by lot; ``SUPERNODE_FUZZ=whole`` damages each
field of each file in each way, half a million files in half an hour.
"""

from __future__ import annotations

import math
import os
import random
import re
import shutil
import time
import tomllib
import typing
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

import topologies
import workloads
from simulator.errors import InputError
from simulator.figures import Source
from simulator.machine import Chip, Machine, Reliability, Site, Software
from simulator.program import Stack, Transformer
from tests.support_fuzz import GONE, ITSELF, Steps, damaged, damages, places, written
from topologies import load
from topologies.schema import MachineEntry, NetworkEntry, UndisclosedChip
from workloads import load as workloads_load
from workloads.tasks import ClusterFile, ServingFile, TrainingFile

IS_WHOLE = os.environ.get("SUPERNODE_FUZZ") == "whole"
LONGEST_MESSAGE = 2_000
LONGEST_S = 2.0
ELSEWHERE = r"\.toml: (line \d+ |is larger than|published\.(parameters|active)|object missing required field `peak`)"
"""What a message may name in place of the field: a line, a file too large, the published count that
parts miss, and what a chip must state that no longer says that it is undisclosed."""


def machine(path: Path) -> Machine:
    """A machine whose levels hold all its chips, each with a link; the reader must not let any other through."""
    found = topologies.machine(str(path))
    levels = found.slice_levels(found.chips)
    assert math.prod(level.size for level in levels) == found.chips
    assert all(0 < level.links < math.inf and level.hops >= 1 for level in levels)
    return found


READERS: dict[str, Callable[[Path], Any]] = {
    "machines": machine,
    "chips": lambda path: load._named_chip_file.__wrapped__(path.stem),
    "networks": lambda path: load._joined(load._named_network.__wrapped__(path.stem)),
    "sites": lambda path: load._named_shared.__wrapped__("sites", path.stem),
    "software": lambda path: load._named_shared.__wrapped__("software", path.stem),
    "reliability": lambda path: load._named_shared.__wrapped__("reliability", path.stem),
    "catalogue": lambda _: load.sources.__wrapped__(),
    "models": lambda path: workloads.model(str(path)),
    "stacks": lambda path: workloads.stack(str(path)),
    "tasks": lambda path: workloads.task(str(path)),
    "workloads": lambda _: workloads_load.sources.__wrapped__(),
}
"""Folder of a file -> what reads it, without what was read before."""
STRUCTS: dict[str, tuple[type, ...]] = {
    "machines": (MachineEntry,),
    "chips": (Chip, UndisclosedChip),
    "networks": (NetworkEntry,),
    "sites": (Site,),
    "software": (Software,),
    "reliability": (Reliability,),
    "catalogue": (Source,),
    "models": (Transformer,),
    "stacks": (Stack,),
    "tasks": (TrainingFile, ServingFile, ClusterFile),
    "workloads": (Source,),
}
"""Folder of a file -> what its uppermost table may be."""


class Case(NamedTuple):
    """One file and what is done to it."""

    file: Path
    steps: Steps
    what: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of all files, that the readers take for the catalogue."""
    copy = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((load, "ROOT"), (workloads_load, "HERE")):
            root = getattr(module, name)
            shutil.copytree(root, copy / "all" / root.name, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
            patch.setattr(module, name, copy / "all" / root.name)
        yield copy / "all"


WORDS = frozenset({"a word that nobody knows", ITSELF})
PATHS = frozenset({"a path upwards", "an absolute path"})
SMALL = frozenset({"zero", "next to nothing"})
COUNTED = "counts that the total holds within rounding, or that are compared with the graph elsewhere"
LEGAL: tuple[tuple[frozenset[str], str, str], ...] = (
    (WORDS | PATHS, r"[:.](title|vendor|note|locator|reading|power_basis|reason|choice|undisclosed|date)$", "prose"),
    (frozenset({"nothing"}), r"[:.](title|vendor|note|locator|reading|power_basis|reason|date|url)$", "no prose"),
    (frozenset({"nothing"}), r"^tasks:source$|\.others\.#\.unit$", "nobody is cited; the unit of the figure"),
    (WORDS, r"[:.](name|family)$|:allocation\.unit$", "a name of one's own"),
    (frozenset({"a word that nobody knows"}), r":aliases\.#$", "another name"),
    (WORDS, r"^machines:stacks\.(training|serving)$", "workloads know the stacks; the catalogue does not"),
    (SMALL, r"[:.](price|capital|rent_per_chip|price_per_chip|energy_price)\.low$", "a range may begin at a gift"),
    (SMALL, r"[:.](full|idle|power_per_chip|announced|available)\.low$", "or at rest, or in a year long ago"),
    (
        SMALL,
        r"[:.](latency|start|reconfiguration|collective_launch|repair|restart)\.low$",
        "or with what takes no time",
    ),
    (SMALL, r"[:.]interruptions_per_chip\.low$", "never fails"),
    (SMALL | {"1e23"}, r"\.others\.#\.value$", "what others state, as they state it; nothing is computed from it"),
    (SMALL, r"^stacks:.*_(exposed|overhead|reserve)\.low$|^stacks:.*\.(launch|jitter|traffic_factor)\.low$", "no loss"),
    (
        SMALL,
        r"[:.](share\.#|share|weight|load|sigma|utilisation)$",
        "little of something, of the bounds' own making",
    ),
    (SMALL, r"^machines:published\.\w+$|^models:(experts\.(dense_layers|shared)|latent\.q_rank)$", COUNTED),
    (frozenset({"no key at all"}), r":$|[:.](dates|figures|published|peak)$", "nothing stated where nothing must be"),
    (frozenset({"no member"}), r"[:.](aliases|hypotheses|services|share|wraps|slices|choice|others)$", "none of them"),
    (frozenset({GONE}), r"^networks:fabric\.builder$", "there is one kind of network"),
)
"""Damage, where it is done, and what the file then means: the only ones that may be read."""


def is_legal(case: Case, tree: Any) -> bool:
    """Whether a damaged file means something else: what is left out has a default, or the damage is in the table."""
    if case.what == GONE and is_optional(STRUCTS[case.file.parent.name], tree, case.steps):
        return True
    path = ".".join("#" if isinstance(step, int) else step for step in case.steps)
    place = f"{case.file.parent.name}:{path}"
    return any(case.what in what and re.search(where, place) for what, where, _ in LEGAL)


def is_optional(kinds: tuple[Any, ...], tree: Any, steps: Steps) -> bool:
    """Whether the structs of a file give a default to what stands at ``steps``; entries of lists have one."""
    first, *rest = steps
    inner: list[Any] = []
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            continue
        config = kind.__struct_config__
        if config.tag is not None and tree.get(config.tag_field) != config.tag:
            continue
        for field in msgspec.structs.fields(kind):
            if field.name == first:
                if not rest:
                    return not field.required
                inner += parts(field.type)
    if not inner:  # an entry of a list or of a table of any names
        return not rest or is_optional(kinds, tree[first], tuple(rest))
    return is_optional(tuple(inner), tree[first], tuple(rest))


def parts(hint: Any) -> Iterator[Any]:
    """The types that a hint is made of."""
    arguments = typing.get_args(hint)
    if not arguments:
        yield hint
    for argument in arguments:
        yield from parts(argument)


def cases_of(folder: Path) -> Iterator[tuple[Case, Any]]:
    """Every damage to every file, with the kind of field that it is done to; the fields of figures are alike."""
    for file in sorted(folder.rglob("*.toml")):
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
        for steps, value in places(tree):
            above = at(tree, steps[:-1])
            is_alike = isinstance(above, dict) and ("value" in above or ("title" in above and "url" in above))
            field: Any = steps[-1:] if is_alike else tuple("#" if isinstance(step, int) else step for step in steps)
            if file.name == "sources.toml":
                field = steps[1:]
            builder = tree["fabric"]["builder"] if field[:1] == ("fabric",) and len(field) == 2 else ""
            is_figure = isinstance(value, dict) and "value" in value
            for what in damages(steps, value):
                kind = ("figure",) if is_figure and what != GONE else field
                yield Case(file, steps, what), (file.parent.name, builder, kind, what)


def at(tree: Any, steps: Steps) -> Any:
    for step in steps:
        tree = tree[step]
    return tree


def drawn(folder: Path) -> Iterator[Case]:
    """All cases, or one of each kind that is drawn by lot; file by file."""
    if IS_WHOLE:
        yield from (case for case, _ in cases_of(folder))
        return
    kinds: dict[Any, list[Case]] = defaultdict(list)
    for case, kind in cases_of(folder):
        kinds[kind].append(case)
    draw = random.Random(2026)  # noqa: S311 - it only picks examples
    yield from sorted((draw.choice(kinds[kind]) for kind in sorted(kinds, key=repr)), key=lambda case: case.file)


def fault(case: Case, tree: Any) -> str:
    """What is wrong with the answer to a damaged file; nothing where all is well."""
    start_s = time.process_time()
    try:
        READERS[case.file.parent.name](case.file)
    except InputError as error:
        wrong = ill_said(str(error), case)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test is looking for
        wrong = f"{type(error).__name__}: {error}"[:300]
    else:
        wrong = "" if is_legal(case, tree) else "is read"
    if time.process_time() - start_s > LONGEST_S:
        wrong += " slowly"
    where = f"{case.file.parent.name}/{case.file.name} {case.steps}: {case.what}"
    return f"{where}: {wrong}" if wrong else ""


def ill_said(message: str, case: Case) -> str:
    """What a message lacks: it is short, can be printed, names the file and the field (or the line), and a remedy."""
    said, _, remedy = message.partition("\n  ")
    names = [step for step in case.steps if isinstance(step, str)][-2:]
    is_named = not names or any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", said) for name in names)
    if not is_named and not re.search(ELSEWHERE, said):
        return f"does not name the field: {message}"
    if len(message) >= LONGEST_MESSAGE or not (said + remedy).isprintable():
        return f"cannot be shown: {message[:300]!r}"
    return "" if case.file.name in said and remedy.strip() else f"names no file or no remedy: {message}"


def test_every_damaged_field_is_refused_with_one_message_or_means_something_else(folder):
    faults, count = [], 0
    file, original, tree = None, "", {}
    for case in drawn(folder):
        if case.file != file:
            if file is not None:
                file.write_text(original, encoding="utf-8")
            file = case.file
            original = file.read_text(encoding="utf-8")
            tree = tomllib.loads(original)
        changed = damaged(tree, case.steps, case.what, file.stem)
        if changed == tree:
            continue  # its own name was there already
        case.file.write_text(written(changed), encoding="utf-8")
        found = fault(case, tree)
        faults += [found] if found else []
        count += 1
    assert file is not None
    file.write_text(original, encoding="utf-8")
    assert not faults, f"{len(faults)} of {count}:\n" + "\n".join(faults[:40])
    assert count > (400_000 if IS_WHOLE else 2_000)


def test_the_files_that_are_damaged_are_read_as_they_are_written_here(folder):
    for file in sorted(folder.rglob("*.toml")):
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
        assert tomllib.loads(written(tree)) == tree
