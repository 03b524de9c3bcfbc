"""What `maskcast track --workers` does between its arguments and its exit code: many videos over many workers."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from maskcast.errors import MaskcastError, SinkError, SourceError, UsageError
from maskcast.files import make_private
from maskcast.prompts import Prompt
from maskcast.redaction import redact
from maskcast.threads import in_daemon_thread
from sinks.filename import STREAM_FIELD
from sinks.formats import parse_output
from sources import SourceSettings
from sources.settings import DEFAULTS
from streaming.cluster.origin import Origin
from streaming.cluster.videos.inputs import Input, inputs_of, named_source
from streaming.cluster.videos.ledger import Held, Ledger, Record
from streaming.cluster.videos.plan import Outcome, Video, VideosPlan, View
from streaming.cluster.videos.remote_outputs import RemoteOutput, Uploaded, apart, asked_of, check
from streaming.cluster.videos.report import ReportFile, Row, table
from streaming.cluster.videos.storage import is_remote, shown
from streaming.commands.counting import Counting, restored
from streaming.commands.fetch import fetch_first
from streaming.commands.fleet import Fleet
from streaming.commands.outputs import Outputs, holds_something
from streaming.commands.tracking_plan import TrackingPlan, wanted_of
from streaming.defaults import MAX_BATCH, SAVE_INTERVAL_SECONDS
from streaming.event_loop import run_until_stopped
from streaming.pipeline.stopping import unless
from streaming.process import INTERRUPTED
from trackers.options import EngineOptions

if TYPE_CHECKING:
    from streaming.cluster.connection import Cluster

# In the folder of the first output, unless `--state` names another.
STATE_FOLDER = ".maskcast"
# What the file begins with by which a worker knows that it sees the same folder.
TOKEN = "token-"  # noqa: S105 - no secret


def run_track_videos(
    sources: Sequence[str],
    prompts: Sequence[str | Prompt],
    outputs: Outputs,
    options: EngineOptions,
    fleet: Fleet,
    *,
    settings: SourceSettings = DEFAULTS,
    max_frames: int | None = None,
    max_rate: float | None = None,
    state: Path | None = None,
    save_seconds: float = SAVE_INTERVAL_SECONDS,
    zones: Path | None = None,
    summary: Path | None = None,
    problem: Callable[[MaskcastError], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Track all videos of `sources` that are not done yet, each on one of the workers.

    Args:
        sources: paths, folders, globs and URLs of recordings.
        prompts: what to look for.
        outputs: where results go: files, each with the stream's id in its name.
        options: of each worker's engine.
        fleet: who does it.
        settings: how sources are opened.
        max_frames: of each video; None for all.
        max_rate: most frames a second of media time; None for all.
        state: folder in which it is kept what is done; None for the default.
        save_seconds: between two savings of how far a video is.
        zones: file with the places where objects are counted; None for none.
        summary: where to write what was counted; None for nowhere.
        problem: is told why a video failed, as it happens.
        say: is told what a person may want to know.

    Returns:
        The exit code: 3 if a video failed, 130 after an interrupt, else 0.

    Raises:
        MaskcastError: nothing could begin.
    """
    wanted = wanted_of(prompts, outputs)
    outputs, remote = apart(outputs)
    _check(outputs, remote, options, state)
    outputs, options = _from_anywhere(outputs, options)
    inputs = inputs_of(sources)
    counting = Counting(zones, summary, wanted, outputs, [one.source for one in inputs], again=True)
    plan = TrackingPlan(wanted, outputs, options, settings, counting.places, max_frames, max_rate, save_seconds)
    folder = (state or _beside(outputs)).absolute()
    held = Held(folder)
    try:
        return _run(inputs, plan, remote, counting, fleet, folder, problem, say)
    finally:
        held.close()


