"""Pictures that are elsewhere: what comes is what was there, once, or one error."""

import threading

import cv2
import numpy as np
import pytest

from maskcast.errors import PictureGoneError
from maskcast.picture import Colour
from sources.picture import ArrayPicture
from streaming.cluster.cameras.messages import PackedFrame
from streaming.cluster.cameras.remote_picture import RemotePicture, decoded, encoded
from tests.frames import frame


def picture(height, width):
    small = np.random.default_rng(0).integers(0, 255, (5, 6, 3), np.uint8)
    return ArrayPicture(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


@pytest.mark.parametrize(("height", "width"), [(96, 160), (31, 47), (1, 1), (3, 2), (241, 320)])
def test_samples_come_as_they_were(height, width):
    before = picture(height, width)
    after = decoded(encoded(before), before.colour)
    assert (after.height, after.width, after.colour) == (height, width, before.colour)
    for mine, other in zip(after.yuv420p(), before.yuv420p(), strict=True):
        assert mine.shape == other.shape
        assert np.abs(mine.astype(int) - other).mean() < 3
    if height > 50:  # of a few pixels little colour is left in either
        assert np.abs(after.rgb().astype(int) - before.rgb()).mean() < 5


@pytest.mark.parametrize("colour", [Colour("bt601", True), Colour("bt709", False), Colour("bt2020", False)])
def test_colour_is_kept(colour):
    assert decoded(encoded(picture(32, 32)), colour).colour == colour


def packed(jpeg=None):
    return PackedFrame.of(frame(3, np.zeros((32, 48, 3), np.uint8)), jpeg)


def test_it_is_fetched_once_and_only_if_somebody_looks():
    calls, data = [], encoded(picture(32, 48))
    remote = RemotePicture(packed(), lambda: calls.append(threading.current_thread()) or data)
    assert (remote.width, remote.height) == (48, 32)
    assert not calls
    threads = [threading.Thread(target=remote.yuv420p) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    remote.rgb()
    assert len(calls) == 1


def test_one_that_came_along_is_not_fetched():
    remote = RemotePicture(packed(encoded(picture(32, 48))), lambda: pytest.fail("fetched"))
    assert remote.yuv420p().y.shape == (32, 48)


def fails():
    raise TimeoutError("5 s")


@pytest.mark.parametrize(
    ("fetch", "what"), [(lambda: None, "no picture of it any more"), (fails, "TimeoutError: 5 s"), (lambda: b"x", "")]
)
def test_one_that_is_gone_is_one_clear_error_and_not_asked_for_again(fetch, what):
    calls = []
    remote = RemotePicture(packed(), lambda: calls.append(1) or fetch())
    for _ in range(3):
        with pytest.raises(PictureGoneError, match="test frame 3") as caught:
            remote.yuv420p()
        assert what in str(caught.value)
        assert "\n" not in str(caught.value)
    assert len(calls) == 1
