"""Scheduling, back-pressure and failures, with sources, sinks and a model whose speed the test sets."""

import asyncio
import threading
from dataclasses import replace
from functools import partial

import pytest

from maskcast.errors import ModelError, SinkError, SourceError, UsageError
from maskcast.mask import Box
from maskcast.notices import Problem, TrackedFrame
from maskcast.result import Event, EventKind, Result
from sinks.sink import BlockingSink
from streaming.pipeline.delivery import _together
from streaming.pipeline.jobs import exit_code, run_jobs
from streaming.pipeline.stream import run_stream
from streaming.pipeline.worker import Worker
from tests.patience import eventually_async, patient
from tests.pipelines import Frames, Model, Record, job, run


async def test_a_source_that_opens_in_the_moment_of_the_stop_is_closed():
    source, opened = Frames(), threading.Event()

    def open_source():
        opened.set()
        return source

    stop = asyncio.Event()
    running = asyncio.create_task(run_stream(job(open_source), Worker(Model), stop))
    await asyncio.sleep(0)
    assert opened.wait(patient(30))
    for thread in threading.enumerate():
        if thread.name == "open source":  # the event loop is busy, and hears of both at once
            thread.join(patient(30))
    stop.set()
    report = await running
    assert report.interrupted
    assert await asyncio.to_thread(source.closed.wait, patient(30))


async def test_a_sink_that_fails_unexpectedly_does_not_cancel_what_another_writes():
    written = []

    async def fail():
        raise RuntimeError("a bug")

    async def write():
        await asyncio.sleep(0.01)
        written.append(1)

    with pytest.raises(RuntimeError, match="a bug"):
        await _together("finish", [fail(), write()])
    assert written


async def test_offline_loses_nothing_however_slow_the_stages_are():
    source, fast, slow = Frames(30), Record(), Record(seconds=0.01)
    (report,) = await run([job(source, fast, slow)], Model(seconds=0.003))
    assert fast.indices == slow.indices == list(range(30))
    assert (report.frames, report.dropped, report.errors) == (30, 0, [])
    assert fast.finished == slow.finished == 1
    assert fast.reason is None
    assert exit_code([report]) == 0


async def test_offline_reads_only_a_few_frames_ahead():
    source, sink = Frames(None), Record()
    (report,) = await run([job(source, sink)], Model(seconds=0.1), stop_after=0.5)
    assert report.interrupted
    assert source.read <= len(sink.indices) + 8


async def test_live_takes_the_newest_frame_and_counts_what_it_drops():
    source, sink = Frames(60, live=True, interval=0.01), Record()
    (report,) = await run([], Model(seconds=0.08), live=[job(source, sink)])
    assert sink.indices == sorted(set(sink.indices))
    assert sink.indices[-1] == 59, "the newest is never dropped"
    assert 3 <= len(sink.indices) <= 20
    assert report.frames + report.dropped == 60


async def test_a_slow_sink_of_a_live_stream_does_not_slow_the_others():
    class Slow(Record):
        """Each of its frames takes as long as ten of the source."""

        async def write(self, result):
            done = min(source.read + 10, source.number)
            await eventually_async(lambda: source.read >= done)
            await super().write(result)

    source, fast, slow = Frames(100, live=True, interval=0.01), Record(), Slow()
    (report,) = await run([], live=[job(source, fast, slow)])
    assert len(fast.indices) >= 0.8 * report.frames
    assert len(slow.indices) <= len(fast.indices) / 4
    assert slow.indices[-1] == 99


@pytest.mark.parametrize("broken", [{"fail_at": 3}, {"fail_start": True}, {"fail_finish": True}])
async def test_a_sink_that_fails_takes_down_only_itself(broken):
    good, bad = Record(), Record(**broken)
    (report,) = await run([job(Frames(20), good, bad)])
    assert good.indices == list(range(20))
    assert good.finished == bad.finished == 1
    assert [type(error) for error in report.errors] == [SinkError]
    assert exit_code([report]) == 4


@pytest.mark.parametrize("others", [False, True], ids=["", "but optional ones"])
async def test_with_no_sink_left_the_stream_stops(others):
    source, optional = Frames(None), Record()
    optional.optional = True
    (report,) = await run([job(source, Record(fail_at=3), Record(fail_at=5), *([optional] if others else []))])
    assert exit_code([report]) == 4
    assert "No space left on device" in str(report.errors[0])
    assert source.closed.is_set()


