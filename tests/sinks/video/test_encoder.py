"""What comes out of the encoder: each packet with the time of its own picture, in whatever order they come."""

from __future__ import annotations

from fractions import Fraction

import pytest

from maskcast.picture import Colour
from maskcast.result import Result
from sinks.video import encoder
from sinks.video.codec import EncoderSettings
from sinks.video.container import CONTAINERS
from sinks.video.encoder import Encoded, VideoEncoder
from sinks.video.render import render
from tests.sinks_media import frame, grey, info

MP4 = CONTAINERS[".mp4"]
TIMES = [0.0, 0.04, 0.12, 0.16, 0.28, 0.32, 0.36, 0.5, 0.54, 0.58]


TICKS = 12_800  # a second


def encoded(times: list[float], key_seconds: float | None = None) -> list[Encoded]:
    about = info(64, 48, time_base=Fraction(1, TICKS))
    made = VideoEncoder("libx264", EncoderSettings(), MP4, about, (64, 48), Colour(), key_seconds)
    packets = []
    for index, pts in enumerate(times):
        one = frame(index, grey(48, 64, 20 * index % 200), pts)
        packets += made.encode(render(Result(one), 64, 48), one)
    packets += made.drain(Fraction(1, 10))
    made.close()
    return packets


@pytest.mark.parametrize("key_seconds", [None, 2.0])
def test_each_packet_has_the_time_and_the_duration_of_its_picture(key_seconds: float | None) -> None:
    packets = encoded(TIMES, key_seconds)
    assert sorted(one.time for one in packets) == TIMES
    assert [one.pts / TICKS for one in packets] == pytest.approx([one.time for one in packets], abs=1e-4)
    ends = dict(zip(TIMES, [*TIMES[1:], 0.68], strict=True))
    wanted = [ends[one.time] for one in packets[:-1]] + [0.68]  # the last says where the video ends, whichever it is
    assert [(one.pts + one.duration) / TICKS for one in packets] == pytest.approx(wanted, abs=1e-4)


def test_without_a_bound_pictures_may_refer_to_later_ones_and_in_a_recording_never() -> None:
    many = [index / 25 for index in range(30)]
    assert any(one.dts < one.pts for one in encoded(many))
    assert all(one.dts == one.pts for one in encoded(many, 2.0))


def test_a_recording_has_a_key_picture_as_often_as_asked_for() -> None:
    keys = [one.time for one in encoded([index / 25 for index in range(100)], 1.0) if one.key]
    assert keys == pytest.approx([0, 1, 2, 3])


def test_an_encoder_that_gives_nothing_back_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "STUCK_FRAMES", 5)
    with pytest.raises(RuntimeError, match="gave nothing back"):
        encoded([index / 25 for index in range(20)])
