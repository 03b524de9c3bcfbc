"""What viewers are sent: the message of MQTT to the byte, and a picture in which what is to be hidden is."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from unittest.mock import patch

import cv2
import numpy as np
import pytest

from maskcast.result import Result, Track, TrackState
from sinks.messages.frame import frame_message
from sinks.mqtt.payload import DEFAULT_PAYLOAD_BYTES, SMALLEST_PAYLOAD_BYTES
from sinks.video.style import OUTLINED, Styles
from streaming.page import pictures as module
from streaming.page.pictures import Newest, Pictures
from tests.sinks_media import ellipse, frame, grey

SIZE = (360, 640)


def result(index: int = 0, size: tuple[int, int] = SIZE) -> Result:
    """A dark picture with a bright, finely striped object in the middle."""
    mask = ellipse(SIZE, (320, 180), (80, 80))
    planes = grey(*SIZE, level=30)
    stripes = np.tile(np.array([235, 235, 16, 16], np.uint8), (SIZE[0], SIZE[1] // 4))
    planes.y[mask.full()] = stripes[mask.full()]
    mask = mask if size == SIZE else ellipse(size, (20, 20), (9, 9))
    return Result(frame(index, planes), (Track(1, "person", TrackState.CONFIRMED, 0.9, mask),))


def pictures(styles: Styles = OUTLINED, limit: int = DEFAULT_PAYLOAD_BYTES) -> Pictures:
    return Pictures("door", styles, limit)


def parts(message: bytes | None) -> tuple[bytes, np.ndarray]:
    """The JSON as it is, and the picture in RGB."""
    assert message is not None
    (length,) = struct.unpack(">I", message[:4])
    image = cv2.imdecode(np.frombuffer(message[4 + length :], np.uint8), cv2.IMREAD_COLOR)
    return message[4 : 4 + length], image[:, :, ::-1]


def test_the_message_is_that_of_mqtt_to_the_byte_with_its_picture_behind_it():
    shown = result()
    message, image = parts(pictures().make(Newest(1, shown), 320))
    assert message == frame_message(shown).json_bytes()
    assert image.shape == (180, 320, 3)
    _, image = parts(pictures().make(Newest(1, shown), 1920))
    assert image.shape == (360, 640, 3), "never larger than the source"


def test_each_is_made_once_for_all_who_look_and_newest_of_each_width():
    made, shown = pictures(), result()
    with patch.object(module, "jpeg", wraps=module.jpeg) as encode, patch.object(module, "hide") as hide:
        first = made.make(Newest(1, shown), 320)
        assert made.make(Newest(1, shown), 320) is first
        assert made.ready(Newest(1, shown), 320) is first
        assert made.ready(Newest(1, shown), 640) is None
        made.make(Newest(1, shown), 640)
        assert encode.call_count == 2
        assert made.ready(Newest(2, shown), 320) is None
        made.make(Newest(2, shown), 320)
        assert encode.call_count == 3
        made.forget()
        assert made.ready(Newest(2, shown), 320) is None
    hide.assert_not_called()


def test_a_message_that_would_be_too_large_has_coarser_masks():
    spots = np.random.default_rng(0).random(SIZE) < 0.5
    shown = result()
    track = replace(shown.tracks[0], mask=type(shown.tracks[0].mask).from_array(spots, SIZE))
    shown = replace(shown, tracks=(track,) * 3)
    message, _ = parts(pictures(limit=SMALLEST_PAYLOAD_BYTES).make(Newest(1, shown), 320))
    assert len(message) <= SMALLEST_PAYLOAD_BYTES
    assert json.loads(message)["downscale"] > 1


@pytest.mark.parametrize("style", ["blur", "pixelate", "fill"])
def test_what_a_style_hides_is_hidden_before_anything_is_encoded(style):
    shown = result()
    before = [plane.copy() for plane in shown.frame.picture.yuv420p()]
    _, open_image = parts(pictures().make(Newest(1, shown), 640))
    _, image = parts(pictures(Styles(style)).make(Newest(1, shown), 640))
    inside = slice(140, 220), slice(280, 360)
    assert open_image[inside].std() > 60, "stripes"
    assert image[inside].std(axis=(0, 1)).max() < 12, "no stripe is left"
    for plane, copy in zip(shown.frame.picture.yuv420p(), before, strict=True):
        np.testing.assert_array_equal(plane, copy, "the decoder's picture is as it was")


def test_only_the_objects_are_shown_where_a_style_says_so():
    _, image = parts(pictures(Styles("only")).make(Newest(1, result()), 640))
    np.testing.assert_allclose(image[10, 10], [128, 128, 128], atol=3)
    assert image[150:210, 290:350].std() > 60


def test_a_picture_in_which_something_cannot_be_hidden_is_shown_to_nobody(caplog):
    made = pictures(Styles("blur"))
    wrong = result(size=(90, 160))  # a mask of another size than the picture
    for number in range(1, 5):
        assert made.make(Newest(number, wrong), 320) is None
        assert made.ready(Newest(number, wrong), 320) is None
    assert len(caplog.records) == 1, "it is said once"
    assert made.make(Newest(9, result()), 320), "the next that is right is shown"


def test_odd_and_tiny_pictures_are_shown():
    for height, width in ((1, 1), (3, 5), (361, 641)):
        planes = grey(height, width, level=30)
        message, image = parts(pictures().make(Newest(1, Result(frame(0, planes))), 320))
        assert json.loads(message)["width"] == width
        assert image.shape[1] == min(width, 320)
