"""`maskcast run` is killed again and again while walkers cross: totals, events and the truth stay one."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections import Counter
from contextlib import ExitStack

import cv2
import numpy as np
import pytest

from tests import broker as brokers
from tests import media
from tests.patience import eventually, patient
from tests.service import Service
from tests.subscriber import Subscriber

HEIGHT, WIDTH, RADIUS = 240, 320, 22
TOP, LINE, BOTTOM = 40.0, 120.0, 200.0
STEP, PICTURES_PER_SECOND = 6.0, 15.0
# Where each is at first, how far from the left, and in which colour.
WALKERS = ((TOP + 10.0, 60, (40, 40, 220)), (BOTTOM - 10.0, 160, (200, 80, 40)), (TOP + 40.0, 260, (60, 180, 60)))


class Street:
    """A camera over HTTP: walkers go up and down, a step for each frame in which all of them have been told of.

    So they stand still while nobody looks, or one is not believed yet: what nobody could know is not asked for.

    Attributes:
        crossed: how often the line was crossed, downwards and upwards.
        halt: set to let them stand where they are, if that is far from the line.
    """

    def __init__(self, looked):
        """`looked` says how many such frames there have been."""
        self._looked, self._walked = looked, 0
        self.crossed = Counter(down=0, up=0)
        self.halt, self._lock = threading.Event(), threading.Lock()
        self._ys = [y for y, _, _ in WALKERS]
        self._ways = [1.0 for _ in WALKERS]

    def walk(self):
        """The next picture, as a JPEG."""
        with self._lock:
            looked = self._looked()
            moves, self._walked = looked != self._walked, looked
            # Each on its own: the last one to be near the line goes on until it is not.
            for index, y in enumerate(self._ys if moves else ()):
                if self.halt.is_set() and abs(y - LINE) > 2 * RADIUS:
                    continue
                if not TOP <= y + STEP * self._ways[index] <= BOTTOM:
                    self._ways[index] *= -1
                self._ys[index] = y + STEP * self._ways[index]
                if (y < LINE) != (self._ys[index] < LINE):
                    self.crossed["down" if y < LINE else "up"] += 1
            image = np.full((HEIGHT, WIDTH, 3), (200, 190, 180), np.uint8)
            for y, (_, x, colour) in zip(self._ys, WALKERS, strict=True):
                cv2.circle(image, (x, round(y)), RADIUS, colour, -1)
        return cv2.imencode(".jpg", image)[1].tobytes()

    def below(self):
        with self._lock:
            return sum(y > LINE for y in self._ys)


def in_order(events):
    """The events of one stream without repeats; none is missing."""
    found = {int(event["id"].split("-")[1]): event for event in events}
    assert list(found) == list(range(1, len(found) + 1))
    assert len({event["id"].split("-")[0] for event in events}) == 1, "one journal"
    return list(found.values())


def places_change(running, listener, street):
    """Others are asked for, the process is killed, and in the end there are none; nobody walks."""
    below, above = street.below(), len(WALKERS) - street.below()

    def ask(**places):
        replies = len(listener.of("street", "control/reply"))
        asked = {"schema": "maskcast.control/3", "action": "places", **places}
        listener.publish("site/street/control", asked)
        eventually(lambda: len(listener.of("street", "control/reply")) > replies, 10, "a reply")
        return listener.last("street", "control/reply")

    def retained():
        return [body for topic, body, _ in list(listener.messages) if topic == "site/street/totals"][-1]

    same = {"points": [[0, 0.5], [1, 0.5], [1, 1], [0, 1]], "anchor": "centre"}
    other = {"points": [[0, 0], [1, 0], [1, 0.5], [0, 0.5]], "anchor": "centre"}
    refused = ask(zones={"below": same, "above": {**other, "prompts": ["dog"]}})
    assert refused["reason"].startswith("zones.above.prompts: no prompt is named 'dog'")
    places = {"zones": {"below": same, "above": other}}
    status, reply = running.post("/control/street", {"schema": "maskcast.control/3", "action": "places", **places})
    assert (status, json.loads(reply)["status"]) == (200, "accepted"), "on the page"
    inside = {"below": {"object": below}, "above": {"object": above}}
    eventually(lambda: listener.last("street", "counts").get("zones") == inside, 15, "who is in both zones")
    entered = {"below": {"object": 0}, "above": {"object": above}}
    eventually(lambda: listener.last("street", "totals")["zones"] == entered, 10, "whoever is there has entered")
    assert listener.last("street", "totals")["lines"] == {}
    assert running.metric("maskcast_zone_entered_total", zone="above") == above
    assert running.metric("maskcast_line_crossed_total", line="middle") == 0
    running.kill()
    running.start()
    eventually(lambda: "middle" in listener.last("street", "totals")["lines"], 60, "the settings rule again")
    assert listener.last("street", "totals")["lines"] == {"middle": {"down": {"object": 0}, "up": {"object": 0}}}
    assert listener.last("street", "totals")["zones"] == {"below": {"object": 0}}
    assert listener.last("street", "counts")["zones"].keys() == {"below"}
    frames = len(listener.of("street", "tracks"))
    eventually(lambda: len(listener.of("street", "tracks")) > frames + 3, 60, "frames")
    assert listener.last("street", "tracks")["schema"] == "maskcast.frame/3"
    listener.publish("site/street/control", {"action": "pause"})
    assert ask(zones={}, lines={})["status"] == "accepted"
    eventually(lambda: retained() == b"", 10, "no totals are retained, though it is paused")
    assert listener.last("street", "counts")["schema"] == "maskcast.counts/1"
    listener.publish("site/street/control", {"action": "resume"})
    eventually(lambda: listener.last("street", "tracks")["schema"] == "maskcast.frame/1", 20, "frames without zones")


def killed_while_walkers_cross(tmp_path, kills):
    chance = random.Random(11)
    with ExitStack() as stack:
        broker = stack.enter_context(brokers.running(tmp_path / "broker"))
        listener = Subscriber(broker.port)
        stack.callback(listener.close)

        def seen(frame):
            return sum(track["state"] == "confirmed" for track in frame["tracks"]) == len(WALKERS)

        street = Street(lambda: sum(map(seen, listener.of("street", "tracks"))))
        url = stack.enter_context(media.mjpeg_camera(street.walk, 1 / PICTURES_PER_SECOND))
        running = Service(
            tmp_path,
            f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}/site"\n[state]\nsave_seconds = 0.5\n'
            f'[streams.street]\nsource = "{url}"\nprompts = ["object"]\n'
            "[streams.street.zones.below]\npoints = [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]\n"
            'anchor = "centre"\n'
            "[streams.street.lines.middle]\npoints = [[0, 0.5], [1, 0.5]]\n"
            'anchor = "centre"\ndirections = ["down", "up"]\n',
        )
        below = street.below()
        running.start()
        stack.callback(running.kill)
        for _ in range(kills):
            frames = len(listener.of("street", "tracks"))
            eventually(lambda: len(listener.of("street", "tracks")) > frames + 3, 60, "frames")
            time.sleep(chance.random() * 2)
            running.kill()
            running.start()
        before = street.crossed.total()
        eventually(lambda: street.crossed.total() > before, 60, "a crossing after the last kill")
        street.halt.set()

        def told():
            return listener.last("street", "totals")["lines"]["middle"]

        def truth():
            return {way: {"object": number} for way, number in street.crossed.items()}

        with contextlib.suppress(AssertionError):  # what differs is shown below
            eventually(lambda: told() == truth(), 15)
        time.sleep(patient(0.5))
        assert told() == truth()
        totals = listener.last("street", "totals")
        listener.publish("site/street/control", {"schema": "maskcast.control/2", "action": "reset"})
        eventually(lambda: listener.last("street", "totals")["since"] > totals["since"], 10, "totals that begin anew")
        assert listener.last("street", "control/reply")["status"] == "accepted"
        assert told() == {"down": {"object": 0}, "up": {"object": 0}}
        assert listener.last("street", "counts")["zones"] == {"below": {"object": street.below()}}, (
            "who is inside stays"
        )
        places_change(running, listener, street)
        assert running.stop() == 0
        eventually(lambda: listener.last("street", "status").get("reason") == "stopped", 10)
        events = in_order(listener.of("street", "events"))
        crossed = Counter(event["direction"] for event in events if event["event"] == "crossed")
        assert crossed == street.crossed
        below_it = [event["event"] for event in events if event.get("zone") == "below"]
        entered, left = below_it.count("entered"), below_it.count("left")
        assert entered == below + street.crossed["down"]
        assert left == street.crossed["up"]
        assert totals["zones"] == {"below": {"object": entered}}
        assert "Traceback" not in running.text()
        return street.crossed.total()


def test_a_kill_changes_no_total(tmp_path):
    assert killed_while_walkers_cross(tmp_path, 1) >= 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_kills_change_no_total(tmp_path):
    assert killed_while_walkers_cross(tmp_path, 20) >= 20
