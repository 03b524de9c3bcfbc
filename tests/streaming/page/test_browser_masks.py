"""What the browser draws is what the message says: its masks, pixel by pixel, frame by frame."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from dataclasses import replace
from typing import Self

import numpy as np
from pycocotools import mask as coco

from maskcast.result import Result
from sinks.messages.frame import frame_message
from sinks.video.palette import track_rgb
from streaming.page.board import Board, ShownStream
from streaming.page.live import Live
from tests.browser import tab
from tests.patience import eventually, patient
from tests.sinks_media import frame, grey, tracks
from tests.streaming.page.serving import serving

FRAMES, SIZE = 100, (180, 320)
# Keeps of every frame its message and the pixels of its masks.
KEEP = """() => {
  window.kept = {};
  document.addEventListener("drawn", ({ target, detail }) => {
    const { width, height } = target;
    const { data } = target.getContext("2d").getImageData(0, 0, width, height);
    let text = "";
    for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
    window.kept[detail.frame] = { message: detail, width, height, pixels: btoa(text) };
  });
}"""
TAKE = "(frame) => { const one = window.kept[frame]; delete window.kept[frame]; return one; }"
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


def compare(found) -> bool:
    """Exactly the masks are drawn: all of confirmed ones, with a contour in the track's colour.

    Returns:
        Whether the inside of a tentative one is seen to be empty.
    """
    pixels = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8)
    pixels = pixels.reshape(found["height"], found["width"], 4)
    alpha = pixels[..., 3]
    drawn = {item["id"]: coco.decode(item["segmentation"]).astype(bool) for item in found["message"]["tracks"]}
    tentative = {item["id"] for item in found["message"]["tracks"] if item["state"] == "tentative"}
    confirmed = np.any([mask for name, mask in drawn.items() if name not in tentative], axis=0)
    open_ones = np.any([mask for name, mask in drawn.items() if name in tentative], axis=0)
    np.testing.assert_array_equal(alpha[~open_ones] > 0, confirmed[~open_ones])
    for name, mask in drawn.items():
        alone = mask & ~np.any([other for key, other in drawn.items() if key != name], axis=0)
        line = alone & (alpha == 255)
        assert line.any() or alone.sum() < 300, "a contour"
        wanted = [round(255 * part) for part in track_rgb(name)]
        assert (pixels[line][:, :3] == wanted).all(), "in the colour of the track"
    return bool((alpha[open_ones & ~confirmed] == 0).any())
