"""What is asked of a machine: a training run, an inference service, or a day of both; quantities in SI base units.

A task file is decoded strictly into one of three ``…File`` structs (told apart by ``kind``), in which times are
written with units; :func:`read_task` turns that into the frozen task that everything else reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from simulator.errors import InputError
from simulator.machine import Dtype, Entry, Line, Name, Said
from simulator.units import parse

Quantity = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Tokens = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
Batch = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
RunTokens = Annotated[float, msgspec.Meta(ge=1, le=1e18)]
Share = Annotated[float, msgspec.Meta(ge=1e-6, le=1)]
Weight = Annotated[float, msgspec.Meta(ge=1e-6, le=1e6)]
Sigma = Annotated[float, msgspec.Meta(ge=0, le=5)]
Swing = Annotated[float, msgspec.Meta(ge=1, le=1000)]
Load = Annotated[float, msgspec.Meta(ge=0, le=10)]

SHORTEST_LIMIT_S = 1e-6
LONGEST_LIMIT_S = 3600.0
LONGEST_CLUSTER_S = 366 * 86400.0
SHORTEST_JOB_S = 1.0
LEAST = 1e-6
"""Least of a spread or of a load that is not zero: zero means something, next to nothing is a slip."""


@dataclass(frozen=True)
class TrainingTask:
    """A training run.

    Parameters
    ----------
    model : name of the model
    sequence : tokens of a sequence [1]
    batch : global batch [sequences]
    dtype : of the matrix products; a chip without it computes in bf16
    tokens : of the whole run [1], for its time and cost
    note, source : why these, and who says so (the id of a source, or empty)
    """

    name: str
    title: str
    model: str
    sequence: int
    batch: int
    dtype: Dtype
    tokens: float
    note: str
    source: str

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one optimizer step [1]."""
        return self.sequence * self.batch

    @property
    def models(self) -> tuple[tuple[str, str], ...]:
        """Where the task names models, and which."""
        return (("model", self.model),)

    @property
    def cited(self) -> tuple[tuple[str, str], ...]:
        """Where the task cites sources, and which."""
        return (("source", self.source),) if self.source else ()


@dataclass(frozen=True)
class ServingTask:
    """An inference service under limits.

    Parameters
    ----------
    model : name of the model
    dtype : of weights and matrix products; a chip without it uses bf16
    input_tokens, output_tokens : of a request [1]
    ttft_s : limit of the time to the first token [s]
    tpot_s : limit of the time per further output token, (end to end - ttft) / (output_tokens - 1) [s]
    note, source : why these, and who says so (the id of a source, or empty)
    """

    name: str
    title: str
    model: str
    dtype: Dtype
    input_tokens: int
    output_tokens: int
    ttft_s: float
    tpot_s: float
    note: str
    source: str

    @property
    def models(self) -> tuple[tuple[str, str], ...]:
        """Where the task names models, and which."""
        return (("model", self.model),)

    @property
    def cited(self) -> tuple[tuple[str, str], ...]:
        """Where the task cites sources, and which."""
        return (("source", self.source),) if self.source else ()


class JobClass(Entry, frozen=True):
    """Training jobs of one kind.

    ``share`` of the machine's chips that a job asks for [1]; ``duration`` its mean run time without failures or
    waiting, lognormal with ``sigma``; ``weight`` how often it is drawn beside the other classes.
    """

    name: Name
    model: Name
    share: Share
    duration: Quantity
    sigma: Sigma
    weight: Weight
    note: Said

    @property
    def duration_s(self) -> float:
        """Mean run time [s]."""
        return parse(self.duration, "s")


class ServiceClass(Entry, frozen=True):
    """An inference service that holds a ``share`` of the machine's chips all day.

    Its load follows the hour of the day, from trough to peak in the ratio ``peak_to_trough``, and fills
    ``utilisation`` of what the chips could serve on average [1].
    """

    name: Name
    model: Name
    share: Share
    peak_to_trough: Swing
    utilisation: Share
    note: Said


@dataclass(frozen=True)
class ClusterTask:
    """Some time on a shared machine.

    Parameters
    ----------
    duration_s : simulated time [s]
    load : chip-seconds of training that arrive per chip-second that the services leave [1]; above 1 the queue grows
    policy : order of the queue
    checkpoint : how often a job writes a checkpoint
    jobs, services : classes of training jobs, and the services
    note, source : why these, and who says so (the id of a source, or empty)
    """

    name: str
    title: str
    duration_s: float
    load: float
    policy: str
    checkpoint: str
    jobs: tuple[JobClass, ...]
    services: tuple[ServiceClass, ...]
    note: str
    source: str

    @property
    def models(self) -> tuple[tuple[str, str], ...]:
        """Where the task names models, and which."""
        jobs = ((f"jobs[{i}].model", job.model) for i, job in enumerate(self.jobs))
        services = ((f"services[{i}].model", service.model) for i, service in enumerate(self.services))
        return (*jobs, *services)

    @property
    def cited(self) -> tuple[tuple[str, str], ...]:
        """Where the task cites sources, and which."""
        return (("source", self.source),) if self.source else ()


