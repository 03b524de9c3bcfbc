"""What decodes: the device that is asked for, where it is there."""

import logging

import pytest

from sources import SourceSettings, decoder, open_source
from tests import media


@pytest.fixture(autouse=True)
def _asked_anew():
    """As in a fresh process."""
    decoder._warn.cache_clear()


def away(monkeypatch, **reasons):
    monkeypatch.setattr(decoder, "_missing", reasons.get)


def accelerations(monkeypatch):
    """Stand in for PyAV's, which says nothing of itself."""
    made = []
    monkeypatch.setattr(decoder, "HWAccel", lambda **given: made.append(given) or given["device_type"])
    return made


@pytest.mark.parametrize(
    ("name", "missing", "chosen"),
    [
        ("cpu", {}, None),
        ("cuda", {}, "cuda"),
        ("vaapi", {}, "vaapi"),
        ("cuda", {"cuda": "no driver"}, None),
        ("auto", {}, "cuda"),
        ("auto", {"cuda": "no driver"}, "vaapi"),
        ("auto", {"cuda": "no driver", "vaapi": "no device"}, None),
    ],
)
def test_the_first_that_is_there_is_taken(monkeypatch, name, missing, chosen):
    made = accelerations(monkeypatch)
    away(monkeypatch, **missing)
    assert decoder.acceleration(name) == chosen
    assert all(given["allow_software_fallback"] for given in made)


def test_one_that_is_named_and_missing_is_warned_of_once(monkeypatch, caplog):
    away(monkeypatch, cuda="no driver")
    with caplog.at_level(logging.WARNING):
        assert [decoder.acceleration("cuda") for _ in range(3)] == [None] * 3
    assert caplog.messages == ["decoder cuda is not there (no driver): the processor decodes"]


def test_a_card_that_goes_is_missed_by_the_next_source(monkeypatch):
    accelerations(monkeypatch)
    away(monkeypatch)
    assert decoder.acceleration("cuda") == "cuda"
    away(monkeypatch, cuda="no driver")
    assert decoder.acceleration("cuda") is None


def test_nobody_is_bothered_with_what_auto_does_not_find(monkeypatch, caplog):
    away(monkeypatch, cuda="no driver", vaapi="no device")
    with caplog.at_level(logging.INFO):
        assert decoder.acceleration("auto") is None
    assert not caplog.messages


def test_a_device_that_ffmpeg_does_not_know_or_cannot_open_is_missing(monkeypatch):
    monkeypatch.setattr(decoder, "hwdevices_available", lambda: ["drm"])
    assert decoder._missing("vaapi") == "this PyAV's FFmpeg is built without it"
    assert decoder._missing("drm"), "no decoder of H.264 for it, or no such device"


@pytest.mark.parametrize("name", ["auto", "cuda", "vaapi"])
def test_a_video_is_decoded_whatever_is_there(tmp_path, name):
    clip = str(media.make(tmp_path / "clip.mp4"))
    by_processor = [frame.picture.rgb() for frame in open_source(clip)]
    frames = [frame.picture.rgb() for frame in open_source(clip, SourceSettings(decoder=name))]
    assert len(frames) == len(by_processor) == 20
    differences = [abs(a.astype(int) - b).max() for a, b in zip(frames, by_processor, strict=True)]
    assert max(differences) <= 2, "a hardware decoder's planes are the same, and interleaved"


def test_each_kind_of_source_hands_it_on(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("sources.opening.acceleration", asked.append)
    clip = media.make(tmp_path / "clip.mp4")
    open_source(str(clip), SourceSettings(decoder="vaapi")).close()
    with media.http_server(tmp_path) as address:
        open_source(f"{address}/clip.mp4", SourceSettings(decoder="cuda")).close()
    assert list(dict.fromkeys(asked)) == ["vaapi", "cuda"]