async def test_optional_sinks_alone_are_fed_to_the_end():
    optional = Record()
    optional.optional = True
    await run([job(Frames(20), optional)])
    assert optional.indices == list(range(20))


async def test_a_source_that_breaks_keeps_what_came_before():
    sink = Record()
    (report,) = await run([job(Frames(7, error=SourceError("x.mp4: truncated")), sink)])
    assert sink.indices == list(range(7))
    assert sink.reason == "x.mp4: truncated"
    assert exit_code([report]) == 3


async def test_a_decoder_bug_is_a_source_error_in_one_line():
    (report,) = await run([job(Frames(2, error=ValueError("first\nsecond")), Record())])
    assert str(report.errors[0]) == "test: ValueError: first"


async def test_a_model_that_fails_ends_the_stream_and_finishes_the_sinks():
    sink = Record()
    (report,) = await run([job(Frames(20), sink)], Model(fail_at=5))
    assert sink.indices == list(range(5))
    assert sink.finished == 1
    assert str(report.errors[0]) == "the model failed: RuntimeError: a bad day"
    assert isinstance(report.errors[0], ModelError)
    assert exit_code([report]) == 5


async def test_an_interrupt_finishes_the_outputs():
    sink = Record()
    (report,) = await run([job(Frames(None, interval=0.01), sink)], stop_after=0.3)
    assert report.interrupted
    assert sink.reason == "interrupted"
    assert sink.indices
    assert exit_code([report]) == 130


async def test_an_interrupt_does_not_wait_for_a_source_that_hangs():
    hang, over = threading.Event(), threading.Event()

    def hangs():
        hang.wait(patient(60))
        over.set()
        return Frames()

    (report,) = await run([job(hangs, Record())], stop_after=0.2)
    assert report.interrupted
    assert not over.is_set(), "it still hangs"
    hang.set()


async def test_results_that_are_held_back_come_at_the_end():
    sink = Record()
    (report,) = await run([job(Frames(9), sink)], Model(held=4))
    assert sink.indices == list(range(9))
    assert report.frames == 9


async def test_max_frames():
    sink = Record()
    await run([job(Frames(None), sink, max_frames=4)])
    assert sink.indices == [0, 1, 2, 3]


async def test_a_blocking_sink_runs_off_the_event_loop_one_call_at_a_time():
    threads = set()

    class Blocking(BlockingSink):
        def start_blocking(self, info):
            threads.add(threading.get_ident())

        def write_blocking(self, result):
            threads.add(threading.get_ident())

        def finish_blocking(self, reason):
            threads.add(threading.get_ident())

    await run([job(Frames(5), Blocking("b"))])
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_run_stream_raises_what_keeps_it_from_beginning():
    worker = Worker(Model)
    await worker.start()
    bad = job(Frames(1), Record(), prompts=())
    with pytest.raises(UsageError, match="no prompt"):
        await run_stream(bad, worker, asyncio.Event())


async def test_errors_are_told_at_once():
    times = []
    source = Frames(20, interval=0.02)

    def notify(notice):
        if isinstance(notice, Problem):
            times.append((str(notice.error), source.read))

    await run([job(source, Record(), Record(fail_at=2), notify=notify)])
    assert len(times) == 1
    assert times[0][1] < 15, "the stream was still running"


async def test_what_was_held_back_is_handed_out_even_when_the_model_fails_or_the_stream_is_live():
    sink = Record()
    await run([job(Frames(20), sink)], Model(fail_at=10, held=4))
    assert sink.indices == list(range(10))
    slow = Record(seconds=0.02)
    await run([], Model(held=12), live=[job(Frames(14, live=True, interval=0.01), slow)])
    assert slow.indices[-12:] == sorted(slow.indices[-12:])
    assert len(slow.indices) >= 12


