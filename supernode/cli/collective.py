"""``supernode collective``: price one collective, or a sweep of sizes, on one of three levels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.errors import InputError
from supernode.cli.common import machine_names, model_names, print_json, progress_bar, warm_kernels
from supernode.cli.exchange import EXCHANGES, check_options, exchange_of, libraries, print_exchange, print_vector

if TYPE_CHECKING:
    from supernode.collective_sweep import Request

KINDS = ("all-reduce", "reduce-scatter", "all-gather", "all-to-all", "broadcast", "send-recv")
LEVELS = ("curve", "closed-form", "flow")
EXPERTS = "Experts: dispatch and combine"
_PLAIN = ("--bytes", "--algorithm", "--jobs", "--placement", "--cases", "--plot")
_OF_EXPERTS = (
    "--tokens",
    "--model",
    "--hidden",
    "--experts",
    "--top-k",
    "--dtype",
    "--skew",
    "--node-limit",
    "--library",
    "--mode",
    "--cases",
    "--plot",
)


def _kinds(incomplete: str) -> list[str]:
    return [kind for kind in (*KINDS, *EXCHANGES) if kind.startswith(incomplete)]


def collective(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join((*KINDS, *EXCHANGES))}.", autocompletion=_kinds)],
    machine: Annotated[
        str, typer.Argument(help="A machine of the catalogue, or a TOML file.", autocompletion=machine_names)
    ],
    size: Annotated[
        str | None,
        typer.Option(
            "--bytes", help="Message size as in nccl-tests, e.g. 1GiB, or a sweep 1KiB:4GiB.  [default: 1GiB]"
        ),
    ] = None,
    chips: Annotated[int | None, typer.Option(help="Chips that take part.  [default: the whole machine]")] = None,
    part: Annotated[
        str, typer.Option("--slice", metavar="SHAPE", help="Shape of a torus in place of --chips, as in 4x4x16.")
    ] = "",
    network: Annotated[str, typer.Option(help="Network that joins several machines.")] = "",
    algorithm: Annotated[str, typer.Option(help="Name one instead of the cheapest.")] = "",
    hypothesis: Annotated[str, typer.Option(help="Reading of an undisclosed machine.")] = "",
    fidelity: Annotated[
        str, typer.Option(help=f"Level that answers: {', '.join(LEVELS)}.  [default: closed-form]")
    ] = "",
    fail: Annotated[
        list[str] | None,
        typer.Option(metavar="LINK|SWITCH", help="A dead link chip3-leaf0 or switch leaf0; leaf0=0.5 is half as fast."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Equal jobs at once, each of --chips chips, on one fabric.")] = None,
    placement: Annotated[str, typer.Option(help="How jobs lie: packed or interleaved.  [default: packed]")] = "",
    routing: Annotated[
        str, typer.Option(help="dimension-order, spread, ecmp, valiant or all-path.  [default: the fabric's own]")
    ] = "",
    tokens: Annotated[
        str | None,
        typer.Option(rich_help_panel=EXPERTS, help="Tokens of each rank, e.g. 128, or a sweep 1:4096.  [default: 128]"),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            rich_help_panel=EXPERTS,
            autocompletion=model_names,
            help="Whose hidden size, experts and top-k are taken.  [default: deepseek-v3]",
        ),
    ] = "",
    hidden: Annotated[int | None, typer.Option(rich_help_panel=EXPERTS, help="Values of a token.")] = None,
    experts: Annotated[
        int | None, typer.Option(rich_help_panel=EXPERTS, help="Experts in all, equally many on each rank.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(rich_help_panel=EXPERTS, help="Experts that a token picks.")] = None,
    dtype: Annotated[
        str,
        typer.Option(
            rich_help_panel=EXPERTS,
            help="How tokens are sent: fp8, bf16, int8, fp4, scaling factors included.  [default: fp8 out, bf16 back]",
        ),
    ] = "",
    skew: Annotated[
        str,
        typer.Option(
            rich_help_panel=EXPERTS,
            metavar="HOW",
            help="How tokens pick experts: balanced, zipf:1.1, or a file with the tokens of each.  [default: balanced]",
        ),
    ] = "",
    node_limit: Annotated[
        int | None,
        typer.Option(rich_help_panel=EXPERTS, help="Machines among which a token picks (node-limited routing)."),
    ] = None,
    library: Annotated[
        str,
        typer.Option(
            rich_help_panel=EXPERTS,
            autocompletion=libraries,
            help="Library of exchange, such as deepep-v1 or uccl-ep.  [default: the usual one on these links]",
        ),
    ] = "",
    mode: Annotated[
        str,
        typer.Option(
            rich_help_panel=EXPERTS,
            help="normal (a token once to each node, fanned out there) or low-latency (each copy straight).  "
            "[default: low-latency for few tokens]",
        ),
    ] = "",
    matrix: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="all-to-all-v: bytes from each rank (line) to each (column), commas or blanks between."
        ),
    ] = None,
    cases: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Your own measured rows, beside the published ones.")
    ] = None,
    samples: Annotated[
        int, typer.Option(help="Draws of the uncertain figures for the range.", min=8, max=100_000)
    ] = 64,
    seed: Annotated[int, typer.Option(help="Seed of all random streams.", min=0)] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw busbw against size, or time against tokens, to a PNG or SVG file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Price a collective: time, algbw, busbw, algorithm, bottleneck, lower bounds, and what was measured nearest.

    Example: supernode collective all-reduce gb200-nvl72 --bytes 1MiB:8GiB

    \b
    supernode collective all-to-all ironwood-9216 --slice 4x8x8
    supernode collective all-reduce hgx-h100 --fail switch0
    supernode collective dispatch hgx-h800 --chips 64 --model deepseek-v3
    supernode collective combine hgx-h100 --tokens 1:4096 --plot combine.png
    supernode collective dispatch cloudmatrix384 --chips 128 --skew zipf:1.1
    supernode collective all-to-all-v mi300x-8 --matrix bytes.csv
    """  # noqa: D301 - the backspace keeps the lines of the examples apart
    if part and chips is not None:
        raise InputError("says how many chips, as --chips does", where="--slice", remedy="leave one of them out")
    shape = _shape(part)
    if len(shape) == 1:
        chips, shape = shape[0], ()
    given: dict[str, object] = {
        "--bytes": size is not None,
        "--algorithm": algorithm,
        "--jobs": jobs,
        "--placement": placement,
        "--tokens": tokens is not None,
        "--model": model,
        "--hidden": hidden is not None,
        "--experts": experts is not None,
        "--top-k": top_k is not None,
        "--dtype": dtype,
        "--skew": skew,
        "--node-limit": node_limit is not None,
        "--library": library,
        "--mode": mode,
        "--matrix": matrix,
        "--cases": cases,
        "--plot": plot,
    }
    fails, exchange = tuple(fail or ()), exchange_of(kind)
    if exchange == "all-to-all-v":
        check_options(exchange, given, ("--matrix",))
        if matrix is None:
            raise InputError("says not who sends what to whom", where=exchange, remedy="write --matrix FILE")
        from supernode.exchange_vector import VectorRequest

        wanted = VectorRequest(
            machine, matrix, chips, shape, network, hypothesis, fidelity, fails, routing, samples, seed
        )
        print_vector(wanted, as_json=as_json)
        return
    if exchange:
        check_options(exchange, given, _OF_EXPERTS)
        from supernode.exchange_request import Request as ExchangeRequest

        asked = ExchangeRequest(
            kind="dispatch" if exchange == "dispatch" else "combine",
            machine=machine,
            tokens="128" if tokens is None else tokens,
            chips=chips,
            shape=shape,
            network=network,
            hypothesis=hypothesis,
            model=model,
            hidden=hidden,
            experts=experts,
            top_k=top_k,
            dtype=dtype,
            skew=skew or "balanced",
            node_limit=node_limit,
            library=library,
            mode=mode,
            fidelity=fidelity,
            fails=fails,
            routing=routing,
            samples=samples,
            seed=seed,
        )
        print_exchange(asked, cases or [], plot, as_json=as_json)
        return
    check_options(kind, given, _PLAIN)
    from supernode.collective_sweep import Request as CollectiveRequest

    _print(
        CollectiveRequest(
            kind,
            machine,
            "1GiB" if size is None else size,
            chips,
            network,
            algorithm,
            hypothesis,
            samples,
            seed,
            shape,
            fidelity,
            fails,
            1 if jobs is None else jobs,
            placement or "packed",
            routing,
        ),
        cases or [],
        plot,
        part,
        as_json=as_json,
    )


