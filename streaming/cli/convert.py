"""Arguments of `maskcast convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskcast.errors import MaskcastError
from streaming.cli import arguments
from streaming.cli.terminal import fail, say

# Read from `sinks.datasets.conversion` they would cost the start of every command; a test compares.
FORMATS = "cvat, voc or png"


def convert(
    results: Annotated[Path, typer.Argument(metavar="RESULTS.json", help="What --out coco:… wrote.")],
    to: Annotated[str, typer.Option(help=f"{FORMATS} (MOTS, with ids of tracks).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A folder, which must be new or empty.")],
    images: Annotated[
        Path | None,
        typer.Option(help="Folder with the frames' pictures under the names in the file, to be copied; default: none."),
    ] = None,
    verbose: arguments.Verbose = False,
) -> None:
    """Bring COCO results to formats of labelling tools.

    They are written by datumaro, which is in the extra [convert].
    """
    from sinks.datasets import conversion

    try:
        frames = conversion.convert(results, to, out, images)
    except MaskcastError as error:
        fail(error, verbose=verbose)
    say(f"wrote {out} ({frames} frames, {to})")
