"""Streams beside and after each other: none is the end of another."""

import pytest

from maskcast.errors import ModelError, SourceError
from streaming.pipeline.jobs import exit_code
from streaming.pipeline.worker import Worker
from tests.pipelines import Frames, Record, job, run


async def test_offline_streams_run_in_turn_and_one_that_cannot_open_leaves_the_others():
    def missing():
        raise SourceError("gone.mp4: no such file")

    first, second = Record(), Record()
    reports = await run([job(Frames(5), first), job(missing, Record()), job(Frames(5), second)])
    assert first.indices == second.indices == list(range(5))
    assert exit_code(reports) == 3


async def test_an_error_of_the_engine_at_the_start_is_raised():
    def load():
        raise ModelError("no such model")

    with pytest.raises(ModelError, match="no such model"):
        await Worker(load).start()


async def test_a_bug_in_one_stream_is_not_the_others_end():
    def broken():
        raise ZeroDivisionError("division by zero")

    sink, said = Record(), []
    bad = job(broken, Record(), notify=said.append)
    reports = await run([job(Frames(5), sink)], live=[bad])
    assert sink.indices == list(range(5))
    assert [str(problem.error) for problem in said] == ["source: ZeroDivisionError: division by zero"]
    assert exit_code(reports) == 3


async def test_streams_that_an_interrupt_kept_from_starting_are_counted_as_interrupted():
    jobs = [job(Frames(None, interval=0.01), Record()), job(Frames(5), Record())]
    reports = await run(jobs, stop_after=0.2)
    assert [report.interrupted for report in reports] == [True, True]
