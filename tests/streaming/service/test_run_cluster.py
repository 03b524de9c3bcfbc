"""`maskcast run` with cameras on several workers: real Ray, real RTSP and a real broker, and workers that die."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests import broker as brokers
from tests.left_behind import consistent
from tests.patience import eventually, patient
from tests.ray_cluster import ray_nodes
from tests.rtsp import camera
from tests.service import Service
from tests.subscriber import Subscriber

NAMES = ("north", "east", "south", "west", "gate", "yard")
# What two cores track of six cameras with room to spare, so that a stream's frames depend on its own worker alone.
RATE = 0.7
WINDOW = 6
# What was tracked before a worker died has been told of after so long.
IN_FLIGHT_SECONDS = 0.5
# What the page and the README promise of streams whose worker dies.
BACK_SECONDS = 15.0

pytest.importorskip("ray")


def settings(broker, cameras, address=None):
    tables = [
        f'[streams.{name}]\nsource = "{one.url()}"\nprompts = ["object"]\nmax_rate = {RATE}\n'
        for name, one in cameras.items()
    ]
    return (
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}/site"\n[state]\nsave_seconds = 1\n[cluster]\nworkers = 2\n'
        + (f'address = "{address}"\n' if address else "")
        + "".join(tables)
    )


class Fleet:
    """A service with two workers and six cameras, and a subscriber that hears all of it."""

    def __init__(self, running, listener, broker, cameras):
        self.running, self.listener, self.broker, self.cameras = running, listener, broker, cameras

    def ready(self):
        """What it says of itself; nothing while it begins."""
        status, said = self.running.get("/readyz")
        return json.loads(said) if status else {"streams": {}}

    def places(self):
        """The worker of each stream that has one."""
        return {name: stream["worker"] for name, stream in self.ready()["streams"].items() if "worker" in stream}

    def pids(self):
        """The process of each worker that is up."""
        workers = self.ready().get("workers", {})
        return {name: int(re.search(r"pid (\d+)", one["where"])[1]) for name, one in workers.items() if one["up"]}

    def counts(self):
        return {name: self.running.metric("maskcast_frames_total", stream=name) for name in NAMES}

    def frames_in_a_while(self, seconds=WINDOW):
        before = self.counts()
        time.sleep(seconds)
        return {name: count - before[name] for name, count in self.counts().items()}

    def seen(self):
        """How many results each stream has told of."""
        return {name: len(self.listener.of(name, "tracks")) for name in NAMES}

    def last_status(self, name):
        return self.listener.last(name, "status")["status"]

    def settled(self):
        """Two workers have three streams each, and all show what they know."""
        eventually(lambda: len(self.pids()) == 2, 120, "two workers")
        eventually(lambda: all(self.listener.ids(name) for name in NAMES), 120, "confirmed tracks everywhere")

    def back(self, streams, since):
        """Seconds after `since` until the last of these streams has told of a new frame, and not of one on its way."""
        time.sleep(max(since + IN_FLIGHT_SECONDS - time.monotonic(), 0.0))
        seen = self.seen()
        eventually(lambda: all(self.seen()[name] > seen[name] for name in streams), 60, "results again")
        return time.monotonic() - since

    def lives_are_whole(self):
        """No event is missing, none tells of a life that cannot be, and no track that stands there has ended."""
        for name in NAMES:
            order, _ = consistent(self.listener.of(name, "events"))
            shown = self.listener.ids(name)
            assert not shown & {event["track"]["id"] for event in order if event["event"] == "ended"}, name


@contextmanager
def fleet(folder, still_scene, lines=(), address=None):
    with ExitStack() as stack:
        broker = stack.enter_context(brokers.running(folder / "broker", lines=lines))
        cameras = {name: stack.enter_context(camera(still_scene, "--loop")) for name in NAMES}
        listener = Subscriber(broker.port)
        stack.callback(listener.close)
        running = Service(folder, settings(broker, cameras, address))
        running.start()
        stack.callback(running.kill)
        eventually(running.ready, 180, "ready")
        one = Fleet(running, listener, broker, cameras)
        one.settled()
        yield one


def lives(pid):
    """Whether a process is there that is no zombie."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    return False