Task = TrainingTask | ServingTask | ClusterTask


class TrainingFile(Entry, frozen=True, tag_field="kind", tag="training"):
    """A training task as written."""

    name: Name
    title: Said
    model: Name
    sequence: Tokens
    batch: Batch
    dtype: Dtype
    tokens: RunTokens
    note: Said
    source: Line = ""


class Limits(Entry, frozen=True):
    """Latency limits as written, e.g. ``ttft = "2 s"``, ``tpot = "50 ms"``."""

    ttft: Quantity
    tpot: Quantity


class ServingFile(Entry, frozen=True, tag_field="kind", tag="serving"):
    """A serving task as written; ``slo`` holds the limits ``ttft`` and ``tpot`` with units."""

    name: Name
    title: Said
    model: Name
    dtype: Dtype
    input_tokens: Tokens
    output_tokens: Tokens
    slo: Limits
    note: Said
    source: Line = ""


class ClusterFile(Entry, frozen=True, tag_field="kind", tag="cluster"):
    """A cluster task as written."""

    name: Name
    title: Said
    duration: Quantity
    load: Load
    policy: Literal["easy", "fifo", "shortest-first"]
    checkpoint: Literal["young-daly"]
    jobs: Annotated[tuple[JobClass, ...], msgspec.Meta(max_length=64)]
    note: Said
    services: Annotated[tuple[ServiceClass, ...], msgspec.Meta(max_length=64)] = ()
    source: Line = ""


TaskFile = TrainingFile | ServingFile | ClusterFile


def read_task(file: TaskFile, where: str) -> Task:
    """Turn a task as written into a task in SI base units.

    Raises
    ------
    InputError : a quantity with a wrong unit or out of bounds, or parts that contradict each other
    """
    if isinstance(file, TrainingFile):
        if file.tokens < file.sequence * file.batch:
            raise InputError(
                f"{file.tokens:g} tokens are less than one step of {file.sequence * file.batch}",
                where=f"{where}: tokens",
                remedy="state the tokens of the whole run",
            )
        return TrainingTask(
            file.name,
            file.title,
            file.model,
            file.sequence,
            file.batch,
            file.dtype,
            file.tokens,
            file.note,
            file.source,
        )
    if isinstance(file, ServingFile):
        return ServingTask(
            name=file.name,
            title=file.title,
            model=file.model,
            dtype=file.dtype,
            input_tokens=file.input_tokens,
            output_tokens=file.output_tokens,
            ttft_s=_seconds(file.slo.ttft, f"{where}: slo.ttft", SHORTEST_LIMIT_S, LONGEST_LIMIT_S),
            tpot_s=_seconds(file.slo.tpot, f"{where}: slo.tpot", SHORTEST_LIMIT_S, LONGEST_LIMIT_S),
            note=file.note,
            source=file.source,
        )
    return _read_cluster(file, where)


def _read_cluster(file: ClusterFile, where: str) -> ClusterTask:
    duration_s = _seconds(file.duration, f"{where}: duration", SHORTEST_JOB_S, LONGEST_CLUSTER_S)
    _check_little(file.load, f"{where}: load")
    for i, job in enumerate(file.jobs):
        _seconds(job.duration, f"{where}: jobs[{i}].duration", SHORTEST_JOB_S, LONGEST_CLUSTER_S)
        _check_little(job.sigma, f"{where}: jobs[{i}].sigma")
    held = sum(service.share for service in file.services)
    if held > 1:
        raise InputError(
            f"the services hold {held:g} of the machine",
            where=f"{where}: services",
            remedy="shares add up to at most 1",
        )
    if file.load > 0 and not file.jobs:
        raise InputError("load without jobs", where=f"{where}: load", remedy="add [[jobs]] or set load = 0")
    names = [job.name for job in file.jobs] + [service.name for service in file.services]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name!r} stands twice", where=f"{where}: name", remedy="name every job and service once")
    return ClusterTask(
        name=file.name,
        title=file.title,
        duration_s=duration_s,
        load=file.load,
        policy=file.policy,
        checkpoint=file.checkpoint,
        jobs=file.jobs,
        services=file.services,
        note=file.note,
        source=file.source,
    )


def _seconds(text: str, where: str, least_s: float, most_s: float) -> float:
    value_s = parse(text, "s", where=where)
    if not least_s <= value_s <= most_s:
        raise InputError(
            f"{text!r} is out of bounds", where=where, remedy=f"at least {least_s:g} s and at most {most_s:g} s"
        )
    return value_s


def _check_little(value: float, where: str) -> None:
    """Refuse what is next to nothing but not zero."""
    if 0 < value < LEAST:
        raise InputError(f"{value:g} is next to nothing", where=where, remedy=f"write 0, or {LEAST:g} or more")
