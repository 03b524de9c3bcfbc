"""Where the pipeline's event loop and that of the web server meet."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from maskcast.result import Result
from streaming.page import board as module
from streaming.page.board import Board, Listener, ShownStream
from streaming.page.view_sink import ViewSink
from tests.frames import frame
from tests.patience import eventually, patient


class Looks(Listener):
    """Records what it is told, and on which thread."""

    def __init__(self) -> None:
        self.results: list[str] = []
        self.events: list[object] = []
        self.threads: set[str] = set()

    def result(self, stream: str) -> None:
        self.results.append(stream)
        self.threads.add(threading.current_thread().name)

    def event(self, item: object) -> None:
        self.events.append(item)
        self.threads.add(threading.current_thread().name)


class Web:
    """An event loop on a thread of its own, as the web server has."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="web", daemon=True)
        self._thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(patient(30))

    def call(self, function, *arguments):
        async def called():
            return function(*arguments)

        return self.run(called())

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.close()


def shown(name: str = "door", **state: object) -> ShownStream:
    return ShownStream(name, lambda: state)


async def test_who_looks_is_told_in_its_own_loop_and_sees_the_newest(web):
    board, stream, looks = Board(), shown(), Looks()
    board.add(stream)
    web.call(board.attach)
    web.call(board.listen, looks)
    web.call(board.watch, (), ["door", "hall"])
    sink = ViewSink(lambda result: board.put(stream, result))
    for index in range(50):
        await sink.write(Result(frame(index)))
    board.tell_event({"id": 1})
    await asyncio.to_thread(eventually, lambda: looks.results and looks.events)
    assert looks.threads == {"web"}
    assert set(looks.results) == {"door"}
    assert stream.newest.result.frame.index == 49
    web.call(board.leave, looks)
    web.call(board.watch, ["door", "hall"], ())
    board.put(stream, Result(frame(50)))
    board.tell_event({"id": 2})
    told = len(looks.results)
    await asyncio.sleep(0.05)
    assert (len(looks.results), len(looks.events)) == (told, 1)


async def test_a_web_server_that_hangs_gets_one_call_not_one_a_frame(web):
    board, stream, looks = Board(), shown(), Looks()
    board.add(stream)
    web.call(board.attach)
    web.call(board.listen, looks)
    web.call(board.watch, (), ["door"])
    going_on = threading.Event()
    web.loop.call_soon_threadsafe(going_on.wait)
    for index in range(100):
        board.put(stream, Result(frame(index)))
    going_on.set()
    web.call(time.monotonic)
    assert looks.results == ["door"]


async def test_nobody_who_looks_costs_less_than_a_tenth_of_a_millisecond_a_frame():
    board, stream, result = Board(), shown(), Result(frame())
    board.add(stream)
    board.attach()
    sink = ViewSink(lambda one: board.put(stream, one))
    began = time.thread_time()
    for _ in range(2000):
        await sink.write(result)
    assert (time.thread_time() - began) / 2000 < 1e-4


async def test_numbers_go_up_though_a_stream_takes_the_place_of_another():
    board, first, second = Board(), shown(), shown()
    board.add(first)
    for index in range(5):
        board.put(first, Result(frame(index)))
    board.add(second)
    board.remove(first)
    assert board.get("door") is second, "the one of that name now"
    board.put(second, Result(frame(0)))
    assert second.newest.number > first.newest.number
    board.remove(second)
    assert board.get("door") is None


async def test_states_are_asked_for_in_the_pipelines_loop(web):
    board = Board()
    assert await board.states() == {}, "before there is any stream"
    here = threading.current_thread()
    seen = []

    def describe():
        seen.append(threading.current_thread())
        return {"online": True}

    board.add(ShownStream("door", describe))
    asking = asyncio.run_coroutine_threadsafe(board.states(), web.loop)
    assert await asyncio.wrap_future(asking) == {"door": {"online": True}}
    assert seen == [here]


async def test_a_pipeline_that_hangs_is_not_waited_for(web, monkeypatch):
    monkeypatch.setattr(module, "DESCRIBE_SECONDS", 0.05)
    board = Board()
    board.add(shown())
    asking = asyncio.run_coroutine_threadsafe(board.states(), web.loop)
    eventually(asking.done)  # blocks this loop, which is the pipeline's
    assert asking.result() is None
