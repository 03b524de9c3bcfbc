"""Which encoder is chosen: hardware where it works, else software."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import av
import pytest

from sinks.video import codec


def test_hardware_is_used_where_it_works_and_else_not(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = codec.EncoderSettings()
    monkeypatch.setattr(codec, "works", lambda name, *_: name == "h264_qsv")
    assert codec.choose_encoder(settings, ".mp4", 320, 180) == "h264_qsv"
    monkeypatch.setattr(codec, "works", lambda *_: False)
    assert codec.choose_encoder(settings, ".mp4", 320, 180) == "libx264"
    monkeypatch.undo()
    assert codec.works("libx264", 320, 180)
    assert not codec.works("no_such_encoder", 320, 180)


def test_trials_of_encoders_restore_the_level_of_logging() -> None:
    before = av.logging.get_level()
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda side: codec.works("libx264", 64, side), range(64, 96, 2)))
    assert av.logging.get_level() == before
