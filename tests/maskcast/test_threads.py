"""Threads that cannot keep the process alive, and what comes out of them."""

import asyncio
import threading

import pytest

from maskcast.threads import SerialThread, in_daemon_thread, into_loop
from tests.patience import eventually_async, patient


class Panic(BaseException):
    """As PyO3 raises where Rust code panics."""


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), StopIteration(), Panic("at the disco")])
async def test_whatever_a_thread_raises_is_an_exception_for_the_one_who_waits(raised):
    def fail():
        raise raised

    serial = SerialThread("calls")
    for running in (in_daemon_thread(fail, "once"), serial.run(fail)):
        with pytest.raises(RuntimeError, match=type(raised).__name__) as caught:
            await running
        assert caught.value.__cause__ is raised
    assert await serial.run(lambda: "goes on") == "goes on"
    serial.close()


async def test_calls_come_in_order_on_one_thread_that_ends_with_them():
    serial, seen = SerialThread("calls"), []
    calls = [serial.run(lambda number=number: seen.append((number, threading.current_thread()))) for number in range(9)]
    serial.close()
    await asyncio.gather(*calls)
    assert [number for number, _ in seen] == list(range(9))
    (thread,) = {thread for _, thread in seen}
    assert thread.daemon
    thread.join(30)
    assert not thread.is_alive()


async def test_a_call_that_nobody_waits_for_any_more_is_made_all_the_same():
    serial, go, done = SerialThread("calls"), threading.Event(), threading.Event()
    serial.run(lambda: go.wait(patient(60))).cancel()
    serial.run(done.set).cancel()
    go.set()
    assert await asyncio.to_thread(done.wait, 60)
    serial.close()


async def test_a_result_that_comes_too_late_is_handed_to_somebody():
    go, late, came = threading.Event(), [], threading.Event()

    def take(result):
        late.append((result, threading.current_thread()))
        came.set()

    def answer():
        go.wait(patient(60))
        return 42

    in_daemon_thread(answer, "slow", take).cancel()
    go.set()
    assert await asyncio.to_thread(came.wait, 60)
    ((result, thread),) = late
    assert result == 42
    assert thread is not threading.main_thread(), "what takes it may block"


async def test_what_a_thread_says_arrives_in_the_loop_and_in_order():
    heard = []
    notify = into_loop(lambda notice: heard.append((notice, threading.get_ident())), threading.Event())
    await asyncio.to_thread(lambda: [notify("up"), notify("down")])
    await eventually_async(lambda: len(heard) == 2)
    assert heard == [("up", threading.get_ident()), ("down", threading.get_ident())]


async def test_what_was_said_in_time_and_is_heard_too_late_does_not_count():
    heard, over, said = [], threading.Event(), asyncio.Event()
    into_loop(heard.append, over)("up")
    over.set()
    asyncio.get_running_loop().call_soon(said.set)
    await said.wait()
    assert not heard


def test_a_thread_that_outlives_the_loop_is_not_told_of_it():
    async def main():
        return into_loop(lambda _: None, threading.Event())

    asyncio.run(main())("up")
