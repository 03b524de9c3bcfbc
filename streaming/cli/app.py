"""All commands, and the process that runs one."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from streaming.cli import manual
from streaming.cli.bench import bench
from streaming.cli.check import check
from streaming.cli.convert import convert
from streaming.cli.demo import demo
from streaming.cli.fetch import fetch
from streaming.cli.render import render
from streaming.cli.run import run
from streaming.cli.terminal import complain
from streaming.cli.track import track
from streaming.logs import redact_stray_lines
from streaming.process import keep_memory, leave, share_processors, wait_politely


class Commands(TyperGroup):
    """Says what is wrong with an option without the words of pydantic, by which Typer checks them."""

    def invoke(self, ctx: Any) -> Any:
        """Parse and run a command."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            what, _, _ = error.message.removeprefix("Value error, ").partition(", unable to parse")
            error.message = what.replace("Input should be", "must be", 1)
            raise


app = typer.Typer(
    name="maskcast",
    cls=Commands,
    help="Say what to look for in a video or a camera; get every match segmented, numbered and followed, live.",
    epilog=manual.EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"maskcast {version('maskcast')}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """What stands before a command."""


# In the order of the help.
app.command(epilog=manual.TRACK)(track)
app.command(epilog=manual.RENDER)(render)
app.command(epilog=manual.CONVERT)(convert)
app.command(epilog=manual.BENCH)(bench)
app.command(epilog=manual.DEMO)(demo)
app.command(epilog=manual.RUN)(run)
app.command(epilog=manual.FETCH)(fetch)
app.command(epilog=manual.CHECK)(check)


def main() -> NoReturn:
    """Run the command line, and end the process."""
    wait_politely()
    share_processors()
    keep_memory()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # its advice is for those who write code with it
    redact_stray_lines()
    # Damaged pictures are told in our own words.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    code = 0
    try:
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:  # noqa: BLE001 - a bug; still one line, and no credentials in a traceback
        complain(error, verbose="--verbose" in sys.argv)
        code = 1
    leave(code)