def _shape(text: str) -> tuple[int, ...]:
    """Chips along each axis; a single number is all of them."""
    if not text:
        return ()
    from supernode.cli.slices import parsed

    return parsed(text)


def _print(request: Request, own: list[Path], plot: Path | None, part: str, *, as_json: bool) -> None:
    """Price a collective of nccl-tests and print it."""
    from supernode.cli.collective_print import as_objects, print_tables
    from supernode.collective_sweep import sweep
    from supernode.nearest_rows import judged, measured_of, nearest

    with progress_bar(as_json) as tell:
        if request.level == "flow":
            warm_kernels(tell)
        found = sweep(request, tell)
    first = found.answers[0]
    near = [nearest(found.part, answer.kind, answer.size_bytes, own) for answer in found.answers]
    good = judged(found.part, first.kind, own)
    if plot is not None:
        from supernode.plots.collectives import plot_sweep
        from supernode.plots.save import write_plot

        rows = [(answer, answer.low_s, answer.high_s) for answer in found.answers]
        points = [(each.row.size_bytes, each.busbw_bytes_per_s) for each in measured_of(near[0], found.part)]
        bounds = [(answer.size_bytes, answer.bounds.least_s) for answer in found.answers]
        name = found.part.machine.name
        write_plot(lambda ax: plot_sweep(rows, name, ax=ax, measured=points, least_s=bounds, level=first.level), plot)
    if as_json:
        print_json(as_objects(found, near, good, list(request.shape)))
        return
    print_tables(found, near, good, part)
