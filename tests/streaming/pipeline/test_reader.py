"""A source on threads: what waits for the model, what is dropped, and how it ended."""

import asyncio
import threading

import pytest

from maskcast.errors import SourceError, UsageError
from maskcast.notices import FramesDropped
from streaming.pipeline.mailbox import Closed
from streaming.pipeline.reader import READ_AHEAD_FRAMES, Reader, open_reader
from tests.patience import eventually_async
from tests.pipelines import Frames, job


async def test_of_a_live_source_the_newest_frame_waits_and_each_that_is_dropped_is_told():
    told = []
    source = Frames(20, live=True)
    reader = Reader(source, job(source, notify=told.append))
    reader.start()
    assert await reader.failure() is None
    assert (await reader.frames.get()).index == 19
    assert sum(notice.count for notice in told) == reader.frames.dropped == 19
    assert {notice.where for notice in told} == {"reader"}
    assert all(isinstance(notice, FramesDropped) for notice in told)


async def test_a_recording_is_read_a_few_frames_ahead_and_waits():
    source = Frames(20)
    reader = Reader(source, job(source))
    reader.start()
    await eventually_async(lambda: source.read > READ_AHEAD_FRAMES)
    await asyncio.sleep(0.05)
    assert source.read == READ_AHEAD_FRAMES + 1, "the last one waits for room"
    assert [(await reader.frames.get()).index for _ in range(20)] == list(range(20))
    with pytest.raises(Closed):
        await reader.frames.get()


async def test_why_a_source_ended_is_a_source_error_in_one_line():
    source = Frames(0, error=ValueError("first\nsecond"))
    reader = Reader(source, job(source))
    reader.start()
    failure = await reader.failure()
    assert isinstance(failure, SourceError)
    assert str(failure) == "test: ValueError: first"


async def test_opening_ends_with_the_stop_and_says_what_is_wrong():
    go, stop, source = threading.Event(), asyncio.Event(), Frames(1)
    stop.set()

    def late():
        go.wait()
        return source

    assert await open_reader(job(late), stop) is None
    go.set()
    await eventually_async(source.closed.is_set)

    def wrong():
        raise UsageError("no such scheme")

    with pytest.raises(UsageError, match="no such scheme"):
        await open_reader(job(wrong), asyncio.Event())
