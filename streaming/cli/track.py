"""Arguments and options of `maskcast track`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskcast.errors import MaskcastError
from sources.pixels import MAX_PIXELS
from sources.settings import DEFAULT_DECODER, DEFAULT_TRANSPORT, SourceSettings, Transport
from streaming.cli import arguments
from streaming.cli.terminal import complain, fail, say
from streaming.defaults import HIGHEST_MAX_RATE, LOWEST_MAX_RATE, SAVE_INTERVAL_SECONDS, SHORTEST_SAVE_INTERVAL_SECONDS
from streaming.logs import configure_logs
from trackers.defaults import (
    CONTEXT_TOKENS,
    DETECT_EVERY_FRAMES,
    DEVICE,
    HOT_START_FRAMES,
    MODEL,
    PRECISION,
    PROPAGATE,
)
from trackers.options import EngineOptions


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
    prompts: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="More to look for: tables [[prompts]], each a phrase with conditions."),
    ] = None,
    min_area: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the picture that a match must cover at least.")
    ] = 0.0,
    max_area: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the picture that a match may cover at most.")
    ] = 1.0,
    out: arguments.Out = None,
    force: arguments.Force = False,
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
    max_pixels: arguments.MaxPixels = MAX_PIXELS,
    decoder: arguments.Decoder = DEFAULT_DECODER,
    codec: arguments.Codec = None,
    quality: arguments.Quality = None,
    style: arguments.Style = None,
    zones: arguments.Zones = None,
    summary: arguments.Summary = None,
    view: arguments.View = False,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Track many videos with so many workers of Ray, each with a model on a GPU of its own or its share of "
            "the processors; a second run does what is missing. Needs maskcast[ray].",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Of the Ray cluster that has the workers: auto, host:port or ray://host:port; default: this machine.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --workers: a table of what became of each video, .parquet, .csv or .jsonl."
        ),
    ] = None,
    verbose: arguments.Verbose = False,
) -> None:
    """Track what matches the prompts and write or publish the masks."""
    from streaming.commands.fleet import fleet_of
    from streaming.commands.outputs import Outputs
    from streaming.commands.track import run_track
    from streaming.commands.wanted import wanted_prompts

    try:
        outputs = Outputs(out or [], codec, quality, force, arguments.read_styles(style))
        if verbose:
            configure_logs("info", "text")
        wanted = wanted_prompts(prompt or [], prompts, min_area=min_area, max_area=max_area)
        options = EngineOptions(
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
        )
        if fleet := fleet_of(workers, ray, report, stream=stream, live=live, view=view):
            from streaming.commands.track_videos import run_track_videos

            code = run_track_videos(
                sources,
                wanted,
                outputs,
                options,
                fleet,
                settings=SourceSettings(max_pixels=max_pixels, decoder=decoder),
                max_frames=max_frames,
                max_rate=max_rate,
                state=state,
                save_seconds=save_seconds,
                zones=zones,
                summary=summary,
                problem=lambda error: complain(error, verbose=verbose),
                say=say,
            )
            raise typer.Exit(code)
        _, code = run_track(
            sources,
            wanted,
            outputs,
            options,
            stream=stream,
            live=live,
            max_frames=max_frames,
            max_rate=max_rate,
            rtsp_transport=rtsp_transport,
            max_pixels=max_pixels,
            decoder=decoder,
            track_states=state,
            save_seconds=save_seconds,
            zones=zones,
            summary=summary,
            view=view,
            problem=lambda error: complain(error, verbose=verbose),
            say=say,
        )
    except MaskcastError as error:
        fail(error, verbose=verbose)
    raise typer.Exit(code)
