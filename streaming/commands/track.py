"""What `maskcast track` does between its arguments and its exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from maskcast.errors import MaskcastError, SourceError, UsageError
from maskcast.prompts import Prompt, names
from sources import STDIN, Kind, SourceSettings, expand, kind_of, stream_id
from sources.location import free_id
from sources.pixels import MAX_PIXELS
from sources.settings import DEFAULT_DECODER, DEFAULT_TRANSPORT, DecoderName, Transport
from streaming.commands.bottleneck import explained
from streaming.commands.counting import Counting
from streaming.commands.fetch import fetch_first
from streaming.commands.outputs import Outputs
from streaming.commands.progress import ProgressDisplay, tell
from streaming.commands.tracking_plan import TrackingPlan, wanted_of
from streaming.commands.written import WrittenFiles
from streaming.defaults import SAVE_INTERVAL_SECONDS
from streaming.event_loop import run_until_stopped
from streaming.pipeline.job import Job
from streaming.pipeline.jobs import exit_code, run_jobs
from streaming.pipeline.report import Report
from streaming.pipeline.stopping import unless
from streaming.pipeline.worker import Worker, engine_loader
from streaming.track_states import track_state_file
from trackers.options import EngineOptions

if TYPE_CHECKING:
    from streaming.commands.view import View


def run_track(
    sources: Sequence[str],
    prompts: Sequence[str | Prompt],
    outputs: Outputs,
    options: EngineOptions,
    *,
    stream: str | None = None,
    live: bool | None = None,
    max_frames: int | None = None,
    max_rate: float | None = None,
    rtsp_transport: Transport = DEFAULT_TRANSPORT,
    max_pixels: int = MAX_PIXELS,
    decoder: DecoderName = DEFAULT_DECODER,
    track_states: Path | None = None,
    save_seconds: float = SAVE_INTERVAL_SECONDS,
    zones: Path | None = None,
    summary: Path | None = None,
    view: bool = False,
    problem: Callable[[MaskcastError], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[list[Report], int]:
    """Track in all sources, with a progress bar, until they end or a signal comes.

    With `view` the live page shows it meanwhile. `problem` is called with each error as it happens, `say` with what a
    person may want to know: where the page is, what runs where, and at the end what became of each stream, what took
    the time, and what was counted at the places of `zones`, which `summary` says to programs.

    Returns:
        What became of each stream, and the exit code.

    Raises:
        MaskcastError: nothing could begin.
    """
    expanded = [single for source in sources for single in expand(source)]
    if stream is not None and len(expanded) > 1:
        raise UsageError(f"--stream names one stream, but there are {len(expanded)} sources")
    wanted = wanted_of(prompts, outputs)
    if expanded.count(STDIN) > 1:
        raise UsageError(f"source {STDIN} is standard input, which can be read once")
    streams = [stream] if stream is not None else _unique([stream_id(source) for source in expanded])
    published = names(wanted)
    counting = Counting(zones, summary, wanted, outputs, expanded)
    outputs.check(expanded, streams, published)
    _check_presence(expanded)
    outputs.prepare(streams, published)
    counting.check_apart(streams)
    written = WrittenFiles(outputs.files(streams, published))

    settings = SourceSettings(live=live, transport=rtsp_transport, max_pixels=max_pixels, decoder=decoder)
    plan = TrackingPlan(wanted, outputs, options, settings, counting.places, max_frames, max_rate, save_seconds)

    def job(source: str, name: str, display: ProgressDisplay, page: View | None) -> Job:
        single = plan.job(
            source,
            name,
            counting.stages(name, options.lost_after),
            track_state_file(track_states, name) if track_states else None,
            partial(tell, display, problem),
        )
        return page.showing(single, name, outputs.styles) if page else single

    async def main(stop: asyncio.Event) -> list[Report]:
        async with AsyncExitStack() as ending:
            page = None
            if view:
                from streaming.commands.view import View

                page = await ending.enter_async_context(View(say))
            return await run(stop, page)

    async def run(stop: asyncio.Event, page: View | None) -> list[Report]:
        await fetch_first(options, stop, say)
        worker = Worker(engine_loader(options, say=say))
        if not stop.is_set():
            await unless(stop, worker.start())
        if stop.is_set():
            return [Report(stream="", interrupted=True)]
        engine = worker.thread.engine
        say(engine.description)
        with ProgressDisplay(max_frames) as display:
            at_once: list[Job] = []
            one_by_one: list[Job] = []
            for source, name in zip(expanded, streams, strict=True):
                local = kind_of(source) in {Kind.FILE, Kind.IMAGES} and not live
                (one_by_one if local else at_once).append(job(source, name, display, page))
            reports = await run_jobs(worker, at_once, one_by_one, stop)
        worker.close()
        lines = [report.summary() for report in reports if report.stream]
        lines += [*explained(reports, engine.stage_times.totals(), engine.device.type), *written.lines(reports)]
        for line in lines:
            say(line)
        counting.finish(reports, say, problem)
        return reports

    reports = run_until_stopped(main)
    return reports, exit_code(reports)


def _unique(names: Sequence[str]) -> list[str]:
    """Number the repeats: door, door-2, door-3."""
    taken: set[str] = set()
    unique = []
    for name in names:
        unique.append(free_id(name, taken))
        taken.add(unique[-1])
    return unique


def _check_presence(sources: Sequence[str]) -> None:
    """Say that nothing is there before the model is loaded, which may take minutes.

    Raises:
        SourceError: none of the sources exists.
    """
    local = {Kind.FILE, Kind.IMAGES}
    named = [source for source in sources if source != STDIN and kind_of(source) in local and not has_magic(source)]
    if len(named) == len(sources) and not any(Path(source).exists() for source in named):
        raise SourceError("no such file", where=sources[0])
