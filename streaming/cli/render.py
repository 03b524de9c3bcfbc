"""Arguments and options of `maskcast render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskcast.errors import MaskcastError
from sources.pixels import MAX_PIXELS
from sources.settings import DEFAULT_DECODER
from streaming.cli import arguments
from streaming.cli.terminal import complain, fail, say
from streaming.logs import configure_logs


def render(
    source: Annotated[
        str,
        typer.Argument(metavar="VIDEO", help="The video, or the folder or glob of images, that it is about."),
    ],
    results: Annotated[Path, typer.Argument(metavar="RESULTS.jsonl", help="What maskcast track wrote of it.")],
    out: arguments.Out = None,
    force: arguments.Force = False,
    stream: Annotated[str | None, typer.Option(help="Which stream, where the results are of several.")] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt", "-p", help="Name of a prompt, in the order of category numbers; default: as they come."
        ),
    ] = None,
    max_pixels: arguments.MaxPixels = MAX_PIXELS,
    decoder: arguments.Decoder = DEFAULT_DECODER,
    codec: arguments.Codec = None,
    quality: arguments.Quality = None,
    style: arguments.Style = None,
    zones: arguments.Zones = None,
    summary: arguments.Summary = None,
    verbose: arguments.Verbose = False,
) -> None:
    """Draw or convert what was tracked before, without a model."""
    from streaming.commands.outputs import Outputs
    from streaming.commands.render import run_render

    try:
        if verbose:
            configure_logs("info", "text")
        _, code = run_render(
            source,
            results,
            Outputs(out or [], codec, quality, force, arguments.read_styles(style)),
            prompts=prompt or [],
            stream=stream,
            max_pixels=max_pixels,
            decoder=decoder,
            zones=zones,
            summary=summary,
            problem=lambda error: complain(error, verbose=verbose),
            say=say,
        )
    except MaskcastError as error:
        fail(error, verbose=verbose)
    raise typer.Exit(code)
