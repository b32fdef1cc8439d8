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
from simulator.files import convert
from simulator.machine import Chip, Machine
from simulator.program import Stack, Transformer
from supernode.readings import check_stacks
from tests.support_fuzz import FABRICS, GONE, ITSELF, QUANTITIES, Steps, damaged, damages, places, written
from topologies import load, spreads
from topologies.checks import chips_of
from topologies.curves import CurveFile, read_curves
from topologies.fabrics import MachineFabric
from topologies.schema import MachineEntry, NetworkEntry, UndisclosedChip
from workloads import load as workloads_load
from workloads.tasks import ClusterFile, ServingFile, TrainingFile

IS_WHOLE = os.environ.get("SUPERNODE_FUZZ") == "whole"
LONGEST_MESSAGE = 2_000
LONGEST_S = 2.0
ELSEWHERE = (
    r"\.toml: (line \d+ |is larger than|published\.(parameters|active)|object missing required field `peak`)"
    r"|: unknown source '(our-rack|scaling-book-profiling\.md)'"
)
"""What a message may name in place of the field: a line, a file too large, the published count that parts miss, what a
chip must state that no longer says that it is undisclosed, and who cites one of a file's own sources that is gone."""


def machine(path: Path) -> Machine:
    """A machine whose levels hold all its chips, each with a link; the reader must not let any other through."""
    found = topologies.machine(str(path))
    check_stacks(str(path))
    levels = found.slice_levels(found.chips)
    assert math.prod(level.size for level in levels) == found.chips
    assert all(0 < level.links < math.inf and level.hops >= 1 for level in levels)
    return found


READERS: dict[str, Callable[[Path], Any]] = {
    "machines": machine,
    "chips": lambda path: load._named_chip_file.__wrapped__(path.stem),
    "networks": lambda path: load._joined(load._named_network.__wrapped__(path.stem)),
    **{kind: lambda path: load._named_shared.__wrapped__(path.parent.name, path.stem) for kind in load.SHARED},
    "sources": lambda _: load.sources.__wrapped__(),
    "curves": read_curves,
    "spreads": lambda _: spreads.spreads.__wrapped__(),
    "models": lambda path: workloads.model(str(path)),
    "stacks": lambda path: workloads.stack(str(path)),
    "tasks": lambda path: workloads.task(str(path)),
    "workloads": lambda _: workloads_load.sources.__wrapped__(),
}
"""What a file is of -> what reads it, without what was read before."""
STRUCTS: dict[str, tuple[type, ...]] = {
    "machines": (MachineEntry,),
    "chips": (Chip, UndisclosedChip),
    "networks": (NetworkEntry,),
    **{kind: (struct,) for kind, struct in load.SHARED.items()},
    "sources": (Source,),
    "curves": (CurveFile,),
    "spreads": (spreads.Spread,),
    "models": (Transformer,),
    "stacks": (Stack,),
    "tasks": (TrainingFile, ServingFile, ClusterFile),
    "workloads": (Source,),
}
"""What a file is of -> what its uppermost table may be."""


def kind_of(file: Path) -> str:
    """What a file is of: its folder, or its own name where it stands above the folders of the catalogue."""
    return file.stem if file.parent.name == "catalogue" else file.parent.name