async def test_the_frame_of_a_pass_is_the_newest_when_the_pass_begins():
    """Two streams share a slow model: each waits for the other, and must not be given what was new before that."""
    passes, decoded = [], []

    class Noted(Frames):
        def __iter__(self):
            for one in super().__iter__():
                decoded.append((self, one.decoded_at))
                yield one

    sources = [Noted(60, live=True, interval=0.01) for _ in range(2)]

    def note(source, notice):
        if isinstance(notice, TrackedFrame):
            passes.append((source, notice))

    jobs = [job(one, Record(), notify=partial(note, one)) for one in sources]
    worker = Worker(lambda: Model(seconds=0.1), max_batch=1)
    await worker.start()
    await run_jobs(worker, jobs, [], asyncio.Event())
    worker.close()
    newer = sorted(
        sum(source is of and tracked.frame.decoded_at < moment < tracked.taken for source, moment in decoded)
        for of, tracked in passes
    )
    assert len(newer) >= 6
    assert newer[len(newer) // 2] <= 2, "of about ten that come while the other stream has its pass"


async def test_a_highest_rate_leaves_frames_out_evenly():
    source, sink = Frames(100, live=True, interval=0.01), Record()
    (report,) = await run([], live=[job(source, sink, max_rate=10.0)])
    assert 2 <= len(sink.indices) <= report.seconds * 10 + 2
    assert report.dropped_before_model == 100 - len(sink.indices)


async def test_of_a_recording_a_highest_rate_takes_frames_by_their_times_and_delays_none():
    source, sink = Frames(100), Record()
    (report,) = await run([job(source, sink, max_rate=10.0)])
    each_tenth = [start + more for start in range(0, 100, 10) for more in (0, 3, 5, 8)]
    assert sink.indices == each_tenth, "of 25 frames a second"
    assert report.dropped_before_model == 0, "nobody wanted the others"
    assert report.seconds < 4 * 0.9 * patient(1), "the recording lasts 4 s"


async def test_without_a_sink_frames_are_tracked_all_the_same():
    model = Model()
    await run([job(Frames(7))], model)
    assert sum(model.batches) == 7


async def test_events_reach_a_sink_that_is_too_slow_for_the_frames():
    class Eventful(Model):
        def step(self, streams, frames):
            event = Event(EventKind.STARTED, 1, "cat", 0.5, Box(1, 1, 2, 2))
            return [[Result(frame, (), (event,))] for frame in frames]

    source, sink, noted = Frames(40, live=True, interval=0.01), Record(seconds=0.2), []

    async def note(result):
        noted.append(result.frame.index)

    sink.note = note
    (report,) = await run([], Eventful(), live=[job(source, sink)])
    assert len(sink.indices) < len(noted) == report.frames


async def test_a_stream_whose_sinks_cannot_be_opened_gives_its_place_back():
    def refuse(_info):
        raise UsageError("no such codec")

    worker, sink, sources = Worker(Model), Record(), [Frames(3) for _ in range(3)]
    await worker.start()
    for source in sources:
        with pytest.raises(UsageError, match="no such codec"):
            await run_stream(replace(job(source), open_sinks=refuse), worker, asyncio.Event())
    assert all([await asyncio.to_thread(source.closed.wait, 30) for source in sources])
    assert worker.thread.queue.lanes == []
    assert not worker._engine.waiting, "the model has forgotten them"
    await run_stream(job(Frames(3), sink), worker, asyncio.Event())
    worker.close()
    assert sink.indices == [0, 1, 2]


async def test_a_source_that_comes_when_nobody_waits_for_it_any_more_is_closed():
    stop, go, source = asyncio.Event(), threading.Event(), Frames(3)

    def open_late():
        go.wait(patient(60))
        return source

    stop.set()
    report = await run_stream(job(open_late), None, stop)
    assert report.interrupted
    assert not source.closed.is_set()
    go.set()
    assert await asyncio.to_thread(source.closed.wait, 60)


async def test_a_source_that_takes_its_time_to_close_holds_up_nobody():
    class Slow(Frames):
        """Its close hangs until it is let go."""

        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.go = threading.Event()

        def close(self):
            self.go.wait(patient(60))
            super().close()

    slow, other = Slow(3), Record()

    worker = Worker(Model)
    await worker.start()
    reports = await asyncio.wait_for(
        run_jobs(worker, [], [job(slow), job(Frames(5), other)], asyncio.Event()), patient(30)
    )
    assert not slow.closed.is_set(), "and is still at it"
    slow.go.set()
    worker.close()
    assert [report.frames for report in reports] == [3, 5]
    assert other.indices == list(range(5))
