"""What a thread says reaches the event loop, as long as it is of interest there."""

import asyncio
import threading

from maskcast.notices import SourceStatus, into_loop
from tests.patience import eventually_async

UP, DOWN = SourceStatus(online=True), SourceStatus(False, "no route to host")


async def test_notices_of_a_thread_arrive_in_the_loop_and_in_order():
    heard = []
    notify = into_loop(lambda notice: heard.append((notice, threading.get_ident())), threading.Event())
    await asyncio.to_thread(lambda: [notify(UP), notify(DOWN)])
    await eventually_async(lambda: len(heard) == 2)
    assert heard == [(UP, threading.get_ident()), (DOWN, threading.get_ident())]


async def test_what_was_said_in_time_and_is_heard_too_late_does_not_count():
    heard, over, said = [], threading.Event(), asyncio.Event()
    into_loop(heard.append, over)(UP)
    over.set()
    asyncio.get_running_loop().call_soon(said.set)
    await said.wait()
    assert not heard


def test_a_thread_that_outlives_the_loop_is_not_told_of_it():
    async def main():
        return into_loop(lambda _: None, threading.Event())

    asyncio.run(main())(UP)
