"""Stills show the picture's own colours, whatever encoding it came in."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from maskcast.errors import PictureGoneError
from maskcast.mask import Box
from maskcast.picture import Colour, Planes
from maskcast.result import Event, EventKind, Result
from sinks.video.palette import to_yuv
from sinks.video.still import MAX_WIDTH_PIXELS, StillSink, annotated_jpeg
from tests.frames import frame

RED = (0.8, 0.1, 0.2)


class Plain:
    """A picture of one colour in a given encoding."""

    def __init__(self, width: int, height: int, colour: Colour) -> None:
        self.width, self.height, self.colour = width, height, colour

    def yuv420p(self) -> Planes:
        y, u, v = to_yuv(RED, self.colour)
        half = ((self.height + 1) // 2, (self.width + 1) // 2)
        return Planes(*(np.full(s, n, np.uint8) for s, n in (((self.height, self.width), y), (half, u), (half, v))))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize(("size", "expected"), [((64, 48), (64, 48)), ((2561, 1441), (MAX_WIDTH_PIXELS, 720))])
def test_a_still_has_the_colours_of_the_picture(matrix, full, size, expected):
    shown = replace(frame(), picture=Plain(*size, Colour(matrix, full)))
    jpeg = annotated_jpeg(Result(shown, (), ()))
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    assert (width, height) == expected
    np.testing.assert_allclose(image[height // 2, width // 2, ::-1] / 255, RED, atol=0.02)


class Gone(Plain):
    """A picture that nobody has any more."""

    def yuv420p(self) -> Planes:
        raise PictureGoneError("gone")


async def test_one_that_is_gone_is_made_of_a_later_frame(monkeypatch):
    monkeypatch.setattr("sinks.video.still.PAUSE_SECONDS", 0.0)
    stills = []

    async def publish(jpeg):
        stills.append(jpeg)

    def result(picture, *events):
        return Result(replace(frame(), picture=picture(64, 48, Colour())), (), events)

    sink = StillSink(publish, on_events=True)
    appeared = result(Gone, Event(EventKind.STARTED, 1, "cat", 0.5, Box(1, 1, 2, 2)))
    await sink.note(appeared)
    await sink.write(appeared)
    assert not stills
    with pytest.raises(PictureGoneError):
        await sink.repeat()
    sink.ask()
    for picture in (Gone, Plain, Plain):
        await sink.write(result(picture))
    assert len(stills) == 1
