"""A graphics card that fails while it decodes; it is stood in for by the processor, as there is none here."""

import logging

import av
import pytest

import sources.container
from sources import SourceSettings
from sources.video_decoder import VideoDecoder
from tests import media


class Card:
    """A codec context that says it is a card's, and refuses all packets from the nth one on, or that one alone."""

    is_hwaccel = True

    def __init__(self, context, fails_at, *, once=False):
        self.real = context
        self.fails_at = fails_at
        self.once = once
        self.asked = 0

    def __getattr__(self, name):
        return getattr(self.real, name)

    def decode(self, packet):
        self.asked += 1
        if self.asked - 1 == self.fails_at or (self.asked > self.fails_at and not self.once):
            raise av.error.ExternalError(542398533, "Generic error in an external library")
        return self.real.decode(packet)


def with_card(monkeypatch, fails_at, **how):
    """Let sources decode with a card that fails; returns the decoders that are made."""
    made = []

    def decoder(stream, opening, *, live):
        stream.codec_context.thread_type = "SLICE"
        one = VideoDecoder(stream, opening, live=True)
        one.context = Card(one.context, fails_at, **how)
        made.append(one)
        return one

    monkeypatch.setattr(sources.container, "VideoDecoder", decoder)
    return made


def seen(frames):
    return [(frame.index, frame.pts, frame.picture.rgb().tobytes()) for frame in frames]


CLIPS = {
    "b-frames.mp4": ("libx264", "-preset", "medium", "-g", "6", "-bf", "3"),
    "open-groups.mkv": ("libx264", "-preset", "medium", "-x264-params", "open-gop=1:keyint=6:bframes=3"),
    "camera.ts": ("libx264", "-g", "50"),
    "pictures.avi": ("mjpeg",),
}


@pytest.mark.parametrize("name", CLIPS)
def test_no_frame_is_lost_or_given_twice(tmp_path, monkeypatch, caplog, name):
    codec, *options = CLIPS[name]
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    clip = media.make(tmp_path / name, codec=codec, options=options, pixels=pixels)
    _, frames, error = media.read(clip)
    expected = seen(frames)
    assert len(expected) == 20
    assert error is None
    for fails_at in range(21):  # the last is asked for what it still holds
        made = with_card(monkeypatch, fails_at)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            _, frames, error = media.read(clip, decoder="cpu")
        assert (seen(frames), error) == (expected, None), fails_at
        assert len(made) == 1
        (line,) = caplog.messages
        assert line.startswith(f"{clip}: decoder cpu failed (")
        assert line.endswith("): the processor decodes")


def test_a_damaged_packet_is_no_fault_of_the_card(tmp_path, monkeypatch, caplog):
    clip = media.make(tmp_path / "clip.mp4", options=("-g", "5"))
    with av.open(str(clip)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    at, size = places[7]
    data = bytearray(clip.read_bytes())
    data[at : at + size] = bytes(size)
    clip.write_bytes(data)
    by_processor = media.read(clip)
    made = with_card(monkeypatch, 7, once=True)
    with caplog.at_level(logging.WARNING):
        _, frames, error = media.read(clip)
    assert (seen(frames), str(error)) == (seen(by_processor[1]), str(by_processor[2]))
    assert "1 packets could not be decoded" in str(error)
    assert isinstance(made[0].context, Card)
    assert not caplog.messages


def test_what_is_held_is_what_has_not_been_given(tmp_path, monkeypatch):
    clip = media.make(tmp_path / "clip.mp4", options=("-preset", "medium", "-g", "6", "-bf", "3"))
    made = with_card(monkeypatch, 1000)
    most = 0
    source = sources.open_source(str(clip), SourceSettings())
    for _ in source:
        most = max(most, len(made[0]._held.packets))
    assert 6 <= most <= 12
