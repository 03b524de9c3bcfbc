"""What `maskcast render` does between its arguments and its exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from maskcast.errors import MaskcastError, SourceError, UsageError
from maskcast.prompts import clean_prompts
from sinks.datasets.stored_results import StoredResults, look_through
from sources import SourceSettings, open_source
from sources.pixels import MAX_PIXELS
from sources.settings import DEFAULT_DECODER, DecoderName
from sources.source import Source
from streaming.commands.counting import Counting
from streaming.commands.outputs import Outputs
from streaming.commands.progress import ProgressDisplay, tell
from streaming.commands.written import WrittenFiles
from streaming.event_loop import run_until_stopped
from streaming.lost_tracks import LostTracks
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.jobs import exit_code, run_jobs
from streaming.pipeline.report import Report
from streaming.pipeline.worker import Worker
from streaming.replay.stored_model import StoredModel
from trackers.defaults import LOST_AFTER_SECONDS

if TYPE_CHECKING:
    from trackers.engine import Engine


def run_render(
    source: str,
    results: Path,
    outputs: Outputs,
    *,
    prompts: Sequence[str] = (),
    stream: str | None = None,
    max_pixels: int = MAX_PIXELS,
    decoder: DecoderName = DEFAULT_DECODER,
    zones: Path | None = None,
    summary: Path | None = None,
    problem: Callable[[MaskcastError], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[list[Report], int]:
    """Write what is stored of a video, or of pictures, to other outputs; no model is loaded.

    Args:
        source: the video, folder or glob that the results are of.
        results: JSON Lines.
        outputs: where to write.
        prompts: the first names of prompts in the order of their numbers; others follow as they come.
        stream: which of several streams in `results`.
        max_pixels: see `SourceSettings`.
        decoder: see there.
        zones: file of zones and lines.
        summary: where to write what was counted there.
        problem: called with each error as it happens.
        say: called with what a person may want to know.

    Returns:
        What became of it, and the exit code.

    Raises:
        MaskcastError: nothing could begin.
    """
    stored = look_through(results, stream)
    names = list(dict.fromkeys([*prompts, *stored.prompts]))
    try:
        outputs.styles.check(names)
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    wanted = clean_prompts(names) if names else ()
    counting = Counting(zones, summary, wanted, outputs, [source, str(results)])
    for read in (source, str(results)):
        outputs.check([read], [stored.stream], names)
    outputs.prepare([stored.stream], names)
    counting.check_apart([stored.stream])
    written = WrittenFiles(outputs.files([stored.stream], names))
    medium = open_source(
        source, SourceSettings(live=False, max_pixels=max_pixels, decoder=decoder), stream=stored.stream
    )
    model = _model(stored, medium)

    async def main(stop: asyncio.Event) -> list[Report]:
        worker = Worker(lambda: cast("Engine", model))  # what streams ask of an engine it can do
        await worker.start()
        with ProgressDisplay(stored.frames) as display:
            job = Job(
                open_source=lambda: medium,
                open_sinks=lambda info: outputs.open(info, source, names),
                controls=Controls(wanted),
                stages=[
                    *([LostTracks(LOST_AFTER_SECONDS)] if outputs.styles.hide else []),
                    *counting.stages(stored.stream, LOST_AFTER_SECONDS),
                ],
                max_frames=stored.last + 1,  # what comes behind has no result
                notify=partial(tell, display, problem),
            )
            reports = await run_jobs(worker, [], [job], stop)
        worker.close()
        (report,) = reports
        if not report.interrupted and not report.errors and (missing := stored.frames - model.found):
            what = f"{missing} of its {stored.frames} frames are not in {source}"
            report.errors.append(SourceError(what, where=results, advice="is it the video that they are of?"))
            problem(report.errors[-1])
        lines = [report.summary() for report in reports if report.stream]
        if model.left_out:
            lines.append(f"{model.left_out} frames without a result were left out")
        for line in [*lines, *written.lines(reports)]:
            say(line)
        counting.finish(reports, say, problem)
        return reports

    reports = run_until_stopped(main)
    return reports, exit_code(reports)


def _model(stored: StoredResults, medium: Source) -> StoredModel:
    try:
        return StoredModel(stored, medium.info, LOST_AFTER_SECONDS)
    except MaskcastError:
        medium.close()
        raise
