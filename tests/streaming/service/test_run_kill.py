"""`maskcast run` is killed again and again: what it has told stays true, and nothing it has told of is lost."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack

import pytest

from tests import broker as brokers
from tests.left_behind import consistent, readable
from tests.paths import ROOT
from tests.patience import eventually
from tests.rtsp import camera
from tests.service import Service
from tests.subscriber import Subscriber

PROMPTS = (["object"], ["circle", "star"], ["red object", "square"])


def killed_again_and_again(tmp_path, kills):
    chance = random.Random(7)
    with ExitStack() as stack:
        broker = stack.enter_context(brokers.running(tmp_path / "broker"))
        moving = stack.enter_context(camera(ROOT / "streaming" / "commands" / "demo.mp4", "--loop"))
        listener = Subscriber(broker.port)
        stack.callback(listener.close)
        running = Service(
            tmp_path,
            f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}/site"\n[state]\nsave_seconds = 0.5\n'
            f'[streams.door]\nsource = "{moving.url()}"\nprompts = ["object"]\n'
            f'[streams.door.recording]\nfolder = "videos"\nkeep_files = 1000\n',
        )
        running.start()
        stack.callback(running.kill)
        for _ in range(kills):
            # Most kills hit a running stream, some the start.
            if chance.random() < 0.8:
                frames = len(listener.of("door", "tracks"))
                eventually(lambda: len(listener.of("door", "tracks")) > frames, 60, "frames")
                # Tracks end and others start: the more events, the more there is to lose.
                listener.publish("site/door/control", {"action": "set", "prompts": chance.choice(PROMPTS)})
            time.sleep(chance.random() * 3)
            running.kill()
            running.start()
        frames = len(listener.of("door", "tracks"))
        eventually(lambda: len(listener.of("door", "tracks")) > frames + 5, 60, "frames after the last kill")
        assert running.stop() == 0
        eventually(lambda: listener.last("door", "status").get("reason") == "stopped", 10)
        order, lives = consistent(listener.of("door", "events"))
        assert len(order) >= kills / 2, "enough happened to lose something"
        shown = {t["id"] for m in listener.of("door", "tracks") for t in m["tracks"] if t["state"] == "confirmed"}
        assert shown <= set(lives), "every track that was shown as confirmed had started"
        videos = sorted((tmp_path / "videos" / "door").iterdir())
        assert videos
        assert all(readable(video) for video in videos), [str(v) for v in videos if not readable(v)]
        assert not [video for video in videos if "partial" in video.name]
        assert (tmp_path / "maskcast-state" / "tracks" / "door.safetensors").exists()
        assert "track state" not in running.text(), "no track state was found damaged"


@pytest.mark.long
def test_kills_lose_no_event_and_leave_no_broken_file(tmp_path):
    killed_again_and_again(tmp_path, 5)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_kills_lose_no_event_and_leave_no_broken_file(tmp_path):
    killed_again_and_again(tmp_path, 20)
