"""Options of `maskcast demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskcast.errors import MaskcastError
from streaming.cli import arguments
from streaming.cli.terminal import fail, say


def demo(
    folder: Annotated[Path, typer.Option(help="Where demo.mp4 and demo.jsonl go.")] = Path("maskcast-demo"),
    view: arguments.View = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks.")] = False,
) -> None:
    """Show it on a bundled clip: embedded model, no GPU, no download."""
    from streaming.commands.demo import run_demo

    try:
        lines, code = run_demo(folder, say, view=view)
    except MaskcastError as error:
        fail(error, verbose=verbose)
    for line in lines:
        say(line)
    raise typer.Exit(code)
