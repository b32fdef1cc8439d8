"""Models, software stacks and tasks by name, or from a user's file; strict, with their sources checked."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from simulator.errors import InputError, unknown_name
from simulator.figures import Source, figures_of, settle_all
from simulator.files import read_head, read_toml
from simulator.machine import Name
from simulator.program import Published, Stack, Transformer
from workloads.hugging_face import read_config
from workloads.program import count
from workloads.tasks import ClusterTask, ServingTask, Task, TaskFile, TrainingTask, read_task

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
Kind = Literal["models", "stacks", "tasks"]
LARGEST_PARAMETERS = 1e15
MOST_ALIASES = 16
TOLERANCE = 0.02
"""How far a model's own count may lie from the published one: more is a slip in the file, not rounding."""
USUAL_SEQUENCE = 4096
USUAL_TOKENS = 1 << 22
"""Sequence and step [tokens] of a model of which no task is known: what published runs of 7e9 to 400e9 use."""
TOKENS_PER_PARAMETER = 20
"""Hoffmann et al., arXiv 2203.15556, table 3."""
SHARE = (0.0, 1.0)
BOUNDS = {
    "tensor_exposed": SHARE,
    "context_exposed": SHARE,
    "expert_exposed": SHARE,
    "data_exposed": SHARE,
    "parameter_gather_exposed": SHARE,
    "communication_exposed": SHARE,
    "memory_reserve": (0.0, 0.9),
    "memory_fraction": (0.05, 1.0),
    "dense_spread": (0.05, 20.0),
    "moe_spread": (0.05, 20.0),
    "contention": SHARE,
    "attention_factor": (0.01, 1.5),
    "score_passes": (0.0, 100.0),
    "context_score_passes": (0.0, 1000.0),
    "expert_launch": (0.0, 1.0),
    "expert_matmul_factor": (0.01, 1.0),
    "expert_imbalance": (1.0, 1000.0),
    "traffic_factor": (0.0, 100.0),
    "expert_traffic_factor": (0.0, 100.0),
    "expert_casts": SHARE,
    "copies_exposed": SHARE,
    "expert_padding": (0.0, 1e5),
    "routing": (0.0, 1e-3),
    "jitter": SHARE,
    "launch": (0.0, 1.0),
    "step_overhead": (0.0, 600.0),
    "iteration_overhead": (0.0, 600.0),
}
"""Figure of a stack -> what its range may hold, in SI base units."""


def model(name: str) -> Transformer:
    """A model by name or alias, from a user's TOML file, or from the ``config.json`` of a Hugging Face repository.

    Raises
    ------
    InputError : unknown name, or a file that is wrong
    """
    if name.partition("#")[0].lower().endswith(".json"):
        found = read_config(name)
        _check_architecture(found, name)
        return found
    if _is_path(name):
        return _read_model(_path(name))
    if name in _stems("models"):
        return _named_model(name)
    aliases = _aliases()
    known = _known(name, "model", {*_stems("models"), *aliases})
    return msgspec.structs.replace(_named_model(aliases[known]), name=known)


def stack(name: str) -> Stack:
    """A software stack by name, or from a user's TOML file; see :func:`model`."""
    return _read_stack(_path(name)) if _is_path(name) else _named_stack(_known(name, "stack", _stems("stacks")))


def stack_path(name: str) -> Path:
    """The file of a stack by name, or the user's."""
    return _path(name) if _is_path(name) else HERE / "stacks" / f"{_known(name, 'stack', _stems('stacks'))}.toml"


def task(name: str) -> Task:
    """A task by name (``train-MODEL``, ``serve-MODEL``, ``cluster-day``), or from a TOML file; see :func:`model`."""
    return _read_task(_path(name)) if _is_path(name) else _named_task(_known(name, "workload", _stems("tasks")))


