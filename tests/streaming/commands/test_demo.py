"""`maskcast demo`: the real model, broker and subscriber on a clip that is shorter than its own."""

import json
import shutil

import pytest

from maskcast.errors import SinkError
from streaming.commands import demo
from streaming.commands.demo import Heard, run_demo
from tests import sinks_media


def frame(pts, *tracks):
    return {
        "pts": pts,
        "tracks": [{"id": number, "prompt": prompt, "state": state} for number, prompt, state in tracks],
    }


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")
def test_a_folder_that_is_missing_is_made_and_filled(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "CLIP", sinks_media.clip(tmp_path / "clip.mp4", seconds=0.4, size="320x240"))
    folder = tmp_path / "not" / "there"
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    said: list[str] = []
    lines, code = run_demo(folder, said.append, view=True)
    assert code == 0, lines
    assert [line.startswith("live page: http://127.0.0.1:") for line in said] == [True]
    frames = [json.loads(line) for line in (folder / "demo.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(frames) > 5
    assert (folder / "demo.mp4").stat().st_size > 0
    assert f"{len(frames)} messages on tracks" in next(line for line in lines if line.startswith("MQTT: "))
    assert [line for line in lines if line.startswith("look at")] == [
        f"look at {folder / 'demo.mp4'}",
        f"look at {folder / 'demo.jsonl'}",
    ]


def test_a_folder_that_cannot_be_made_is_told_before_the_model_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(demo, "engine_loader", None)
    with pytest.raises(SinkError, match="the folder cannot be made: Not a directory"):
        run_demo(tmp_path / "file" / "demo")


def test_each_object_under_one_id_needs_no_word():
    heard = Heard()
    objects = [prompt for prompt, count in demo.OBJECTS.items() for _ in range(count)]
    heard.frame(frame(0.0, *((number, prompt, "confirmed") for number, prompt in enumerate(objects))))
    heard.frame(frame(0.1, (99, "star", "tentative")))
    assert heard.miscounted() == []


def test_more_and_fewer_tracks_than_objects_are_told_with_their_times():
    heard = Heard()
    rest = [(1, "red circle", "confirmed"), (2, "red circle", "confirmed"), (4, "green square", "confirmed")]
    heard.frame(frame(0.0, *rest, (5, "triangle", "confirmed")))
    heard.frame(frame(7.4, (5, "triangle", "confirmed"), (8, "triangle", "confirmed")))
    heard.frame(frame(9.93, (8, "triangle", "confirmed")))
    fewer, more = heard.miscounted()
    assert fewer == "the clip has 1 star, the model numbered 0"
    assert more.startswith("the clip has 1 triangle, the model numbered 2: 5 (0.0 to 7.4 s) and 8 (7.4 to 9.9 s); ")