def _run(
    inputs: Sequence[Input],
    plan: TrackingPlan,
    remote: Sequence[RemoteOutput],
    counting: Counting,
    fleet: Fleet,
    folder: Path,
    problem: Callable[[MaskcastError], None],
    say: Callable[[str], None],
) -> int:
    ledger = Ledger(folder)
    sources = [one.source for one in inputs]
    streams = ledger.names((one.identity.path, one.name) for one in inputs)
    videos = [Video(stream, one.source, one.identity) for stream, one in zip(streams, inputs, strict=True)]
    plan.outputs.check(sources, streams, plan.published)
    check(remote, sources, streams)
    counting.check_apart(streams)
    report = ReportFile(fleet.report, force=plan.outputs.force) if fleet.report else None
    if report:
        report.check_apart([*sources, *(file.path for file in plan.outputs.files(streams, plan.published))])
    asked = asked_of(plan.asked, remote)
    there = Uploaded(remote, streams, plan.published)
    done = {} if plan.outputs.force else _done(videos, ledger, asked, there)
    missing = [video for video in videos if video.stream not in done]
    _make_room(missing, ledger, plan, asked, there)
    outcomes = {stream: Outcome.of(stream, record) for stream, record in done.items()}
    if done:
        say(f"{len(done)} of {len(videos)} videos are done already")

    for left in folder.glob(f"{TOKEN}*"):  # by commands that were killed
        left.unlink(missing_ok=True)
    token = f"{TOKEN}{token_hex(8)}"
    make_private(folder / token)
    try:
        work = VideosPlan(plan, asked, Origin.here(), folder, token, remote=tuple(remote))
        stopped = bool(missing) and run_until_stopped(
            lambda stop: _track(work, missing, len(done), fleet, outcomes, stop, problem, say)
        )
    finally:
        (folder / token).unlink(missing_ok=True)

    unknown = {video.stream: Outcome(video.stream, interrupted=True) for video in missing}
    outcomes = unknown | outcomes  # those of a command that was stopped before it had begun
    rows = [_row(video, outcomes[video.stream]) for video in videos]
    for line in table(rows, shutil.get_terminal_size().columns if sys.stderr.isatty() else None):
        say(line)
    tallies = {stream: restored(one.counted) for stream, one in outcomes.items() if one.counted}
    failures = [counting.tell(tallies, say)]
    if report:
        try:
            report.write(rows)
            say(f"wrote {fleet.report}")
        except SinkError as error:
            failures.append(error)
    for failure in failures:
        if failure:
            problem(failure)
    if any(outcome.error for outcome in outcomes.values()):
        return SourceError.exit_code
    if any(failures):
        return SinkError.exit_code
    return INTERRUPTED if stopped else 0


def _row(video: Video, outcome: Outcome) -> Row:
    return Row(
        video.stream,
        redact(video.source) if not is_remote(video.source) else shown(video.source),
        outcome.frames,
        outcome.tracks,
        outcome.seconds,
        outcome.outputs,
        None if outcome.error is None else redact(outcome.error),
        outcome.worker,
        outcome.interrupted,
    )


async def _track(
    plan: VideosPlan,
    missing: Sequence[Video],
    before: int,
    fleet: Fleet,
    outcomes: dict[str, Outcome],
    stop: asyncio.Event,
    problem: Callable[[MaskcastError], None],
    say: Callable[[str], None],
) -> bool:
    """Have what is missing tracked; whether it was stopped before the end.

    Raises:
        MaskcastError: nothing could begin.
    """
    from streaming.cluster.connection import connected
    from streaming.cluster.resources import divide
    from streaming.cluster.videos.execution import Execution
    from streaming.cluster.videos.progress import FleetProgress

    options = plan.tracking.options
    with ExitStack() as ending:
        connection = ending.enter_context
        cluster = await unless(stop, in_daemon_thread(lambda: connection(connected(fleet.address)), "connect to Ray"))
        if cluster is None:
            return True
        if cluster.local:
            await fetch_first(options, stop, say)
        workers = divide(cluster.nodes(), fleet.workers, device=options.device, local=cluster.local)
        count = min(workers.count, len(missing))
        say(f"{count} worker{'' if count == 1 else 's'}, {'GPU' if workers.gpus else 'CPU'}, on {_where(cluster)}")
        plan = replace(plan, at_once=MAX_BATCH if workers.gpus else 1)
        sources = {video.stream: named_source(video.source) for video in missing}
        with FleetProgress(missing, before, say) as progress:

            def ended(outcome: Outcome) -> None:
                outcomes[outcome.stream] = outcome
                progress.ended(outcome)
                if outcome.error:
                    source = sources[outcome.stream]
                    problem(SourceError(outcome.error, where=None if source in outcome.error else source))

            engines: set[str] = set()

            def seen(view: View) -> None:
                for beat in view.beats:
                    if beat.description and beat.description not in engines:
                        engines.add(beat.description)
                        say(beat.description)
                progress.seen(view)

            execution = Execution(plan, count, workers.options, ended, seen)
            await execution.run(sorted(missing, key=lambda video: -(video.identity.size or 0)), stop)
    return stop.is_set()


