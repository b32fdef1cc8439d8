"""What ``supernode collective dispatch`` is asked: tokens, experts, skew and library as people write them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import topologies
import workloads
from simulator.collectives.exchange import Library, Routing, Tokens, balanced, measured, zipf
from simulator.collectives.exchange.price import MODES, MOST_TOKENS, Mode
from simulator.errors import InputError, unknown_name
from simulator.files import read_text
from simulator.machine import slice_of, slice_of_shape
from supernode.validation.exchange import DEFAULT_PRECISION, table

if TYPE_CHECKING:
    from simulator.machine import Machine, Slice

Kind = Literal["dispatch", "combine"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MODEL = "deepseek-v3"
"""Whose experts are exchanged where neither a model nor its sizes are named."""
GENERIC = "generic-ep"
"""The library that is taken where none is known to run."""
MOST_SIZES = 64
_SENT_OUT = ("fp8", "int8", "bf16")
"""How dispatch sends where nobody says: the first of these that the chip computes in."""


@dataclass(frozen=True)
class Request:
    """What was asked.

    Parameters
    ----------
    kind, machine, network, hypothesis, routing : names; empty for the usual ones
    tokens : of one rank, as people write them, one number or a range
    chips, shape : that take part, and along each axis of a torus; None and empty for the whole machine
    model : whose width and experts are taken where ``hidden``, ``experts`` and ``top_k`` are None
    dtype : in which tokens are sent; empty for FP8 out where the chip has it, BF16 back
    skew : ``balanced``, ``zipf:1.1`` or a file with the tokens of each expert
    node_limit : machines among which a token picks its experts (node-limited routing); None for all
    library, mode : empty for the usual one on these links, and for the mode in which it sends so many tokens
    fidelity : ``closed-form`` or ``flow``; empty for the closed form, or for flow where only that can answer
    fails : links and switches that are dead or slow
    samples, seed : of the draws
    """

    kind: Kind
    machine: str
    tokens: str = "128"
    chips: int | None = None
    shape: tuple[int, ...] = ()
    network: str = ""
    hypothesis: str = ""
    model: str = ""
    hidden: int | None = None
    experts: int | None = None
    top_k: int | None = None
    dtype: str = ""
    skew: str = "balanced"
    node_limit: int | None = None
    library: str = ""
    mode: str = ""
    fidelity: str = ""
    fails: tuple[str, ...] = ()
    routing: str = ""
    samples: int = 64
    seed: int = 0

    @property
    def level(self) -> str:
        """The level that answers.

        Raises
        ------
        InputError : no such level, or one that cannot do what else was asked
        """
        return level_of(self.fidelity, self.fails, self.routing)

    def cut(self, machine: Machine) -> Slice:
        """The slice that takes part."""
        if self.shape:
            return slice_of_shape(machine, self.shape)
        return slice_of(machine, machine.chips if self.chips is None else self.chips)


@dataclass(frozen=True)
class Batch:
    """The request read: who picks which experts, how a token is sent, and how many there are at each size."""

    routing: Routing
    dtype: str
    sizes: tuple[Tokens, ...]


def level_of(fidelity: str, fails: tuple[str, ...], routing: str) -> str:
    """``closed-form`` or ``flow``; see :attr:`Request.level`."""
    only = "--fail" if fails else "--routing" if routing else ""
    wanted = fidelity or ("flow" if only else "closed-form")
    if wanted == "curve":
        raise InputError(
            "no curve of an exchange was measured", where="--fidelity", remedy="ask the closed form or flow"
        )
    if wanted not in {"closed-form", "flow"}:
        raise unknown_name("level", wanted, ("closed-form", "flow"), where="--fidelity")
    if only and wanted != "flow":
        raise InputError(
            f"the level {wanted} knows no links one by one", where=only, remedy="leave out --fidelity, or say flow"
        )
    return wanted


def batch_of(request: Request, part: Slice) -> Batch:
    """Read what is exchanged.

    Raises
    ------
    InputError : unknown names, counts that do not fit each other, a file that is wrong
    """
    hidden, experts, top_k = _sizes_of(request)
    if request.skew not in {"", "balanced"} and not request.skew.startswith("zipf:"):
        counts = _numbers(Path(request.skew), "--skew")
        if request.experts is not None and len(counts) != request.experts:
            raise InputError(
                f"holds {len(counts)} numbers for {request.experts} experts",
                where=f"--skew {request.skew}",
                remedy="write one number of tokens for each expert",
            )
        routing = measured(counts, top_k)
    else:
        _check_divides(experts, part)
        routing = _routing(request, experts, top_k, part)
    _check_divides(routing.experts, part)
    dtype = request.dtype or _dtype(request.kind, part)
    known = table().precision
    if dtype not in known:
        raise unknown_name("type that tokens are sent in", dtype, known, where="--dtype")
    sent = known[dtype]
    scale_bytes = sent.scale_bytes * hidden / sent.scaled_values
    sizes = tuple(Tokens(count, hidden, sent.bytes_per_value, scale_bytes) for count in counts_of(request.tokens))
    return Batch(routing, dtype, sizes)


def _sizes_of(request: Request) -> tuple[int, int, int]:
    """Width of a token, experts, and experts that it picks."""
    sizes = (request.hidden, request.experts, request.top_k)
    if None not in sizes:
        return sizes  # type: ignore[return-value]
    model = workloads.model(request.model or MODEL)
    if model.experts is None:
        able = [name for name in workloads.names("models") if workloads.model(name).experts]
        raise InputError(
            f"{model.name} has no experts to exchange tokens between",
            where="--model",
            remedy=f"name one of {', '.join(able)}, or write --hidden, --experts and --top-k",
        )
    own = (model.hidden, model.experts.count, model.experts.active)
    hidden, experts, top_k = (mine if given is None else given for given, mine in zip(sizes, own, strict=True))
    return hidden, experts, top_k


def _routing(request: Request, experts: int, top_k: int, part: Slice) -> Routing:
    if request.skew.startswith("zipf:"):
        if request.node_limit is not None:
            raise InputError(
                "skew and node-limited routing do not go together", where="--node-limit", remedy="leave one of them out"
            )
        text = request.skew.removeprefix("zipf:")
        try:
            exponent = float(text)
        except ValueError:
            raise InputError(
                f"{text!r} is no exponent of a Zipf law",
                where=f"--skew {request.skew}",
                remedy="write 0 (no skew) or more, usually below 2, as in zipf:1.1",
            ) from None
        return zipf(experts, top_k, exponent, part.chips)
    if request.node_limit is None:
        return balanced(experts, top_k)
    if request.node_limit < 1:
        raise InputError(
            f"{request.node_limit} machines hold no experts", where="--node-limit", remedy="give 1 or more"
        )
    if request.node_limit < part.machines:
        return balanced(experts, top_k, groups=part.machines, top_groups=request.node_limit)
    return balanced(experts, top_k)


def _check_divides(experts: int, part: Slice) -> None:
    """Refuse experts that do not lie equally many on each rank, with chips and experts that would."""
    if experts < 1 or experts % part.chips == 0:
        return  # experts that are none are refused with their routing
    fitting = [chips for chips in part.machine.legal_chips if chips > 1 and experts % chips == 0]
    fewer = f"--chips {max(fitting)}, or " if fitting and max(fitting) < part.chips else ""
    raise InputError(
        f"{experts} experts do not divide evenly over {part.chips} chips",
        where="--experts",
        remedy=f"write {fewer}--experts {-(-experts // part.chips) * part.chips}, replicas of the busiest included",
    )


def _dtype(kind: Kind, part: Slice) -> str:
    if kind == "combine":
        return DEFAULT_PRECISION["moe_combine"]
    return next(dtype for dtype in _SENT_OUT if dtype in part.chip.peak or dtype == _SENT_OUT[-1])


def counts_of(text: str) -> list[float]:
    """Read ``128`` as one number of tokens and ``1:4096`` as all doublings from the first to the last.

    Raises
    ------
    InputError : no number, numbers in the wrong order, more than 64 of them
    """
    first, colon, last = text.partition(":")
    try:
        start = float(first)
        stop = float(last) if colon else start
    except ValueError:
        start = stop = math.nan
    if not (0 < start <= stop <= MOST_TOKENS):
        raise InputError(f"{text!r} is no number of tokens or range", where="--tokens", remedy="write 128 or 1:4096")
    found = [start]
    while found[-1] * 2 <= stop and len(found) <= MOST_SIZES:
        found.append(found[-1] * 2)
    return found


def _numbers(path: Path, where: str) -> list[float]:
    """The numbers of a file, between commas or white space."""
    words = read_text(path).replace(",", " ").split()
    try:
        return [float(word) for word in words]
    except ValueError:
        wrong = next(word for word in words if not _is_number(word))
        raise InputError(
            f"{wrong[:40]!r} is no number",
            where=f"{where} {path}",
            remedy="write balanced, zipf:1.1, or a file with the tokens that each expert got",
        ) from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _why_not(library: Library, part: Slice) -> str:
    """Why a library does not run on a slice; empty where it does."""
    family = _family(part)
    if library.vendors and part.chip.vendor not in library.vendors:
        return f"runs on chips of {' and '.join(library.vendors)}, not of {part.chip.vendor}"
    if library.links and family not in library.links:
        return f"runs over {', '.join(library.links)}, not over {family}"
    if library.only_inside and part.machines > 1:
        return f"runs inside one machine, and {part.machines} take part"
    return ""


def _family(part: Slice) -> str:
    """Family of the innermost links."""
    return next(level.link.family for level in part.levels if level.size > 1)


def libraries_on(part: Slice) -> dict[str, Library]:
    """The libraries of the catalogue that run on a slice."""
    every = {name: topologies.shared("exchange", name) for name in topologies.names("exchange")}
    return {name: library for name, library in every.items() if not _why_not(library, part)}


def library_of(request: Request, part: Slice) -> str:
    """The library that was named, or the usual one on these links.

    Raises
    ------
    InputError : an unknown one, one that does not run on these chips, or none named and the usual one lacks the mode
    """
    able = libraries_on(part)
    if not request.library:
        usual = next((name for name, library in able.items() if _family(part) in library.usual_on), GENERIC)
        having = [name for name, library in able.items() if request.mode in modes_of(library)]
        if request.mode in MODES and usual not in having:
            raise InputError(
                f"{usual}, the usual library on these links, has no kernels for mode {request.mode}",
                where="--mode",
                remedy=f"name one that has with --library: {', '.join(having)}",
            )
        return usual
    if request.library not in topologies.names("exchange"):
        raise unknown_name("library of exchange", request.library, topologies.names("exchange"), where="--library")
    if request.library not in able:
        library = topologies.shared("exchange", request.library)
        raise InputError(
            f"{library.title} {_why_not(library, part)}",
            where=f"--library {request.library}",
            remedy=f"here run {', '.join(able)}",
        )
    return request.library


def modes_of(library: Library) -> tuple[Mode, ...]:
    """The modes that a library has kernels for."""
    has: dict[Mode, bool] = {"normal": library.normal is not None, "low-latency": library.low_latency is not None}
    return tuple(mode for mode in MODES if has[mode])


def mode_of(wanted: str, library: Library, tokens: float) -> Mode:
    """The mode that was named; else that in which a library sends so many tokens of a rank.

    Raises
    ------
    InputError : an unknown one, or one that the library lacks
    """
    able = modes_of(library)
    if not wanted:
        return "low-latency" if tokens <= library.low_latency_tokens or able == ("low-latency",) else "normal"
    if wanted not in MODES:
        raise unknown_name("mode of an exchange", wanted, MODES, where="--mode")
    found = next((mode for mode in able if mode == wanted), None)
    if found is None:
        raise InputError(
            f"{library.title} has no kernels for mode {wanted}", where="--mode", remedy=f"ask for {', '.join(able)}"
        )
    return found
