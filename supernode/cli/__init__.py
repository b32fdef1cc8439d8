"""The command ``supernode``: one module a subcommand; this one maps errors to messages and exit codes.

Exit codes: 0 answered (rows that are ``unsupported`` or ``infeasible`` included), 2 bad input, 3 nothing feasible at
all, 4 a row ended in an internal error, 70 our bug, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from simulator.errors import InputError
from supernode.cli import catalogue, collective, compare, fit, gallery, import_, plan, topology, validate

BAD_INPUT, NOTHING_FEASIBLE, OUR_BUG, INTERRUPTED = 2, 3, 70, 130
DEBUG = "SUPERNODE_DEBUG"

app = typer.Typer(
    name="supernode",
    help="Compare large AI machines on real work: how would this machine do, and how sure are we?",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Start with: supernode compare ironwood-9216 scalex640 --out comparison",
)
app.command("compare")(compare.compare)
app.command("plan")(plan.plan)
app.command("collective")(collective.collective)
app.command("topology")(topology.topology)
app.command("gallery")(gallery.gallery)
app.command("validate")(validate.validate)
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(import_.app, name="import")
app.add_typer(fit.app, name="fit")


@app.callback()
def root() -> None:
    """Compare large AI machines on real work, with sources and ranges."""


def main() -> NoReturn:
    """Run the command line and leave with the exit code that says what happened."""
    sys.exit(_run())


def _run() -> int:
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:
            return _say("interrupted", INTERRUPTED)
        return code if isinstance(code, int) else 0  # typer.Exit comes back as its code
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # whoever read our output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except InputError as error:
        return _say(str(error), BAD_INPUT)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a message instead of a traceback
        return _unforeseen(error)
    return 0


def _unforeseen(error: Exception) -> int:
    """A usage error of the command line's parser explains itself; anything else is our bug."""
    if hasattr(error, "exit_code") and hasattr(error, "show"):
        error.show()
        return int(error.exit_code)
    return _bug(error)


def _bug(error: Exception) -> int:
    if os.environ.get(DEBUG):
        raise error
    return _say(
        f"internal error: {type(error).__name__}: {error}\n  this is a bug; set {DEBUG}=1 for the details", OUR_BUG
    )


def _say(message: str, code: int) -> int:
    print(f"supernode: {message}", file=sys.stderr)  # noqa: T201 - the last word, whatever else is broken
    return code
