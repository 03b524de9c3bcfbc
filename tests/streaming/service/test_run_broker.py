"""`maskcast run` and its broker: outages under load, control, reload, Home Assistant."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests import broker as brokers
from tests.left_behind import consistent
from tests.paths import ROOT
from tests.patience import eventually
from tests.rtsp import camera
from tests.service import service
from tests.subscriber import Subscriber


def resident(process):
    """Resident memory in bytes."""
    pages = Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def site(tmp_path, clip, table, *, mqtt="", keeping=False):
    with ExitStack() as stack:
        folder = tmp_path / "broker"
        broker = stack.enter_context(brokers.running(folder, lines=brokers.keeping(folder) if keeping else []))
        source = stack.enter_context(camera(clip, "--loop"))
        listener = Subscriber(broker.port)
        stack.callback(listener.close)
        text = f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}/site"\n{mqtt}[streams.door]\nsource = "{source.url()}"\n'
        running = stack.enter_context(service(tmp_path, text + table))
        yield broker, listener, running, text


def outage(tmp_path, frames, events):
    """The broker is away until so many frames were tracked and so many events wait for it."""
    table = 'prompts = ["object"]\n'
    with site(tmp_path, ROOT / "streaming" / "commands" / "demo.mp4", table, keeping=True) as (
        broker,
        listener,
        running,
        _,
    ):
        eventually(lambda: len(listener.of("door", "events")) >= 2, 60, "events")
        tracked, before = running.metric("maskcast_frames_total"), resident(running.process)
        broker.stop()
        eventually(lambda: running.metric("maskcast_frames_total") > tracked + frames, 60, "no frame is lost by it")
        eventually(lambda: running.metric("maskcast_journal_events") >= events, 60, "events wait")
        waiting = running.metric("maskcast_journal_events")
        broker.start()
        eventually(lambda: running.metric("maskcast_journal_events") == 0, 60, "all events are delivered")
        count = len(listener.of("door", "tracks"))
        eventually(lambda: len(listener.of("door", "tracks")) > count, 30, "frames go on")
        grown = resident(running.process) - before
        assert grown < 150e6, f"{grown / 1e6:.0f} MB"
        assert running.stop() == 0
        eventually(lambda: listener.last("door", "status").get("reason") == "stopped", 10)
        order, _ = consistent(listener.of("door", "events"))
        return waiting, len(order)


@pytest.mark.long
def test_events_survive_the_broker(tmp_path):
    waiting, total = outage(tmp_path, 40, 1)
    assert total > waiting


@pytest.mark.slow
def test_events_survive_a_broker_that_is_away_for_long(tmp_path):
    waiting, total = outage(tmp_path, 200, 3)
    assert total > waiting


def test_control_reload_and_home_assistant(tmp_path, still_scene):
    mqtt = "home_assistant = true\n"
    table = 'prompts = ["object"]\nmax_rate = 4.0\n'
    with site(tmp_path, still_scene, table, mqtt=mqtt) as (broker, listener, running, text):
        found = Subscriber(broker.port, "homeassistant", "hass")
        eventually(lambda: listener.ids("door"), 60, "tracks")
        eventually(lambda: [m for m in listener.messages if m[0] == "site/door/image"], 20, "a still of what appeared")

        def ask(**request):
            number = len(listener.of("door", "control/reply"))
            listener.publish("site/door/control", {"id": f"r{number}", **request})
            return eventually(lambda: listener.of("door", "control/reply")[number:], 20, str(request))[0]

        reply = ask(action="set", prompts=["red circle", "blue square"])
        assert (reply["status"], reply["prompts"]) == ("accepted", ["red circle", "blue square"])
        eventually(lambda: listener.last("door", "status")["prompts"] == ["red circle", "blue square"], 10)
        eventually(lambda: "red circle" in listener.last("door", "counts")["counts"], 10)
        assert ask(action="remove", prompts=["red circle", "blue square"])["status"] == "rejected", (
            "nothing to look for"
        )
        assert ask(action="set", prompts=["word " * 40])["status"] == "rejected", "more than the model can read"
        assert ask(action="dance")["status"] == "rejected"
        many = ask(action="add", prompts=[f"thing {number}" for number in range(31)])
        assert (many["status"], many["prompts"]) == ("rejected", ["red circle", "blue square"])
        assert "32 at most" in many["reason"]

        def stands_still():
            before = listener.last("door", "tracks")["frame"]
            time.sleep(1.5)
            return listener.last("door", "tracks")["frame"] == before

        ask(action="pause")
        eventually(stands_still, 10, "a pause, after the frames that were on their way")
        still = listener.last("door", "tracks")["frame"]
        assert listener.last("door", "status")["paused"] is True
        ask(action="resume")
        eventually(lambda: listener.last("door", "tracks")["frame"] > still, 10)

        images = len([m for m in listener.messages if m[0] == "site/door/image"])
        ask(action="snapshot")
        image = eventually(lambda: [m for m in listener.messages if m[0] == "site/door/image"][images:], 10)[0][1]
        assert image[:2] == b"\xff\xd8"

        def entities():
            """What Home Assistant is to have, and what it is to forget: components, without the hash in their names."""
            parts = json.loads(found.messages[-1][1])["components"]
            gone = {name for name in parts if len(parts[name]) == 1}
            return tuple({name.rsplit("_", 1)[0] for name in names} for names in (parts.keys() - gone, gone))

        present = {
            "image",
            *(f"{kind}_{prompt}" for kind in ("sensor", "binary_sensor") for prompt in ("red_circle", "blue_square")),
        }
        eventually(lambda: entities() == (present, {"sensor_object", "binary_sensor_object"}), 10, "entities")
        # A scrape that times out on a busy machine counts as nothing.
        accepted = {"stream": "door", "outcome": "accepted"}
        eventually(lambda: running.metric("maskcast_control_messages_total", **accepted) == 4, 10, "what was counted")
        assert running.metric("maskcast_control_messages_total", stream="door", outcome="rejected") == 4

        # A bad file changes nothing, a good one only what it names.
        frames = running.metric("maskcast_frames_total", stream="door")
        running.reload(text + "prompts = []\n")
        eventually(lambda: "reload refused" in running.text(), 20)
        second = text + table + text[text.index("[streams.door]") :].replace("door", "gate") + table
        running.reload(second)
        eventually(lambda: listener.last("gate", "tracks"), 30, "the added stream")
        eventually(lambda: running.metric("maskcast_frames_total", stream="door") >= frames, 10, "was not touched")
        assert [m["status"] for m in listener.of("door", "status")][-1] == "online"
        running.reload(second.replace('prompts = ["object"]', 'prompts = ["ring"]', 1))
        eventually(lambda: listener.last("door", "status").get("prompts") == ["ring"], 30, "the changed stream")
        eventually(lambda: {"sensor_red_circle", "sensor_object"} <= entities()[1], 10)
        running.reload(text.replace("door", "gate") + table)
        eventually(lambda: listener.last("", "status")["streams"] == ["gate"], 30, "the removed stream")
        eventually(lambda: found.messages[-1][1] == b"" or b"door" not in found.messages[-1][1], 10, "device withdrawn")
        eventually(lambda: 'stream="door"' not in running.get("/metrics")[1], 10, "no series is left behind")
        found.close()
        assert running.stop() == 0
        assert "Traceback" not in running.text()
