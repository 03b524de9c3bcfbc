"""`maskcast run`: a stream that is taken out of the settings leaves nothing behind, at the broker or on disk."""

from __future__ import annotations

from sinks.mqtt.home_assistant import discovery_topic
from tests import broker as brokers
from tests.patience import eventually
from tests.rtsp import camera
from tests.service import service
from tests.subscriber import Subscriber

TOPICS = {"site/door/status", "site/door/counts", "site/door/image"}


def test_what_a_stream_has_left_goes_with_it(tmp_path, still_scene):
    track_state = tmp_path / "maskcast-state" / "tracks" / "door.safetensors"
    with brokers.running(tmp_path / "broker") as broker, camera(still_scene, "--loop") as door:

        def head(prefix):
            url = f"mqtt://127.0.0.1:{broker.port}/{prefix}"
            return f'[mqtt]\nurl = "{url}"\nhome_assistant = true\n[state]\nsave_seconds = 0.5\n'

        def retained(prefix="site"):
            late = Subscriber(broker.port, prefix, f"late {next(numbers)}")
            eventually(late.retained, 20, f"something is retained under {prefix}")
            late.close()
            return late.retained()

        numbers = iter(range(1000))
        table = f'[streams.door]\nsource = "{door.url()}"\nprompts = ["object"]\n'
        other = '[streams.gate]\nsource = "rtsp://127.0.0.1:9/nobody"\nprompts = ["star"]\n'
        device = discovery_topic("site", "door")
        with service(tmp_path, head("site") + table + other) as running:
            eventually(lambda: retained() >= TOPICS and track_state.exists(), 60, "a picture of the door is retained")
            assert device in retained("homeassistant")
            running.reload(head("site") + other)
            eventually(lambda: not any("/door/" in topic for topic in retained()), 60, "nothing of the door")
            eventually(lambda: device not in retained("homeassistant"), 60, "its device is withdrawn")
            rest = {"site/status", "site/gate/status", "site/gate/counts"}
            eventually(lambda: rest <= retained(), 20, "all else is there")
            eventually(lambda: not list(track_state.parent.glob("*door*")), 20, "its track state is deleted")
            running.reload(head("site") + table + other)
            eventually(lambda: retained() >= TOPICS, 60, "it may come back, and keeps what it says then")
            assert running.stop() == 0
            assert "Traceback" not in running.text()
        assert track_state.exists()

        with service(tmp_path, head("house") + other) as running:
            eventually(lambda: not track_state.exists(), 20, "it went while the process was stopped")
            prefixes = {"house", "homeassistant"}
            eventually(lambda: {topic.split("/")[0] for topic in retained("+")} == prefixes, 60, "the old one")
            assert len(retained("homeassistant")) == 1, "and the new device is announced"
            assert running.stop() == 0
