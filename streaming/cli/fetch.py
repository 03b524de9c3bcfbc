"""Arguments and options of `maskcast fetch`."""

from __future__ import annotations

from typing import Annotated

import typer

from maskcast.errors import MaskcastError
from streaming.cli.terminal import fail, say, shown
from trackers.defaults import MODEL


def fetch(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Hugging Face id, with @revision or without, or a settings file (.toml), which stands for the models "
            "that it names.",
            show_default=MODEL,
        ),
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Read all files, and fetch damaged ones again.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Ask whether a branch has moved, also if the model is here.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks.")] = False,
) -> None:
    """Bring models into the cache, from where a download ended before."""
    from streaming.commands.fetch import run_fetch

    try:
        lines, code = run_fetch(models or [MODEL], update=update, verify=verify, say=say)
    except MaskcastError as error:
        fail(error, verbose=verbose)
    for line in lines:
        typer.echo(shown(line))
    raise typer.Exit(code)
