"""Arguments and options of `maskcast check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskcast.errors import MaskcastError, UsageError
from streaming.cli import arguments
from streaming.cli.terminal import fail, say, shown
from trackers.defaults import DEVICE
from trackers.options import EngineOptions


def check(
    settings: Annotated[
        Path | None, typer.Argument(metavar="[SETTINGS]", help="TOML to check; without it, what works on this machine.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Instead, load this model, fetched if need be, and compare what it finds in two pictures with what "
            "the published one is known to find."
        ),
    ] = None,
    device: arguments.Device = DEVICE,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks.")] = False,
) -> None:
    """Say what works here, or try a settings file or a model."""
    from streaming.commands.acceptance import run_acceptance
    from streaming.commands.check import run_check

    try:
        if settings and model:
            raise UsageError("--model and a settings file are two checks", advice="run them one after the other")
        if device != DEVICE and not model:
            raise UsageError("--device goes with --model")
        lines, code = run_acceptance(EngineOptions(model, device), say) if model else run_check(settings)
    except MaskcastError as error:
        fail(error, verbose=verbose)
    for line in lines:
        typer.echo(shown(line))
    raise typer.Exit(code)
