"""What passes between two tasks, or a thread and a task."""

from __future__ import annotations

import asyncio
import threading

import pytest

from streaming.pipeline.mailbox import Closed, Mailbox
from tests.patience import patient


async def test_offline_each_producer_waits_for_room():
    mailbox = Mailbox[int](2, drop_oldest=False)
    putting = [asyncio.create_task(mailbox.put(number)) for number in range(6)]
    await asyncio.sleep(0)
    assert [task.done() for task in putting] == [True, True, False, False, False, False]
    async with asyncio.timeout(patient(10)):
        assert sorted([await mailbox.get() for _ in range(6)]) == list(range(6))
        await asyncio.gather(*putting)
    assert mailbox.dropped == 0


async def test_live_the_oldest_makes_room_unless_somebody_waits():
    mailbox = Mailbox[int](2, drop_oldest=True)
    for number in range(5):
        await mailbox.put(number)
    last = asyncio.create_task(mailbox.put(5, wait=True))
    await asyncio.sleep(0)
    assert not last.done()
    assert [await mailbox.get() for _ in range(2)] == [3, 4]
    async with asyncio.timeout(patient(10)):
        assert await mailbox.get() == 5
    assert mailbox.dropped == 3


async def test_a_thread_that_offers_waits_for_nobody_and_nothing_is_missed():
    mailbox, loop, number = Mailbox[int](1, drop_oldest=True), asyncio.get_running_loop(), 2_000

    def offer():
        for one in range(number):
            mailbox.offer(one)
            loop.call_soon_threadsafe(mailbox.wake)

    thread = threading.Thread(target=offer)
    thread.start()
    taken = []
    async with asyncio.timeout(patient(30)):
        while not taken or taken[-1] != number - 1:
            await mailbox.ready()
            taken.append(mailbox.take())
    thread.join()
    assert taken == sorted(set(taken))
    assert len(taken) + mailbox.dropped == number


async def test_closed_it_gives_what_it_has_and_takes_nothing():
    mailbox = Mailbox[int](2, drop_oldest=False)
    await mailbox.put(1)
    await mailbox.put(2)
    waiting = asyncio.create_task(mailbox.put(3))
    await asyncio.sleep(0)
    mailbox.close()
    with pytest.raises(Closed):
        await waiting
    with pytest.raises(Closed):
        mailbox.offer(4)
    assert [await mailbox.get(), await mailbox.get()] == [1, 2]
    with pytest.raises(Closed):
        await mailbox.get()


async def test_closed_it_wakes_who_waits_and_discards_on_demand():
    mailbox = Mailbox[int](1, drop_oldest=True)
    getting = asyncio.create_task(mailbox.get())
    await asyncio.sleep(0)
    mailbox.close()
    with pytest.raises(Closed):
        await getting
    other = Mailbox[int](1, drop_oldest=True)
    await other.put(1)
    other.close(discard=True)
    with pytest.raises(Closed):
        other.take()
