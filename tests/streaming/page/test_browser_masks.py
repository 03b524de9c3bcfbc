"""What the browser draws is what the message says: its masks, pixel by pixel, frame by frame."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from typing import Self

from maskcast.result import Result
from sinks.messages.frame import frame_message
from streaming.page.board import Board, ShownStream
from streaming.page.live import Live
from tests.browser import tab
from tests.patience import eventually, patient
from tests.sinks_media import frame, grey, tracks
from tests.streaming.page.drawn import KEEP, TAKE, compare
from tests.streaming.page.serving import serving

FRAMES, SIZE = 100, (180, 320)
STATE = {
    "online": True,
    "reason": None,
    "since": "2026-11-26T12:00:00.000Z",
    "paused": False,
    "live": True,
    "prompts": [{"name": "person", "text": "person"}, {"name": "red car", "text": "red car"}],
    "control": [],
    "rate": {"wanted": 15.0, "tracked": 15.0},
    "overloaded": False,
    "latency": 0.02,
    "zones": {},
    "lines": {},
    "tally": None,
    "recording": False,
    "changed": False,
}


class Pipeline:
    """A board with one stream, in an event loop of its own."""

    def __init__(self) -> None:
        self.board, self._stream = Board(), ShownStream("door", lambda: STATE)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self.board.add, self._stream)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def show(self, result: Result) -> None:
        self._call(self.board.put, self._stream, result)

    def _call(self, call, *arguments) -> None:
        async def inside() -> None:
            call(*arguments)

        asyncio.run_coroutine_threadsafe(inside(), self._loop).result(patient(10))


def shown(index: int) -> Result:
    """Masks that move, lie on each other and leave the picture; one is tentative, one comes and goes."""
    other = replace(tracks(SIZE, 3 * index, 4)[2], id=1000 + index)
    return Result(frame(index, grey(*SIZE), stream="door"), (*tracks(SIZE, index), *([other] if index % 3 else [])))


def test_a_hundred_frames_are_drawn_as_their_messages_say(browser):
    with (
        Pipeline() as pipeline,
        serving(Live(pipeline.board)) as server,
        tab(browser, f"{server.url}#/stream/door") as page,
    ):
        page.evaluate(KEEP)
        hollow = 0
        for index in range(FRAMES):
            result = shown(index)
            pipeline.show(result)
            found = eventually(lambda index=index: page.evaluate(TAKE, index), 30, f"frame {index}")
            assert found["message"] == json.loads(frame_message(result).json_bytes()), "byte for byte what MQTT gets"
            hollow += compare(found)
        assert hollow > FRAMES / 2