class Case(NamedTuple):
    """One file and what is done to it."""

    file: Path
    steps: Steps
    what: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of all files that the readers take for the catalogue, and files with what none of them says."""
    copy = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((load, "ROOT"), (workloads_load, "HERE")):
            root = getattr(module, name)
            shutil.copytree(root, copy / "all" / root.name, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
            patch.setattr(module, name, copy / "all" / root.name)
        patch.setattr(spreads, "FILE", load.ROOT / "spreads.toml")
        for path, tree in samples(copy / "all" / load.ROOT.name, copy / "all" / workloads_load.HERE.name):
            path.write_text(written(tree), encoding="utf-8")
        yield copy / "all"


def samples(catalogue: Path, works: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Files with the fields that no file of the catalogue has, as the reader takes them."""
    known = tomllib.loads((catalogue / "machines" / "hgx-h100.toml").read_text(encoding="utf-8"))
    own = {key: value for key, value in known.items() if key not in {"aliases", "published"}}
    own["sources"] = {"our-rack": {"title": "Meter of our rack", "url": "", "date": "2026-03", "note": "In training."}}
    own["power"]["full"] |= {"kind": "measured", "source": "our-rack"}
    for name, fabric in FABRICS.items():
        table = {"builder": name.split()[0], "link": own["fabric"]["link"], **fabric}
        chips = chips_of(convert(table, MachineFabric, name))
        stem = f"any-{name.replace(' ', '-')}"
        tree = own | {"name": stem, "chips": chips, "fabric": table, "allocation": {"unit": "node", "chips": 1}}
        yield catalogue / "machines" / f"{stem}.toml", tree
    network = tomllib.loads((catalogue / "networks" / "ib-ndr-8x400.toml").read_text(encoding="utf-8"))
    network |= {"name": "any-network", "fabric": network["fabric"] | {"oversubscription": [2.0, 1.0]}}
    yield catalogue / "networks" / "any-network.toml", network
    model = tomllib.loads((works / "models" / "llama3-8b.toml").read_text(encoding="utf-8"))
    yield works / "models" / "any-model.toml", model | {"name": "any-model", "norms_per_layer": 2, "mtp_layers": 1}
    stack = tomllib.loads((works / "stacks" / "megatron-dtk-2025.toml").read_text(encoding="utf-8"))
    training = stack["training"] | {"loss": "chunked"}
    yield works / "stacks" / "any-stack.toml", stack | {"name": "any-stack", "training": training}


WORDS = frozenset({"a word that nobody knows", ITSELF})
PATHS = frozenset({"a path upwards", "an absolute path"})
ZERO = frozenset({"zero"})
SMALL = ZERO | {"next to nothing"}
COUNTED = "counts that the total holds within rounding, or that are compared with the graph elsewhere"
STATED = r"\.(low|others\.#\.value)$"
LEGAL: tuple[tuple[frozenset[str], str, str], ...] = (
    (
        WORDS | PATHS | frozenset(QUANTITIES),
        r"[:.](title|vendor|note|locator|reading|power_basis|reason|choice|undisclosed)$",
        "prose",
    ),
    (frozenset({"nothing"}), r"[:.](note|locator|reading|power_basis|date|url)$", "no prose, or at no time known"),
    (frozenset({"nothing"}), r"^tasks:source$|\.others\.#\.unit$", "nobody is cited; the unit of the figure"),
    (WORDS, r"[:.](name|family)$|:allocation\.unit$", "a name of one's own"),
    (WORDS, r"^exchange:(links|usual_on)\.#$", "links of one's own"),
    (WORDS | PATHS, r"^exchange:vendors\.#$", "a vendor that nobody knows"),
    (ZERO, r"^exchange:low_latency_tokens$", "never taken where no mode is named"),
    (ZERO, r":fabric\.link\.ramp\.value$", "chunks hide all of the filling, where its range begins there"),
    (ZERO, r"^stacks:training\.zero$", "nothing is split over data ranks"),
    (frozenset({"a word that nobody knows"}), r":aliases\.#$", "another name"),
    (SMALL, r"[:.](price_per_chip|power_per_chip|energy_price|idle)" + STATED, "paid elsewhere, or at rest"),
    (
        SMALL,
        r"[:.](latency|start|ramp|call|reconfiguration|collective_launch|repair|restart|softmax)" + STATED,
        "what takes no time",
    ),
    (SMALL, r"^exchange:\w+\.(dispatch|combine|network|scan)" + STATED, "as well"),
    (SMALL, r"[:.]interruptions_per_chip" + STATED, "never fails"),
    (SMALL, r":fabric\.bundles\.#\.delay$|^curves:.*error$", "a link without delay; a curve through its points"),
    (WORDS, r"^curves:curves\.#\.(families|points\.#\.(machine|network))$", "links and machines of one's own"),
    (frozenset({"nothing"}), r"^curves:curves\.#\.points\.#\.network$", "none"),
    (
        SMALL,
        r"^stacks:.*(_exposed|_overhead|_reserve|launch|jitter|traffic_factor|_casts|_padding|routing)\.low$",
        "no loss",
    ),
    (ZERO, r"^tasks:(load|jobs\.#\.sigma)$", "services alone, and jobs that all take the same time"),
    (SMALL, r"^machines:published\.\w+$|^models:(experts\.(dense_layers|shared)|latent\.q_rank)$", COUNTED),
    (ZERO, r"^models:norms_per_layer$", COUNTED),
    (ZERO, r"^models:mtp_layers$", "no prediction module"),
    (ZERO, r":fabric\.bundles\.#\.pairs\.#\.#$", "another edge"),
    (
        frozenset({"no key at all"}),
        r":$|[:.](dates|figures|published|peak|kernels)$|^spreads:(?!any$)[\w-]+$",
        "nothing stated where nothing must be",
    ),
    (
        frozenset({"no member"}),
        (
            r"[:.](aliases|hypotheses|services|share|wraps|slices|choice|others|algorithms|mesh_links|oversubscription|curves)$"
            r"|^software:all_reduce$|^exchange:(vendors|links|usual_on)$"
        ),
        "none of them, or as it is without",
    ),
    (frozenset({GONE}), r"^networks:fabric\.builder$", "there is one kind of network"),
)
"""Damage, where it is done, and what the file then means: the only ones that may be read."""


