"""Batches that are sent until they are received, and streams that wait for the head."""

import asyncio
import random

import pytest

from maskcast.notices import FramesDropped, SourceStatus
from streaming.cluster.cameras import uplink as module
from streaming.cluster.cameras.messages import MOST_RESULTS, Ended, Held, Notified, PackedFrame, PackedResult, Tracked
from streaming.cluster.cameras.uplink import Uplink
from tests.frames import frame
from tests.patience import patient


def tracked(attempt, index, jpeg=None):
    packed = PackedFrame.of(frame(index), jpeg)
    return Tracked(attempt, packed, 0.0, 0.0, 0.0, (PackedResult(packed, (), (), ()),))


def indices(messages, attempt):
    return [one.frame.index for one in messages if isinstance(one, Tracked) and one.attempt == attempt]


@pytest.mark.parametrize("seed", range(20))
def test_every_message_comes_once_and_in_order_whatever_answers_are_lost(seed):
    chance = random.Random(seed)
    up, received, got = Uplink(), 0, []
    streams = {attempt: up.open(attempt) for attempt in (1, 2, 3)}
    put = dict.fromkeys(streams, 0)
    while min(put.values()) < 50 or up.batch(received).number:
        for attempt, stream in streams.items():
            if put[attempt] < 50 and chance.random() < 0.5:
                stream.put(tracked(attempt, put[attempt]))
                put[attempt] += 1
        answer = up.batch(received)
        if chance.random() < 0.4:  # this answer is lost
            continue
        if answer.number > received:
            received = answer.number
            got += answer.messages
    for attempt in streams:
        assert indices(got, attempt) == list(range(50))


def test_a_stream_waits_while_the_head_does_not_deliver_and_goes_on_when_half_is_done():
    up = Uplink()
    stream = up.open(7)
    for index in range(MOST_RESULTS):
        assert not stream.full
        stream.put(tracked(7, index))
    assert stream.full
    stream.put(tracked(7, MOST_RESULTS))  # the model had it already: it goes up as well
    up.batch(0)
    assert stream.full, "sent is not delivered"
    half = MOST_RESULTS // 2
    stream.delivered(half)
    assert stream.full
    stream.delivered(half + 1)
    assert not stream.full
    stream.delivered(3)  # an older poll, late
    assert not stream.full
    up.delivered(99, 5)  # who is gone is nobody


def test_what_waits_for_its_picture_holds_up_its_own_stream_alone():
    up = Uplink()
    one, other = up.open(1), up.open(2)
    fill = one.place(counts=True)
    one.put(Notified(1, SourceStatus(online=True)))
    other.put(tracked(2, 0))
    first = up.batch(0)
    assert [message.attempt for message in first.messages] == [2]
    fill(tracked(1, 5))
    second = up.batch(first.number)
    assert indices(second.messages, 1) == [5]
    assert isinstance(second.messages[1], Notified)


def test_dropped_frames_are_summed_up_while_nobody_asks():
    up = Uplink()
    stream = up.open(1)
    for _ in range(1000):
        stream.put(Notified(1, FramesDropped("reader", 2)))
    (only,) = up.batch(0).messages
    assert only.notice == FramesDropped("reader", 2000)


def test_a_batch_is_bounded_and_no_stream_is_left_out(monkeypatch):
    monkeypatch.setattr(module, "BATCH_BYTES", 1000)
    up = Uplink()
    for attempt in (1, 2, 3):
        stream = up.open(attempt)
        for index in range(4):
            stream.put(tracked(attempt, index, b"x" * 600))
    received, order = 0, []
    while (answer := up.batch(received)).number:
        received = answer.number
        assert len(answer.messages) <= 2
        order += [message.attempt for message in answer.messages]
    assert sorted(order) == [1] * 4 + [2] * 4 + [3] * 4
    assert set(order[:6]) == {1, 2, 3}


async def test_a_poll_waits_for_news_and_not_for_what_is_not_ready():
    up = Uplink()
    stream = up.open(1)
    waiting = asyncio.create_task(up.news(0))
    fill = stream.place(counts=True)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    fill(Held(1, ()))
    await asyncio.wait_for(waiting, patient(10))
    first = up.batch(0)
    await asyncio.wait_for(up.news(0), patient(10))  # it was not received: sent again
    assert up.batch(0) is first
    assert up.batch(first.number).number == 0


async def test_a_stream_is_forgotten_when_its_end_is_received():
    up = Uplink()
    stream = up.open(1)
    stream.put(Ended(1))
    first = up.batch(0)
    assert up._streams
    up.batch(first.number)
    assert not up._streams
