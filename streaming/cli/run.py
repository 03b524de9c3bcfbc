"""Arguments of `maskcast run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskcast.errors import MaskcastError
from streaming.cli.terminal import fail


def run(
    settings: Annotated[Path, typer.Argument(metavar="SETTINGS", help="TOML file, such as cameras.toml.")],
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks.")] = False,
) -> None:
    """Serve many streams with one model; SIGHUP reads settings anew."""
    from streaming.service.service import run_service

    try:
        code = run_service(settings)
    except MaskcastError as error:
        fail(error, verbose=verbose)
    raise typer.Exit(code)
