"""The Python API: results as they come, from one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Unpack, get_args

from maskcast.errors import UsageError
from maskcast.prompts import Prompt, listed
from maskcast.read_ahead import read_ahead
from maskcast.result import Result
from sources.pixels import MAX_PIXELS
from sources.settings import DEFAULT_DECODER, DecoderName
from streaming.defaults import LOWEST_MAX_RATE
from streaming.given_places import GivenPlaces, given_places, zones_stage
from streaming.pipeline.reader import READ_AHEAD_FRAMES
from streaming.pipeline.stage import Stage, staged
from streaming.pipeline.thinning import ThinnedSource
from trackers.options import EngineKeywords, options_of


def track(
    source: str | Path,
    prompts: str | Prompt | Sequence[str | Prompt],
    *,
    stream: str | None = None,
    live: bool | None = None,
    max_frames: int | None = None,
    max_rate: float | None = None,
    max_pixels: int = MAX_PIXELS,
    decoder: DecoderName = DEFAULT_DECODER,
    zones: GivenPlaces | None = None,
    **options: Unpack[EngineKeywords],
) -> Iterator[Result]:
    """Track what matches the prompts in a video, a stream, a camera or images, frame by frame.

    Decoding runs ahead on a thread of its own; the model runs in the caller's thread. Leaving the loop ends both.
    All else in the caller's process stays as it is. The command `maskcast` sets ``OMP_WAIT_POLICY=PASSIVE`` before it
    loads torch: do so too where a small model shares its processors with other work.

    Args:
        source: as on the command line: a path, a glob, `-` for standard input, a URL, or `camera:0`.
        prompts: one or several, phrases or `Prompt`s; an object belongs to one of them.
        stream: id of the stream; by default made from the source's name.
        live: True to drop all but the newest frame when the model is late; by default only for live sources.
        max_frames: stop after this many.
        max_rate: most frames a second of the video; the others are left out, see `ThinnedSource`. None for all.
        max_pixels: largest picture that is decoded, width times height.
        decoder: what decodes video: `cpu`, `cuda`, `vaapi`, or `auto` for the first of these devices that works.
        zones: zones and lines, or the TOML file that holds them, as `--zones`. Results then have a `tally`, tracks say
            in which `zones` they are, and events tell what happened there.
        options: `model`, `device` and the others of `trackers.options.EngineOptions`.

    Yields:
        One `Result` a frame.

    Raises:
        UsageError: an argument cannot be served.
        SourceError: the source cannot be opened, or ended before its time (after all frames that decoded).
        ModelError: the model cannot be loaded or failed.
    """
    from sources import SourceSettings, open_source
    from trackers.engine import Engine

    if max_frames is not None and max_frames < 1:
        raise UsageError(f"max_frames must be at least 1, not {max_frames}")
    if max_rate is not None and not max_rate >= LOWEST_MAX_RATE:
        raise UsageError(f"max_rate must be at least {LOWEST_MAX_RATE}, not {max_rate}")
    if decoder not in get_args(DecoderName):
        raise UsageError(f"unknown decoder {decoder!r}", advice=f"use {' or '.join(get_args(DecoderName))}")
    opened = open_source(str(source), SourceSettings(live=live, max_pixels=max_pixels, decoder=decoder), stream=stream)
    with closing(ThinnedSource(opened, max_rate) if max_rate else opened) as opened:
        chosen = options_of(options)
        engine = Engine(chosen)
        tracked = engine.open_stream(listed(prompts))
        stages: Sequence[Stage] = ()  # as `Job.stages`
        if zones is not None:
            places = given_places(zones, tracked.prompts)
            stages = (zones_stage(places, tracked.prompts, chosen.lost_after),)
        live, name = opened.info.live, f"read {opened.info.stream}"
        with closing(read_ahead(opened, name, ahead=1 if live else READ_AHEAD_FRAMES, newest=live)) as frames:
            for frame in islice(frames, max_frames):
                yield from staged(engine.step([tracked], [frame])[0], stages)
        yield from staged(engine.close_stream(tracked), stages)
