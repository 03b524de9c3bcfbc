"""Options of `maskcast bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from maskcast.errors import MaskcastError
from streaming.cli import arguments
from streaming.cli.terminal import fail, say, shown
from streaming.logs import configure_logs
from streaming.process import INTERRUPTED
from trackers.defaults import CONTEXT_TOKENS, DEVICE, MAX_TRACKS, MODEL, PRECISION
from trackers.options import EngineOptions

# Each stream holds memories, some 100 MB with the full-size model.
MOST_STREAMS = 64
DEFAULT_PROMPT = "person"


def bench(
    model: arguments.Model = MODEL,
    device: arguments.Device = DEVICE,
    precision: arguments.Precision = PRECISION,
    threshold: arguments.Threshold = None,
    tracker: arguments.Tracker = None,
    tracker_from: arguments.TrackerFrom = None,
    context_tokens: arguments.ContextTokens = CONTEXT_TOKENS,
    resolution: arguments.Resolution = None,
    compiled: arguments.Compile = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt", "-p", help=f"What to look for; may be given several times; by default {DEFAULT_PROMPT}."
        ),
    ] = None,
    streams: Annotated[int, typer.Option(min=1, max=MOST_STREAMS, help="Most streams at once.")] = 8,
    objects: Annotated[int, typer.Option(min=0, max=MAX_TRACKS, help="Most objects in each stream.")] = 10,
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure, once the model is loaded.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show logs and tracebacks.")] = False,
) -> None:
    """Measure how many cameras this machine serves, stage by stage."""
    import json

    from streaming.commands.bench import run_bench
    from streaming.commands.bench_report import as_json as report
    from streaming.commands.bench_report import table

    if verbose:
        configure_logs("info", "text")
    options = EngineOptions(
        model,
        device,
        tracker,
        tracker_from,
        precision=precision,
        threshold=threshold,
        context_tokens=context_tokens,
        resolution=resolution,
        compile=compiled,
    )
    try:
        measured = run_bench(
            options, prompt or [DEFAULT_PROMPT], streams=streams, objects=objects, seconds=seconds, say=say
        )
    except MaskcastError as error:
        fail(error, verbose=verbose)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    for line in table(measured):
        typer.echo(shown(line))
    if as_json:
        typer.echo(shown(json.dumps(report(measured))))
