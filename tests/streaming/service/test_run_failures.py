"""`maskcast run` when something inside a stream fails: the stream begins anew, by itself and alone."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from tests import broker as brokers
from tests.media import ffmpeg
from tests.patience import eventually
from tests.rtsp import camera
from tests.service import service
from tests.subscriber import Subscriber


@pytest.fixture
def site(tmp_path, still_scene):
    """A broker, what it was told, a camera, and settings for the stream `door`."""
    with (
        brokers.running(tmp_path / "broker") as broker,
        camera(still_scene, "--loop") as door,
        closing(Subscriber(broker.port)) as listener,
    ):
        head = f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}/site"\n'
        yield head, listener, f'[streams.door]\nsource = "{door.url()}"\nprompts = ["object"]\nmax_rate = 4.0\n'


def test_a_track_state_that_cannot_be_used_costs_only_itself(tmp_path, site):
    track_states = tmp_path / "maskcast-state" / "tracks"
    head, listener, door = site
    with service(tmp_path, head + door) as running:
        eventually(lambda: listener.ids("door"), 60, "tracks")
        assert running.stop() == 0
    (track_states / "door.safetensors").write_bytes(b"no track state")
    frames = len(listener.of("door", "tracks"))
    with service(tmp_path, head + door) as running:
        eventually(lambda: len(listener.of("door", "tracks")) > frames + 3, 30, "frames in spite of it")
        assert listener.last("door", "status")["status"] == "online"
        assert (track_states / "door.safetensors.damaged").read_bytes() == b"no track state"
        assert running.stop() == 0
    problems = [line for line in map(json.loads, running.text().splitlines()) if line["level"] == "ERROR"]
    assert len(problems) == 1
    assert "track state" in problems[0]["message"]


def test_what_a_camera_that_is_away_or_paused_saw_last_is_not_told_for_ever(tmp_path, site):
    short = '[model]\nname = "nano"\nlost_after = 1.0\n'
    head, listener, door = site
    with service(tmp_path, short + head + door) as running:

        def counted():
            told = listener.last("door", "counts").get("counts", {}).get("object", 0)
            return told, running.metric("maskcast_tracks_visible", stream="door")

        eventually(lambda: min(counted()) > 0, 60, "what is seen")
        listener.publish("site/door/control", {"action": "pause"})
        eventually(lambda: counted() == (0, 0), 20, "nothing is seen while it is paused")
        listener.publish("site/door/control", {"action": "resume"})
        eventually(lambda: min(counted()) > 0, 20, "what is seen again")
        assert running.stop() == 0


def test_a_reload_does_not_wait_for_a_stream_that_waits_for_another(tmp_path, still_scene):
    """Files are tracked one after the other; one of them may take hours."""
    film = tmp_path / "film.mp4"
    ffmpeg("-stream_loop", "99", "-i", still_scene, "-c", "copy", film)
    table = '[streams.{0}]\nsource = "{1}"\nprompts = ["object"]\nout = ["{0}.jsonl"]\n'
    first, second, third = (table.format(name, film) for name in ("first", "second", "third"))
    with service(tmp_path, first + second) as running:
        eventually(lambda: running.metric("maskcast_frames_total", stream="first") > 0, 60, "the first is tracked")
        running.reload(first + third)
        eventually(lambda: "reloaded: 2 streams" in running.text(), 10, "the second left, the third came")
        running.reload(first + second + third)
        eventually(lambda: "reloaded: 3 streams" in running.text(), 10, "and later reloads work as well")
        assert running.metric("maskcast_frames_total", stream="second") == 0, "it was never its turn"
        assert running.stop() == 0
    assert (tmp_path / "first.jsonl").read_text(encoding="utf-8").endswith("}\n"), "finished, though interrupted"
