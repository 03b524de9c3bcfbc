"""`maskcast run` with four real RTSP cameras, each of which fails in its turn."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack

import pytest

from tests import broker as brokers
from tests.patience import eventually, patient, slowness
from tests.rtsp import camera
from tests.service import service
from tests.subscriber import Subscriber

NAMES = ("north", "east", "south", "west")
RATE = 0.7
WINDOW = 5


def settings(broker, cameras):
    """Rates that the model can serve, so that a stream's frames depend on its own camera alone."""
    seconds = 2.0 * slowness()
    tables = [
        f'[streams.{name}]\nsource = "{one.url()}"\nprompts = ["object"]\nmax_rate = {RATE}\n'
        f"connect_timeout = {seconds}\nsilence_timeout = {seconds}\n"
        for name, one in cameras.items()
    ]
    return f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}/site"\n' + "".join(tables)


@pytest.mark.long
def test_cameras_fail_alone_come_back_by_themselves_and_keep_their_ids(tmp_path, still_scene):
    with ExitStack() as stack:
        broker = stack.enter_context(brokers.running(tmp_path / "broker"))
        cameras = {name: stack.enter_context(camera(still_scene, "--loop")) for name in NAMES}
        listener = Subscriber(broker.port)
        stack.callback(listener.close)
        running = stack.enter_context(service(tmp_path, settings(broker, cameras)))
        eventually(lambda: all(listener.ids(name) for name in NAMES), 90, "confirmed tracks everywhere")

        def frames_in_a_while():
            """Frames of each camera."""

            def counts():
                return {name: running.metric("maskcast_frames_total", stream=name) for name in NAMES}

            before = counts()
            time.sleep(WINDOW)
            return {name: count - before[name] for name, count in counts().items()}

        def of_others(frames, name):
            return sum(count for other, count in frames.items() if other != name)

        usual = frames_in_a_while()
        for name in NAMES:
            known, seen = listener.ids(name), len(listener.of(name, "status"))
            cameras[name].kill()
            eventually(lambda: listener.last(name, "status").get("status") == "offline", 15, "said to be offline")
            meanwhile = of_others(frames_in_a_while(), name)
            cameras[name].restart()
            back = time.monotonic()
            eventually(lambda: listener.last(name, "status").get("status") == "online", 15, "back")
            assert time.monotonic() - back < patient(5.0), "within 5 s of its server"
            assert len(listener.of(name, "status")) >= seen + 2
            # Machines are shared, so the fault is compared with what was before and after it.
            afterwards = frames_in_a_while()
            around = [of_others(frames, name) for frames in (usual, afterwards)]
            assert meanwhile >= 0.6 * min(around) - 2, (meanwhile, around)
            usual = afterwards
            after = listener.last(name, "tracks")["frame"]
            eventually(lambda: listener.last(name, "tracks")["frame"] > after + 1, 20, "frames after the gap")
            assert known & listener.ids(name), "what is there again has its old number"
            assert {m["track"]["id"] for m in listener.of(name, "events") if m["event"] == "ended"} & known == set()
        assert running.metric("maskcast_reconnects_total") == len(NAMES)
        assert running.stop() == 0
        statuses = {name: listener.last(name, "status") for name in NAMES}
        assert all(status["status"] == "offline" for status in statuses.values())
        assert "Traceback" not in running.text()


def test_a_camera_that_is_not_there_at_the_start_is_waited_for(tmp_path, still_scene):
    with ExitStack() as stack:
        broker = stack.enter_context(brokers.running(tmp_path / "broker"))
        late = stack.enter_context(camera(still_scene, "--loop"))
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