def training_task(found: Transformer) -> TrainingTask:
    """The task that trains a model of the catalogue; for any other model one of usual size, which says so."""
    own = {found.name, _aliases().get(found.name, found.name)}
    for name in sorted(f"train-{each}" for each in own):
        if name in _stems("tasks") and isinstance(known := task(name), TrainingTask):
            return known
    sequence = min(found.context, USUAL_SEQUENCE)
    return TrainingTask(
        name=f"train-{found.name}",
        title=f"Pre-training of {found.title}",
        model=found.name,
        sequence=sequence,
        batch=max(1, USUAL_TOKENS // sequence),
        dtype="bf16",
        tokens=float(max(USUAL_TOKENS, TOKENS_PER_PARAMETER * count(found).parameters)),
        note="Sequence, batch, number format and tokens of the run are assumed.",
        source="",
    )


def names(kind: Kind) -> tuple[str, ...]:
    """Every name of ``"models"`` (aliases of the same weights' architecture included), ``"stacks"`` or ``"tasks"``."""
    found = set(_stems(kind))
    if kind == "models":
        found |= set(_aliases())
    return tuple(sorted(found))


@functools.cache
def sources() -> Mapping[str, Source]:
    """Where the figures come from, by id."""
    return read_toml(HERE / "sources.toml", dict[str, Source])


def sources_of(stack: str) -> Mapping[str, Source]:
    """The sources that a stack's figures may name: those of the catalogue, and those that a user's file brings."""
    return {**sources(), **read_toml(stack_path(stack), _Sourced).sources}


def _is_path(name: str) -> bool:
    return name.endswith(".toml") or "/" in name or "\\" in name


def _path(name: str) -> Path:
    if not name.isprintable():
        raise InputError(f"{name[:80]!r} is not a file name", remedy="name a TOML file")
    return Path(name)


def _known(name: str, kind: str, known: set[str] | tuple[str, ...]) -> str:
    if name not in known:
        raise unknown_name(kind, name, known)
    return name


@functools.cache
def _stems(kind: Kind) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (HERE / kind).glob("*.toml")))


@functools.cache
def _aliases() -> Mapping[str, str]:
    """Alias -> name of the model's file."""
    heads = {name: read_head(HERE / "models" / f"{name}.toml", _Head) for name in _stems("models")}
    return {alias: name for name, head in heads.items() for alias in head.aliases}


class _Head(msgspec.Struct, frozen=True):
    """What a list of names needs of a model's file."""

    aliases: tuple[str, ...] = ()


class _Sourced(msgspec.Struct, frozen=True):
    """What the sources of a stack need of its file."""

    sources: dict[Name, Source] = msgspec.field(default_factory=dict)


class _StackFile(Stack, frozen=True):
    """A stack's file: a user's own may bring its sources along."""

    sources: dict[Name, Source] = msgspec.field(default_factory=dict)


@functools.cache
def _named_model(name: str) -> Transformer:
    return _read_model(HERE / "models" / f"{name}.toml")


@functools.cache
def _named_stack(name: str) -> Stack:
    return _read_stack(HERE / "stacks" / f"{name}.toml")


@functools.cache
def _named_task(name: str) -> Task:
    return _read_task(HERE / "tasks" / f"{name}.toml")


def _read_model(path: Path) -> Transformer:
    found = read_toml(path, Transformer)
    _check_aliases(found, str(path))
    _check_architecture(found, str(path))
    if found.published:
        _check_source(found.published.source, f"{path}: published.source")
        _check_published(found, found.published, str(path))
    return found


def _read_stack(path: Path) -> Stack:
    raw = read_toml(path, _StackFile)
    found = Stack(**{name: getattr(raw, name) for name in Stack.__struct_fields__})
    if found.training is None and found.serving is None:
        raise InputError(
            "describes neither training nor serving", where=str(path), remedy="add [training] or [serving]"
        )
    found = settle_all(found, f"stack/{found.name}", str(path))
    for figure in figures_of(found):
        if figure.source and figure.source not in raw.sources:
            _check_source(figure.source, f"{path}: {figure.key.rsplit('/', 1)[-1]}.source")
        name = figure.key.rsplit(".", 1)[-1]
        low, high = BOUNDS[name]
        if not low <= figure.si_low <= figure.si_high <= high:
            raise InputError(
                f"the range {figure.si_low:g} to {figure.si_high:g} leaves what is possible",
                where=f"{path}: {figure.key.rsplit('/', 1)[-1]}",
                remedy=f"keep low and high within {low:g} to {high:g}{' s' if figure.dimension == 's' else ''}",
            )
    return found


def _read_task(path: Path) -> Task:
    written: TaskFile = read_toml(path, TaskFile)  # type: ignore[arg-type]  # a union is no type to mypy, but to msgspec
    found = read_task(written, str(path))
    for where, source in found.cited:
        _check_source(source, f"{path}: {where}")
    for where, name in found.models:
        if name not in names("models"):
            raise unknown_name("model", name, names("models"), where=f"{path}: {where}")
    _check_context(found, str(path))
    return found


