"""`maskcast run` with four real RTSP cameras, each of which fails in its turn."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack

import pytest

from tests import broker as brokers
from tests.rtsp import camera
from tests.service import Subscriber, eventually, service, still_life

NAMES = ("north", "east", "south", "west")
RATE = 0.7
WINDOW = 5


def settings(broker, cameras):
    """Rates that the model can serve, so that a stream's frames depend on its own camera alone."""
    tables = [
        f'[streams.{name}]\nsource = "{one.url()}"\nprompts = ["object"]\nmax_rate = {RATE}\n'
        "connect_timeout = 2.0\nsilence_timeout = 2.0\n"
        for name, one in cameras.items()
    ]
    return f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}/site"\n' + "".join(tables)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return still_life(tmp_path_factory.mktemp("scene") / "still.mp4")


def test_cameras_fail_alone_come_back_by_themselves_and_keep_their_ids(tmp_path, scene):
    with ExitStack() as stack:
        broker = stack.enter_context(brokers.running(tmp_path / "broker"))
        cameras = {name: stack.enter_context(camera(scene, "--loop")) for name in NAMES}
        listener = Subscriber(broker.port)
        stack.callback(listener.close)
        running = stack.enter_context(service(tmp_path, settings(broker, cameras)))
        eventually(lambda: all(listener.ids(name) for name in NAMES), 90, "confirmed tracks everywhere")

        def others_get(seconds, name):
            """Frames of all cameras but one in a while."""
            others = [other for other in NAMES if other != name]

            def count():
                return sum(running.metric("maskcast_frames_total", stream=other) for other in others)

            before = count()
            time.sleep(seconds)
            return count() - before

        for name in NAMES:
            known, seen = listener.ids(name), len(listener.of(name, "status"))
            usual = others_get(WINDOW, name)
            cameras[name].kill()
            eventually(lambda: listener.last(name, "status").get("status") == "offline", 15, "said to be offline")
            meanwhile = others_get(WINDOW, name)
            cameras[name].restart()
            back = time.monotonic()
            eventually(lambda: listener.last(name, "status").get("status") == "online", 15, "back")
            assert time.monotonic() - back < 5.0, "within 5 s of its server"
            assert len(listener.of(name, "status")) >= seen + 2
            # Machines are shared, so the fault is compared with what was before and after it.
            afterwards = others_get(WINDOW, name)
            assert meanwhile >= 0.6 * min(usual, afterwards) - 2, (usual, meanwhile, afterwards)
            after = listener.last(name, "tracks")["frame"]
            eventually(lambda: listener.last(name, "tracks")["frame"] > after + 1, 20, "frames after the gap")
            assert known & listener.ids(name), "what is there again has its old number"
            assert {m["track"]["id"] for m in listener.of(name, "events") if m["event"] == "ended"} & known == set()
        assert running.metric("maskcast_reconnects_total") == len(NAMES)
        assert running.stop() == 0
        statuses = {name: listener.last(name, "status") for name in NAMES}
        assert all(status["status"] == "offline" for status in statuses.values())
        assert "Traceback" not in running.text()


def test_a_camera_that_is_not_there_at_the_start_is_waited_for(tmp_path, scene):
    with ExitStack() as stack:
        broker = stack.enter_context(brokers.running(tmp_path / "broker"))
        late = stack.enter_context(camera(scene, "--loop"))
        late.kill()
        listener = Subscriber(broker.port)
        stack.callback(listener.close)
        running = stack.enter_context(service(tmp_path, settings(broker, {"late": late})))
        eventually(lambda: "refused" in str(listener.last("late", "status").get("reason")), 20, "says why")
        body = json.loads(running.get("/readyz")[1])
        assert body["streams"]["late"]["online"] is False
        late.restart()
        eventually(lambda: listener.last("late", "tracks"), 30, "frames")
        listed = listener.last("", "status")
        assert (listed["status"], listed["streams"]) == ("online", ["late"])
