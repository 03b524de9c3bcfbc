"""`maskcast run` and Home Assistant over a restart: what changed meanwhile is taken back."""

import json

from sinks.mqtt.home_assistant import discovery_topic
from tests import broker as brokers
from tests.patience import eventually
from tests.service import service
from tests.subscriber import Subscriber

TABLE = '[streams.{}]\nsource = "rtsp://127.0.0.1:9/nobody"\nprompts = [{}]\n'


def test_entities_that_went_while_the_process_was_stopped_are_removed(tmp_path):
    door, gate = (discovery_topic("site", name) for name in ("door", "gate"))
    with brokers.running(tmp_path / "broker") as broker:
        found = Subscriber(broker.port, prefix="homeassistant", topics=("device/+/config",))
        head = f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}/site"\nhome_assistant = true\n'

        def newest(topic):
            messages = [payload for got, payload, _ in list(found.messages) if got == topic]
            return messages[-1] if messages else None

        both = TABLE.format("door", '"object", "ring"') + TABLE.format("gate", '"star"')
        with service(tmp_path, head + both) as running:
            eventually(lambda: newest(door) and newest(gate), 20, "both devices")
            assert running.stop() == 0

        with service(tmp_path, head + TABLE.format("door", '"object"')) as running:
            eventually(lambda: newest(gate) == b"", 20, "the device of the stream that is gone is removed")

            def gone():
                components = json.loads(newest(door))["components"]
                return {name.rsplit("_", 1)[0] for name, part in components.items() if len(part) == 1}

            eventually(lambda: gone() == {"sensor_ring", "binary_sensor_ring"}, 20, "the prompt that is gone")
            noted = tmp_path / "maskcast-state" / "retained.json"
            eventually(
                lambda: [one["stream"] for one in json.loads(noted.read_text(encoding="utf-8"))["left"]] == ["door"],
                10,
                "noted",
            )
            assert running.stop() == 0
            assert "Traceback" not in running.text()

        quiet = head.replace("home_assistant = true\n", "")
        with service(tmp_path, quiet + TABLE.format("door", '"object"')) as running:
            eventually(lambda: newest(door) == b"", 20, "discovery was switched off")
            assert running.stop() == 0
        found.close()