def _check_context(found: Task, where: str) -> None:
    """Refuse a training sequence or a request that is longer than the model's context."""
    if isinstance(found, ClusterTask):
        return
    longest = model(found.model).context
    if isinstance(found, TrainingTask) and found.sequence > longest:
        raise InputError(
            f"{found.sequence} tokens are more than the context of {found.model}",
            where=f"{where}: sequence",
            remedy=f"at most {longest}",
        )
    if isinstance(found, ServingTask) and found.input_tokens + found.output_tokens > longest:
        raise InputError(
            f"{found.input_tokens} and {found.output_tokens} tokens are more than the context of {found.model}",
            where=f"{where}: input_tokens",
            remedy=f"together at most {longest}",
        )


def _check_source(source: str, where: str) -> None:
    if source not in sources():
        raise unknown_name("source", source, sources(), where=where)


def _check_aliases(found: Transformer, where: str) -> None:
    """Refuse other names that are the model's own, stand twice, or are very many."""
    own = (found.name, *found.aliases)
    twice = next((name for index, name in enumerate(own[: MOST_ALIASES + 1]) if name in own[:index]), "")
    if twice or len(found.aliases) > MOST_ALIASES:
        raise InputError(
            f"{twice!r} stands twice" if twice else f"{len(found.aliases)} aliases",
            where=f"{where}: aliases",
            remedy=f"write each other name once, at most {MOST_ALIASES}",
        )


def _check_architecture(found: Transformer, where: str) -> None:
    """Refuse what bounds cannot see: parts that contradict each other, a count that misses the published one."""
    experts = found.experts
    if found.heads % found.kv_heads:
        raise InputError(
            f"kv_heads = {found.kv_heads} does not divide heads = {found.heads}",
            where=f"{where}: kv_heads",
            remedy="every key-value head serves the same number of heads",
        )
    if found.windowed_layers > found.layers or bool(found.windowed_layers) != bool(found.window):
        raise InputError(
            f"{found.windowed_layers} windowed layers of {found.layers}, window {found.window}",
            where=f"{where}: windowed_layers",
            remedy="state both window and windowed_layers, at most all layers, or neither",
        )
    if experts and experts.active > experts.count:
        raise InputError(
            f"{experts.active} of {experts.count} experts cannot be active",
            where=f"{where}: experts.active",
            remedy="active is at most count",
        )
    if found.chunked and not found.window:
        raise InputError(
            "chunks without a window", where=f"{where}: chunked", remedy="state window, the size of a chunk"
        )
    if experts and experts.dense_layers + experts.every > found.layers:
        raise InputError(
            f"{experts.dense_layers} dense layers and one of every {experts.every} leave no layer of {found.layers} "
            "to the experts",
            where=f"{where}: experts.{'every' if experts.every > 1 else 'dense_layers'}",
            remedy="fewer dense_layers, a smaller every, or no [experts]",
        )
    if (counted := count(found).parameters) > LARGEST_PARAMETERS:
        raise InputError(
            f"the architecture holds {counted:.5g} parameters", where=where, remedy=f"at most {LARGEST_PARAMETERS:g}"
        )


def _check_published(found: Transformer, published: Published, where: str) -> None:
    """Refuse an architecture whose own count misses the published one, which leaves prediction modules out."""
    counts = count(msgspec.structs.replace(found, mtp_layers=0))
    counted, stated = counts.parameters, published.parameters
    if abs(counted - stated) > TOLERANCE * stated:
        raise InputError(
            f"the architecture holds {counted:.5g} parameters, published are {stated:.5g}",
            where=f"{where}: published.parameters",
            remedy="mend the architecture, or state the parameters of the decoder alone",
        )
    active, stated = counted - counts.idle, published.active
    if not published.active_has_embedding:
        active -= counts.embedding
    if abs(active - stated) > TOLERANCE * stated:
        raise InputError(
            f"a token visits {active:.5g} parameters, published are {stated:.5g}",
            where=f"{where}: published.active",
            remedy="mend the architecture, or say with active_has_embedding what the published count holds",
        )


__all__ = ["Kind", "model", "names", "sources", "sources_of", "stack", "task", "training_task"]