def _where(cluster: Cluster) -> str:
    return "this machine" if cluster.local else cluster.address


def _check(outputs: Outputs, remote: Sequence[RemoteOutput], options: EngineOptions, state: Path | None) -> None:
    """Refuse what many processes cannot do together.

    Raises:
        UsageError: which.
    """
    if not (outputs.specs or remote) or any(parse_output(spec).path is None for spec in outputs.specs):
        advice = f"name files, for example --out 'tracks/{STREAM_FIELD}.jsonl'"
        raise UsageError("--workers writes files", advice=advice)
    if not (outputs.specs or state):
        what = "what is done must be kept in a folder that all nodes see, and all outputs are at URLs"
        raise UsageError(what, advice="name one with --state")
    if options.device not in {"auto", "cpu", "cuda"}:
        raise UsageError(f"--device {options.device} with --workers: each has its own", advice="say cuda, cpu or auto")


def _from_anywhere(outputs: Outputs, options: EngineOptions) -> tuple[Outputs, EngineOptions]:
    """The same with absolute paths: workers have working directories of their own."""
    specs = []
    for spec in outputs.specs:
        output = parse_output(spec)
        specs.append(f"{output.prefix}{os.path.abspath(output.target)}")  # noqa: PTH100 - links stay as they are
    model, tracker = (
        str(Path(name).absolute()) if name and Path(name).is_dir() else name
        for name in (options.model, options.tracker_from)
    )
    return replace(outputs, specs=specs), replace(options, model=model or options.model, tracker_from=tracker)


def _beside(outputs: Outputs) -> Path:
    path = parse_output(outputs.specs[0]).path
    assert path is not None
    return path.parent / STATE_FOLDER


def _done(videos: Sequence[Video], ledger: Ledger, asked: str, there: Uploaded) -> dict[str, Record]:
    """The records of those that are done as it is asked now, and whose outputs are there still."""
    done = {}
    for video in videos:
        record = ledger.read(video.stream)
        if record and record.fits(video.identity, asked) and all(map(there.holds, record.outputs)):
            done[video.stream] = record
    return done


def _make_room(missing: Sequence[Video], ledger: Ledger, plan: TrackingPlan, asked: str, there: Uploaded) -> None:
    """See that nothing is replaced that should not be, and make the folders.

    Raises:
        UsageError: an output is there already.
        SinkError: see `streaming.commands.outputs.Outputs.prepare`.
    """
    for video in missing:
        outputs = plan.outputs
        record = ledger.read(video.stream)
        if outputs.force:
            ledger.spool(video.stream, video.identity, asked, plan.save_seconds).remove()
        if outputs.force or (record and record.status == "replaced" and record.asked == asked):
            files = outputs.files([video.stream], plan.published)
            if there.of(video.stream) or any(
                holds_something(file.path) for file in files
            ):  # the next run goes on, without --force
                ledger.write(video.stream, Record(video.identity, asked, "replaced"))
            else:
                ledger.remove(video.stream)
            outputs = replace(outputs, force=True)
        if not outputs.force:
            there.refuse(video.stream)
        outputs.prepare([video.stream], plan.published)
        if not outputs.force and record and record.fits(video.identity, asked):
            ledger.remove(video.stream)  # what it tells of is gone: or a worker would take it for done
