"""What results pass through between the tracker and the sinks."""

from dataclasses import replace

import pytest

from maskcast.errors import StageError
from maskcast.mask import Box
from maskcast.result import Event, EventKind, Result
from streaming.pipeline.controls import Controls
from streaming.pipeline.jobs import exit_code
from streaming.pipeline.saving import TrackStateFile
from streaming.pipeline.stage import LateEvents, staged
from tests.frames import frame
from tests.pipelines import Frames, Model, Record, Requested, job, run


class Say:
    """Appends an event, the track's number says whose; fails at one frame."""

    def __init__(self, number, fail_at=None):
        self.number, self.fail_at, self.seen = number, fail_at, []

    def apply(self, result):
        if result.frame.index == self.fail_at:
            raise ZeroDivisionError("a bad day\nwith details")
        self.seen.append((result.frame.index, [event.track_id for event in result.events]))
        return replace(result, events=(*result.events, event(self.number)))


def event(number):
    return Event(EventKind.STARTED, number, "cat", 0.5, Box(1, 1, 2, 2))


class Events(Record):
    async def write(self, result):
        self.indices.append((result.frame.index, [event.track_id for event in result.events]))


async def test_results_pass_all_stages_in_their_order_before_any_sink_also_those_that_were_held_back():
    one, two, sinks = Say(1), Say(2), [Events(), Events()]
    (report,) = await run([replace(job(Frames(4), *sinks), stages=[one, two])], Model(held=3))
    assert one.seen == [(index, []) for index in range(4)]
    assert two.seen == [(index, [1]) for index in range(4)]
    assert sinks[0].indices == sinks[1].indices == [(index, [1, 2]) for index in range(4)]
    assert (report.frames, report.errors) == (4, [])


async def test_a_stage_sees_the_events_that_a_change_of_prompts_brings():
    controls, stage = Controls(["cat"]), Say(7)
    await run([job(Frames(2), Record(), controls=controls, stages=[stage])], Requested(controls))
    assert stage.seen == [(0, [1]), (1, [])]


async def test_a_stage_that_fails_ends_its_stream_alone_and_nothing_passes_it_any_more():
    sink, other, source = Record(), Record(), Frames(20)
    failing = replace(job(source, sink), stages=[Say(1, fail_at=5)])
    report, well = await run([failing, job(Frames(3), other)], Model(held=2))
    assert sink.indices == list(range(5)), "no sink sees what a stage did not see"
    assert [str(error) for error in report.errors] == ["test: frame 5: Say failed: ZeroDivisionError: a bad day"]
    assert isinstance(report.errors[0], StageError)
    assert (sink.reason, exit_code([report])) == (str(report.errors[0]), 1)
    assert source.closed.is_set()
    assert (other.indices, well.errors) == ([0, 1, 2], [])


async def test_the_track_state_is_saved_though_a_stage_has_failed(tmp_path):
    saved = []

    class Saving(Model):
        def save_stream(self, _stream, *, final):
            saved.append(final)
            return self

        def write(self, _file):
            pass

    keep = TrackStateFile(tmp_path / "state", 1000.0, resume=False)
    await run([replace(job(Frames(5), Record()), stages=[Say(1, fail_at=2)], track_state=keep)], Saving())
    assert saved == [False, True]


def test_late_events_travel_once_and_first():
    late = LateEvents([event(1)])
    late.add([event(2)])
    results = [Result(frame(index), events=(event(3),)) for index in range(2)]
    passed = [[event.track_id for event in result.events] for result in staged(results, [late])]
    assert passed == [[1, 2, 3], [3]]


def test_results_are_staged_when_they_are_asked_for():
    stage = Say(1, fail_at=1)
    passing = staged([Result(frame(0)), Result(frame(1))], [stage])
    assert next(passing).events
    with pytest.raises(StageError):
        next(passing)