@pytest.mark.long
@pytest.mark.timeout(600)
def test_streams_of_a_killed_worker_are_back_in_seconds_and_others_notice_nothing(tmp_path, still_scene):
    with fleet(tmp_path, still_scene) as one:
        places, pids = one.places(), one.pids()
        assert sorted(places.values()) == ["worker-1"] * 3 + ["worker-2"] * 3
        lost = [name for name in NAMES if places[name] == "worker-1"]
        others = [name for name in NAMES if places[name] == "worker-2"]
        known = {name: one.listener.ids(name) for name in NAMES}
        statuses = {name: len(one.listener.of(name, "status")) for name in others}
        usual, before = one.frames_in_a_while(), one.counts()
        os.kill(pids["worker-1"], signal.SIGKILL)
        killed = time.monotonic()
        assert one.back(lost, killed) < patient(BACK_SECONDS)
        time.sleep(max(killed + WINDOW - time.monotonic(), 0.0))
        lasted, after = time.monotonic() - killed, one.counts()
        eventually(lambda: all(known[name] & one.listener.ids(name) for name in NAMES), 30, "with their ids")
        assert {one.places()[name] for name in lost} == {"worker-2"}
        # The others: no frame less than before, none that went elsewhere, and nothing said of them.
        fewest = 0.6 * lasted / WINDOW * sum(usual[name] for name in others) - 2
        assert sum(after[name] - before[name] for name in others) >= fewest, (usual, before, after, lasted)
        assert {name: len(one.listener.of(name, "status")) for name in others} == statuses
        assert one.running.metric("maskcast_worker_deaths_total") == 1
        eventually(lambda: one.running.metric("maskcast_worker_up") == 2, 60, "another worker in its place")
        one.lives_are_whole()
        assert one.running.stop() == 0
        assert "Traceback" not in one.running.text()
        for name in NAMES:
            assert one.listener.last(name, "status")["status"] == "offline"
        eventually(lambda: not any(map(lives, pids.values())), 30, "no worker is left")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_worker_that_hangs_is_given_up_and_killed(tmp_path, still_scene):
    with fleet(tmp_path, still_scene) as one:
        places, pids = one.places(), one.pids()
        known = {name: one.listener.ids(name) for name in NAMES}
        lost = [name for name in NAMES if places[name] == "worker-2"]
        os.kill(pids["worker-2"], signal.SIGSTOP)
        stopped = time.monotonic()
        assert one.back(lost, stopped) < patient(BACK_SECONDS)
        eventually(lambda: all(known[name] & one.listener.ids(name) for name in NAMES), 30, "with their ids")
        eventually(lambda: not lives(pids["worker-2"]), 30, "the one that hung is dead")
        eventually(lambda: one.running.metric("maskcast_worker_up") == 2, 60, "another in its place")
        # The one that came is empty: streams come to it one by one, after a minute of calm.
        eventually(lambda: "worker-2" in one.places().values(), 180, "it gets streams")
        eventually(lambda: all(known[name] & one.listener.ids(name) for name in NAMES), 60, "still with their ids")
        one.lives_are_whole()
        assert one.running.stop() == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_event_is_lost_or_doubled_when_the_head_and_workers_are_killed_while_the_broker_is_away(
    tmp_path, still_scene
):
    keeping = tmp_path / "kept"
    keeping.mkdir()
    with fleet(tmp_path, still_scene, lines=brokers.keeping(keeping)) as one:
        known = {name: one.listener.ids(name) for name in NAMES}
        pids = one.pids()
        one.broker.stop()
        os.kill(pids["worker-1"], signal.SIGKILL)
        eventually(lambda: one.running.metric("maskcast_worker_deaths_total") == 1, 30, "a worker is given up")
        workers = set(pids.values()) | set(one.pids().values())
        one.running.kill()
        eventually(lambda: not any(map(lives, workers)), 60, "no worker outlives its head")
        one.running.start()
        eventually(lambda: len(one.pids()) == 2, 180, "two workers again")
        one.broker.start()
        eventually(lambda: one.listener.connected, 30, "the listener is back")
        seen = one.seen()
        eventually(lambda: all(one.seen()[name] > seen[name] + 2 for name in NAMES), 120, "results")
        eventually(lambda: all(known[name] & one.listener.ids(name) for name in NAMES), 60, "with their ids")
        one.lives_are_whole()
        assert one.running.stop() == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_machine_that_is_gone_gives_its_streams_to_another_and_to_one_that_comes(tmp_path, still_scene):
    with ray_nodes(0, 1) as machines:
        first = machines.add(1)
        with fleet(tmp_path, still_scene, address=machines.address) as one:
            known = {name: one.listener.ids(name) for name in NAMES}
            before, places = one.pids(), one.places()
            machines.remove(first)
            gone = time.monotonic()
            eventually(lambda: one.running.metric("maskcast_worker_deaths_total") == 1, 30, "a worker is given up")
            (left,) = one.pids()
            lost = [name for name in NAMES if places[name] != left]
            assert one.back(lost, gone) < patient(BACK_SECONDS)
            eventually(lambda: all(known[name] & one.listener.ids(name) for name in NAMES), 60, "with their ids")
            machines.add(1)
            eventually(lambda: len(one.pids()) == 2, 120, "a worker on the machine that came")
            assert one.pids()[left] == before[left]
            eventually(lambda: len(set(one.places().values())) == 2, 180, "it gets streams")
            eventually(lambda: all(known[name] & one.listener.ids(name) for name in NAMES), 60, "still with their ids")
            one.lives_are_whole()
            assert one.running.stop() == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_streams_come_and_go_with_the_settings_and_others_stay_where_they_are(tmp_path, still_scene):
    with fleet(tmp_path, still_scene) as one:
        places = one.places()
        known = {name: one.listener.ids(name) for name in NAMES}
        gone = next(name for name in NAMES if places[name] == "worker-1")
        fewer = {name: camera for name, camera in one.cameras.items() if name != gone}
        one.running.reload(settings(one.broker, {**fewer, "door": one.cameras[gone]}))
        eventually(lambda: one.listener.ids("door"), 60, "the new one is tracked")
        assert one.places().keys() == {*fewer, "door"}
        assert {name: one.places()[name] for name in fewer} == {name: places[name] for name in fewer}
        assert all(known[name] & one.listener.ids(name) for name in fewer)
        assert not [status for status in map(one.last_status, fewer) if status != "online"]
        assert one.running.stop() == 0
