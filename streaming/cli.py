"""The command line."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from maskcast.errors import MaskcastError, UsageError
from maskcast.printable import printable
from maskcast.redaction import redact
from sinks.filename import STREAM_FIELD
from sinks.formats import STDOUT, known_formats
from sinks.video.container import HIGHEST_CRF
from sources.pixels import HIGHEST_MAX_PIXELS, MAX_PIXELS
from sources.settings import DEFAULT_DECODER, DEFAULT_TRANSPORT, DecoderName, Transport
from streaming.commands import arguments, manual
from streaming.defaults import HIGHEST_MAX_RATE, LOWEST_MAX_RATE, SAVE_INTERVAL_SECONDS, SHORTEST_SAVE_INTERVAL_SECONDS
from streaming.logs import configure_logs, redact_stray_lines
from streaming.process import INTERRUPTED, keep_memory, leave, share_processors, wait_politely
from trackers.defaults import (
    CONTEXT_TOKENS,
    DETECT_EVERY_FRAMES,
    DEVICE,
    HOT_START_FRAMES,
    MAX_TRACKS,
    MODEL,
    PRECISION,
    PROPAGATE,
)
from trackers.options import EngineOptions

# Of `bench`: each stream holds memories, some 100 MB with the full-size model.
MOST_STREAMS = 64
BENCH_PROMPT = "person"

app = typer.Typer(
    name="maskcast",
    help="Say what to look for in a video or a camera; get every match segmented, numbered and followed, live.",
    epilog=manual.EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def say(line: str) -> None:
    """Print a line, or several, for the person who started the command, on stderr: stdout may be a sink.

    A stderr that is closed or that nobody reads costs the words alone, not the stream of which they tell.
    """
    for handler in logging.getLogger().handlers:
        handler.flush()  # what was logged before comes before
    with suppress(AttributeError, OSError, ValueError):  # Python has none where it was closed from the start
        sys.stderr.write(f"{shown(line)}\n")


def shown(text: str) -> str:
    """The lines of a text without credentials, and without what drives a terminal."""
    return "\n".join(printable(line) for line in redact(text).split("\n"))


def complain(error: BaseException, *, verbose: bool) -> None:
    """Print an error as one line; with `verbose` its traceback before."""
    if verbose:
        import traceback

        say("".join(traceback.format_exception(error)))
    say(f"maskcast: error: {error}")


def fail(error: MaskcastError, *, verbose: bool) -> NoReturn:
    """Print an error and exit with its code."""
    complain(error, verbose=verbose)
    raise typer.Exit(error.exit_code)


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


@app.command(epilog=manual.TRACK)
def track(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Path, folder or glob of images, - for standard input, URL, camera:0 or /dev/video0.",
        ),
    ],
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", "-p", help="What to look for; may be given several times.")
    ] = None,
    out: Annotated[
        list[str] | None,
        typer.Option(
            "--out",
            "-o",
            help=f"{known_formats()}; name:target, such as coco:target, where the suffix does not say the format. "
            f"Default: {STDOUT}, or on a terminal a line a second to read. {STREAM_FIELD} stands for the stream's id.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace files of --out that exist; they are refused without it."),
    ] = False,
    model: arguments.Model = MODEL,
    device: arguments.Device = DEVICE,
    precision: arguments.Precision = PRECISION,
    threshold: arguments.Threshold = None,
    tracker: arguments.Tracker = None,
    tracker_from: arguments.TrackerFrom = None,
    hot_start: arguments.HotStart = HOT_START_FRAMES,
    context_tokens: arguments.ContextTokens = CONTEXT_TOKENS,
    resolution: arguments.Resolution = None,
    detect_every: arguments.DetectEvery = DETECT_EVERY_FRAMES,
    propagate: arguments.Propagate = PROPAGATE,
    compiled: arguments.Compile = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder for the track states, so that a restart keeps the ids; by default none.")
    ] = None,
    save_seconds: Annotated[
        float,
        typer.Option(
            min=SHORTEST_SAVE_INTERVAL_SECONDS,
            help="Seconds between two savings of a track state; a killed process loses what came since.",
        ),
    ] = SAVE_INTERVAL_SECONDS,
    stream: Annotated[str | None, typer.Option(help="Id of the stream; by default made from the source.")] = None,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many tracked frames; by default at the end.")
    ] = None,
    max_rate: Annotated[
        float | None,
        typer.Option(
            min=LOWEST_MAX_RATE,
            max=HIGHEST_MAX_RATE,
            help="Track at most so many frames a second of the video, and leave the others out; by default all.",
        ),
    ] = None,
    live: Annotated[
        bool | None,
        typer.Option(
            "--live/--offline",
            help="Drop all but the newest frame, or process every one; by default live for what has no end.",
        ),
    ] = None,
    rtsp_transport: Annotated[
        Transport, typer.Option(help="How RTSP's media travels: tcp loses nothing, udp has less delay.")
    ] = DEFAULT_TRANSPORT,
    max_pixels: Annotated[
        int,
        typer.Option(
            min=1, max=HIGHEST_MAX_PIXELS, help="Largest picture, width times height; larger ones are refused."
        ),
    ] = MAX_PIXELS,
    decoder: Annotated[
        DecoderName,
        typer.Option(
            help="What decodes video: auto takes a graphics card's decoder where one works, else the processor."
        ),
    ] = DEFAULT_DECODER,
    codec: Annotated[str | None, typer.Option(help="Video encoder; by default H.264, on hardware if it works.")] = None,
    quality: Annotated[
        int | None, typer.Option(min=0, max=HIGHEST_CRF, help="Video quality as the encoder's CRF; lower is better.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show logs and tracebacks.")] = False,
) -> None:
    """Track what matches the prompts and write or publish the masks."""
    from streaming.commands.outputs import Outputs
    from streaming.commands.track import run_track

    outputs = Outputs(out or [], codec, quality, force)
    try:
        if verbose:
            configure_logs("info", "text")
        _, code = run_track(
            sources,
            prompt or [],
            outputs,
            EngineOptions(
                model,
                device,
                tracker,
                tracker_from,
                hot_start,
                precision=precision,
                threshold=threshold,
                context_tokens=context_tokens,
                resolution=resolution,
                detect_every=detect_every,
                propagate=propagate,
                compile=compiled,
            ),
            stream=stream,
            live=live,
            max_frames=max_frames,
            max_rate=max_rate,
            rtsp_transport=rtsp_transport,
            max_pixels=max_pixels,
            decoder=decoder,
            track_states=state,
            save_seconds=save_seconds,
            problem=lambda error: complain(error, verbose=verbose),
            say=say,
        )
    except MaskcastError as error:
        fail(error, verbose=verbose)
    raise typer.Exit(code)


@app.command(epilog=manual.BENCH)
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
            "--prompt", "-p", help=f"What to look for; may be given several times; by default {BENCH_PROMPT}."
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
            options, prompt or [BENCH_PROMPT], streams=streams, objects=objects, seconds=seconds, say=say
        )
    except MaskcastError as error:
        fail(error, verbose=verbose)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    for line in table(measured):
        typer.echo(shown(line))
    if as_json:
        typer.echo(shown(json.dumps(report(measured))))


@app.command(epilog=manual.DEMO)
def demo(
    folder: Annotated[Path, typer.Option(help="Where demo.mp4 and demo.jsonl go.")] = Path("maskcast-demo"),
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks.")] = False,
) -> None:
    """Show it on a bundled clip: embedded model, no GPU, no download."""
    from streaming.commands.demo import run_demo

    try:
        lines, code = run_demo(folder)
    except MaskcastError as error:
        fail(error, verbose=verbose)
    for line in lines:
        say(line)
    raise typer.Exit(code)


@app.command(epilog=manual.RUN)
def run(
    settings: Annotated[Path, typer.Argument(metavar="SETTINGS", help="TOML file, such as cameras.toml.")],
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks.")] = False,
) -> None:
    """Serve many streams with one model; SIGHUP reads the settings anew."""
    from streaming.service.service import run_service

    try:
        code = run_service(settings)
    except MaskcastError as error:
        fail(error, verbose=verbose)
    raise typer.Exit(code)


@app.command(epilog=manual.FETCH)
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


@app.command(epilog=manual.CHECK)
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
