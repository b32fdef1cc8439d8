"""``supernode import``: a machine of your own from what another tool says about its wiring, a model from its config."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from simulator.errors import InputError
from simulator.files import write_whole

if TYPE_CHECKING:
    from topologies.imports.common import Wiring


class _Formats(TyperGroup):
    """The formats as subcommands; a JSON file where a format is wanted is the configuration of a model."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The subcommand that ``args`` begin with."""
        is_file = args[0].lower().endswith(".json")
        return super().resolve_command(ctx, ["hugging-face", *args] if is_file else args)


app = typer.Typer(
    cls=_Formats,
    help="Make a machine of your own from nvidia-smi topo -m, GraphML or InfraGraph, or a model from a config.json.",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(help="The file to read.")]
Like = Annotated[str, typer.Option(help="Machine that gives chip, power, prices and whatever else the file lacks.")]
Out = Annotated[Path, typer.Option(help="Where to write: a folder, or a name that ends in .toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of sentences.")]


@app.command("nvidia-smi")
def nvidia_smi(file: File, out: Out, like: Like = "", as_json: AsJson = False) -> None:
    """The output of nvidia-smi topo -m, saved as text.

    Example: supernode import nvidia-smi topo.txt --like hgx-h100 --out mine.toml
    """
    from topologies.imports import nvidia_smi as reader
    from topologies.imports.machine_file import template

    table = template(like)
    matrix = reader.read(file)
    fabric, notes = reader.fabric(matrix, table)
    _write(file, out, table, fabric, len(matrix.gpus), len(matrix.gpus), notes, as_json=as_json)


@app.command("graphml")
def graphml(file: File, out: Out, like: Like = "", as_json: AsJson = False) -> None:
    """GraphML: an export of the command topology, or nodes with kind and edges with bandwidth_bytes_per_s, latency_s.

    Example: supernode import graphml fabric.graphml --like hgx-h100 --out mine.toml
    """
    from topologies.imports.graphml import read

    _graph(file, out, like, read, as_json=as_json)


@app.command("infragraph")
def infragraph(file: File, out: Out, like: Like = "", as_json: AsJson = False) -> None:
    """InfraGraph as JSON: devices, links, instances and edges of one machine.

    Example: supernode import infragraph fabric.json --like hgx-h100 --out mine.toml
    """
    from topologies.imports.infragraph import read

    _graph(file, out, like, read, as_json=as_json)


@app.command("hugging-face")
def hugging_face(
    file: File,
    out: Out,
    text: Annotated[
        bool, typer.Option("--text", help="Take the text decoder of a model that also sees or hears.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The config.json of a model, as repositories on Hugging Face hold it; the word hugging-face may be left out.

    Example: supernode import hugging-face config.json --out mymodel.toml
    """
    import msgspec

    import workloads
    from simulator.program import Transformer
    from topologies.imports.machine_file import machine_name
    from topologies.imports.toml_text import toml
    from workloads.program import count

    if file.suffix.lower() != ".json":
        raise InputError("is no JSON", where=str(file)[-80:], remedy="name the config.json of a model")
    model = workloads.model(f"{file}#text_config" if text else str(file))
    is_file = out.suffix.lower() == ".toml"
    name = machine_name(out) if is_file else model.name
    target = out if is_file else out / f"{name}.toml"
    _refuse_own(file, target)
    plain = {field.name: field.default for field in msgspec.structs.fields(Transformer)}
    table = msgspec.to_builtins(msgspec.structs.replace(model, name=name))
    write_whole(target, toml({key: value for key, value in table.items() if value != plain[key] and value != []}))
    parameters = count(model).parameters
    if as_json:
        said = {"schema": 1, "model": name, "file": str(target), "parameters": parameters}
        typer.echo(json.dumps(said | {"note": model.note}, ensure_ascii=False, indent=2))
        return
    typer.echo(f"wrote {target}: {parameters:,} parameters")
    if model.note:
        typer.echo(f"  {model.note}")
    typer.echo(f"look at it: supernode catalogue show model {target}; plan it: supernode plan {target} MACHINE")


def _refuse_own(file: Path, target: Path) -> None:
    """Refuse to write over the file that is read."""
    if target.exists() and file.exists() and target.samefile(file):
        raise InputError("is the file to read", where=f"--out {target}", remedy="write into another one")


def _graph(file: Path, out: Path, like: str, read: Callable[[Path], Wiring], *, as_json: bool) -> None:
    from topologies.imports.machine_file import template
    from topologies.imports.recognise import fabric_of

    table = template(like)
    wiring = read(file)
    fabric = fabric_of(wiring, table)
    chips = len(wiring.of_kind("chip"))
    unit = int(fabric.get("chips_per_node") or fabric.get("chips_per_switch") or 1)
    kinds = ", ".join(f"{len(wiring.of_kind(kind))} of kind {kind}" for kind in ("chip", "switch", "cpu", "nic"))
    found = f"{kinds}; {len(wiring.edges)} edges in {file.name[:200]}."
    _write(file, out, table, fabric, chips, unit, (found, *wiring.notes), as_json=as_json)


def _write(
    file: Path,
    out: Path,
    like: dict[str, Any],
    fabric: dict[str, Any],
    chips: int,
    unit: int,
    notes: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    from topologies.imports.machine_file import imported, machine_name

    is_file = out.suffix.lower() == ".toml"
    name = machine_name(out if is_file else file)
    target = out if is_file else out / f"{name}.toml"
    made = imported(name, file, like, fabric, chips, unit, notes)
    _refuse_own(file, target)
    write_whole(target, made.text)
    if as_json:
        said = {"schema": 1, "machine": made.name, "file": str(target), "builder": made.builder, "chips": made.chips}
        typer.echo(json.dumps(said | {"like": like["name"], "notes": list(made.notes)}, ensure_ascii=False, indent=2))
        return
    typer.echo(f"wrote {target}: {made.chips} chips, builder {made.builder}, all else as {like['name']}")
    for note in made.notes:
        typer.echo(f"  {note}")
    typer.echo(f"check it: supernode topology {target}; compare it: supernode compare {target} {like['name']}")