def is_legal(case: Case, tree: Any) -> bool:
    """Whether a damaged file means something else: what is left out has a default, or the damage is in the table."""
    if case.what == GONE and is_optional(STRUCTS[kind_of(case.file)], tree, case.steps):
        return True
    path = ".".join("#" if isinstance(step, int) else step for step in case.steps)
    place = f"{kind_of(case.file)}:{path}"
    return any(case.what in what and re.search(where, place) for what, where, _ in LEGAL)


def is_optional(kinds: tuple[Any, ...], tree: Any, steps: Steps) -> bool:
    """Whether the structs of a file give a default to what stands at ``steps``; entries of lists have one."""
    first, *rest = steps
    inner: list[Any] = []
    for kind in structs_of(kinds, tree):
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
                yield Case(file, steps, what), (kind_of(file), builder, kind, what)


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
        READERS[kind_of(case.file)](case.file)
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
    assert not faults, f"{len(faults)} of {count}:\n" + "\n".join(faults[:400])
    assert count > (400_000 if IS_WHOLE else 2_000)


def test_the_files_that_are_damaged_are_read_as_they_are_written_here(folder):
    for file in sorted(folder.rglob("*.toml")):
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
        assert tomllib.loads(written(tree)) == tree


def test_every_field_that_a_file_may_have_is_damaged_somewhere(folder):
    known, stated = set(), set()
    for kinds in STRUCTS.values():
        known |= fields_of(kinds)
    for file in folder.rglob("*.toml"):
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
        stated |= stated_in(STRUCTS[kind_of(file)], tree)
    assert known - stated == {("Figure", "key"), ("Figure", "dimension")}  # which only the reader sets


def fields_of(hints: tuple[Any, ...]) -> set[tuple[str, str]]:
    """Struct and name of every field of some structs and of those inside them."""
    waiting, seen = list(hints), set()
    while waiting:
        kind = waiting.pop()
        if kind not in seen and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            seen.add(kind)
            waiting += [part for field in msgspec.structs.fields(kind) for part in parts(field.type)]
    return {(kind.__name__, field.name) for kind in seen for field in msgspec.structs.fields(kind)}


def stated_in(hints: tuple[Any, ...], tree: Any) -> set[tuple[str, str]]:
    """Struct and name of the fields that some data states, if it is of one of these types or holds some of them."""
    if isinstance(tree, list):
        return set().union(*(stated_in(hints, child) for child in tree))
    if not isinstance(tree, dict):
        return set()
    found: set[tuple[str, str]] = set()
    names = set()
    for kind in structs_of(hints, tree):
        for field in msgspec.structs.fields(kind):
            if field.name in tree:
                names.add(field.name)
                found |= {(kind.__name__, field.name)} | stated_in(tuple(parts(field.type)), tree[field.name])
    return found.union(*(stated_in(hints, child) for name, child in tree.items() if name not in names))


def structs_of(kinds: tuple[Any, ...], tree: dict[str, Any]) -> Iterator[type[msgspec.Struct]]:
    """The structs among some types that a table may be, by what it says of its kind."""
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            config = kind.__struct_config__
            if config.tag is None or tree.get(str(config.tag_field)) == config.tag:
                yield kind
