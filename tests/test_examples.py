"""The examples run as they are."""

import asyncio
import json
import pickle
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack

import aiomqtt
import cv2
import numpy as np
import pytest
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from maskcast.mask import Box
from maskcast.result import Event, EventKind, Result
from sinks.messages.event import event_message, shed_message
from sinks.messages.topics import TOPICS
from sinks.mqtt.control import ControlDesk, parse_control
from sinks.mqtt.home_assistant import discovery
from tests import broker, forked, processes, sinks_media
from tests.paths import ROOT
from tests.patience import eventually, patient
from tests.ports import free_port
from tests.publishing import answered
from tests.tracking import run

EXAMPLES = ROOT / "examples"
DEMO = ROOT / "streaming" / "commands" / "demo.mp4"
CLOSED = "a port where nobody listens"

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")
EVENT_ID = "0123456789abcdef" * 2 + "-41"


@needs_ffmpeg
def test_count(tmp_path, tiny_checkpoint):
    clip = sinks_media.clip(tmp_path / "clip.mp4", seconds=0.4)
    done = forked.run(clip, "cat", tiny_checkpoint, script=EXAMPLES / "count.py")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+ × cat\n", done.stdout)  # noqa: RUF001


# FiftyOne keeps its data sets in a MongoDB, which is not among the tests; what it is given is its own vocabulary.
FIFTYONE = """
import pickle
from types import SimpleNamespace as Detection, SimpleNamespace as Frame

class Detections:
    def __init__(self):
        self.detections = []

class Sample:
    def __init__(self, filepath):
        self.filepath, self.frames = filepath, {}

class Dataset:
    def __init__(self, name, persistent):
        pass

    def add_sample(self, sample):
        with open("dataset.pickle", "wb") as file:
            frames = sample.frames.items()
            pickle.dump({number: [vars(one) for one in frame.objects.detections] for number, frame in frames}, file)
"""


def test_fiftyone_dataset(tmp_path):
    """FiftyOne counts frames from 1, and places a mask that is as large as it likes in a box of shares."""
    for number in range(3):
        picture = np.full((180, 320, 3), 90, np.uint8)
        cv2.circle(picture, (100 + 10 * number, 90), 30, (40, 40, 220), -1)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    script = tmp_path / "fiftyone_dataset.py"
    shutil.copy(EXAMPLES / script.name, script)
    (tmp_path / "fiftyone.py").write_text(FIFTYONE)
    done = forked.run(tmp_path, "red circle", "nano", folder=tmp_path, script=script)
    assert done.returncode == 0, done.stderr
    frames = pickle.loads((tmp_path / "dataset.pickle").read_bytes())
    assert list(frames) == [1, 2, 3]
    for number, (found,) in frames.items():
        assert (found["label"], found["index"]) == ("red circle", 1)
        assert 0.5 < found["confidence"] <= 1
        x, y, width, height = found["bounding_box"]
        assert (width * 320, height * 180) == pytest.approx(found["mask"].shape[::-1])
        assert ((x + width / 2) * 320, (y + height / 2) * 180) == pytest.approx((90 + 10 * number, 90), abs=3)
        assert found["mask"].mean() == pytest.approx(np.pi / 4, abs=0.05)


@needs_ffmpeg
def test_subscribe(tmp_path, tiny_checkpoint):
    clip = sinks_media.clip(tmp_path / "clip.mp4", seconds=2)
    with broker.running(tmp_path / "broker", lines=["log_type subscribe"]) as server:
        listen = [sys.executable, str(EXAMPLES / "subscribe.py"), "127.0.0.1", str(server.port)]
        with processes.running(listen, stdout=subprocess.PIPE, text=True) as subscriber:
            eventually(lambda: "maskcast/" in server.log(), what="it subscribes; it says nothing before a message")
            out = f"mqtt://127.0.0.1:{server.port}/maskcast"
            done = run(clip, "--prompt", "cat", "--out", out, model=tiny_checkpoint)
            assert done.exit_code == 0, done.stderr
            assert re.fullmatch(r"clip \d+ \d+ cat \d+\n", subscriber.stdout.readline())


@pytest.mark.parametrize(
    ("name", "arguments", "code", "said"),
    [
        ("count.py", [], 2, "required: video, phrase"),
        ("count.py", ["nowhere.mp4"], 2, "required: phrase"),
        ("count.py", ["nowhere.mp4", "cat", "nano", "more"], 2, "unrecognized arguments: more"),
        ("count.py", ["nowhere.mp4", "cat", "nano"], 3, "nowhere.mp4: no such file"),
        ("count.py", [DEMO, "cat", "./nowhere"], 5, "no such folder"),
        ("count.py", [DEMO, "", "nano"], 2, "prompt"),
        ("subscribe.py", [], 2, "required: broker"),
        ("subscribe.py", ["127.0.0.1", "many"], 2, "invalid int value: 'many'"),
        ("subscribe.py", ["127.0.0.1", "99999"], 1, "127.0.0.1:99999: "),
        ("subscribe.py", ["127.0.0.1", CLOSED], 1, "refused"),
        ("subscribe.py", ["nowhere.invalid"], 1, "nowhere.invalid:1883: "),
        ("control.py", [], 2, "required: broker, port, stream, prompt"),
        ("control.py", ["127.0.0.1", "1883", "door"], 2, "required: prompt"),
        ("control.py", ["127.0.0.1", "many", "door", "cat"], 2, "invalid int value: 'many'"),
        ("control.py", ["127.0.0.1", CLOSED, "door", "cat"], 1, "refused"),
        ("control.py", ["nowhere.invalid", "1883", "door", "cat"], 1, "nowhere.invalid:1883: "),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_code(name, arguments, code, said, tmp_path):
    given = [str(free_port()) if argument is CLOSED else argument for argument in arguments]
    done = forked.run(*given, folder=tmp_path, script=EXAMPLES / name)
    assert done.returncode == code, done.stderr
    assert not done.stdout
    *usage, line = done.stderr.splitlines()
    assert said in line
    assert all(one.startswith(("usage: ", " ")) for one in usage), (
        "an error is one line, under the usage where that is it"
    )
    assert bool(usage) == ("argument" in line)


def interrupted(name, *arguments, busy, folder):
    """How an example ends that gets Ctrl-C once `busy` has come back."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with processes.running(command, text=True, cwd=folder, **pipes) as process:
        busy()
        process.send_signal(signal.SIGINT)
        printed = process.communicate(timeout=patient(60))
    return process.returncode, *printed


def test_ctrl_c_while_it_waits_for_a_source(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as callers:
        silent.settimeout(patient(60))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/door.mp4"

        def busy():
            callers.enter_context(silent.accept()[0])

        assert interrupted("count.py", url, "cat", "nano", busy=busy, folder=tmp_path) == (130, "", "")


@pytest.mark.parametrize(("name", "more"), [("subscribe.py", []), ("control.py", ["door", "cat"])])
def test_ctrl_c_while_it_listens(name, more, tmp_path):
    with broker.running(tmp_path / "broker", lines=["log_type subscribe"]) as server:

        def busy():
            eventually(lambda: "maskcast/" in server.log(), what="it subscribes")

        assert interrupted(name, "127.0.0.1", server.port, *more, busy=busy, folder=tmp_path) == (130, "", "")


def test_the_readme_shows_commands_that_exist():
    text = (EXAMPLES.parent / "README.md").read_text()
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    shown = "".join(forked.run(*command, "--help").stdout for command in ([], ["track"], ["fetch"]))
    unknown = {option for option in options if option not in shown}
    assert not unknown


async def answers(port, prompts, serve):
    """What the remote control prints, with a stream `door` that answers if `serve`."""

    class Stream:
        prompts = ("person",)

        async def obey(self, request):
            self.prompts = request.prompts

    async with aiomqtt.Client("127.0.0.1", port) as maskcast:
        await maskcast.subscribe("maskcast/door/control", qos=1)
        control = await asyncio.create_subprocess_exec(
            *processes.LEASH,
            *(sys.executable, str(EXAMPLES / "control.py"), "127.0.0.1", str(port), "door", *prompts),
            stdout=subprocess.PIPE,
        )
        desk = ControlDesk("door", Stream())
        async with asyncio.timeout(patient(30)):
            message = await anext(aiter(maskcast.messages))
            # First an answer to somebody else, which is not to be taken for one's own.
            stranger = await answered(desk, b'{"action": "pause", "id": "stranger"}' if serve else b"?")
            await maskcast.publish("maskcast/door/control/reply", stranger, qos=1)
            await maskcast.publish("maskcast/door/control/reply", await answered(desk, message.payload), qos=1)
            printed, _ = await control.communicate()
        assert control.returncode == 0
        return printed.decode()


async def test_control(tmp_path):
    with broker.running(tmp_path / "broker") as server:
        assert await answers(server.port, ["red car", "行人"], True) == "accepted ['red car', '行人']\n"


def published(topic):
    """Whether `topic`, which may have wildcards, is one that Maskcast has below `maskcast`, and its name."""
    for name, known in TOPICS.items():
        pattern = re.escape(topic).replace(r"\+", "[^/]+")
        if re.fullmatch(pattern, known.at("maskcast", "door")):
            return name
    return None


def event(kind, prompt):
    happened = Event(kind, 7, prompt, 0.934, Box(1, 2, 3, 4))
    result = Result(sinks_media.frame(0, sinks_media.grey(8, 8), stream="door"), (), (happened,))
    return json.loads(event_message(result, happened, EVENT_ID).json_bytes())


def entity_ids(message):
    """As Home Assistant names entities when they are new: platform, device and name."""
    return {
        f"{one['platform']}." + re.sub(r"\W+", "_", f"{message['device']['name']} {one['name']}".lower())
        for one in message["components"].values()
    }


def walk(node):
    if isinstance(node, dict):
        yield node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(value)


def home_assistant():
    return yaml.safe_load((EXAMPLES / "home_assistant.yaml").read_text(encoding="utf-8"))["automation maskcast"]


def test_home_assistant_automations_name_topics_and_entities_that_exist():
    entities = entity_ids(discovery("maskcast", "door", ["person"]))
    assert {"sensor.door_person_count", "binary_sensor.door_person", "image.door_image"} <= entities
    named, topics, requests = set(), set(), 0
    for automation in home_assistant():
        assert {"alias", "triggers", "actions"} <= set(automation)
        for part in walk(automation):
            if "topic" in part:
                topics.add(published(part["topic"]))
            if "entity_id" in part and not part["entity_id"].startswith("light."):
                named.add(part["entity_id"])
            if part.get("action") == "mqtt.publish":
                assert parse_control(part["data"]["payload"].encode()).action == "set"
                assert "retain" not in part["data"], "a retained request is ignored"
                requests += 1
    assert topics == {"events", "control"}
    assert named == {"binary_sensor.door_person"}
    assert requests == 2
    page = (EXAMPLES.parent / "docs" / "mqtt.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`((?:sensor|binary_sensor|image)\.\w+)`", page)) == entities


def test_home_assistant_reacts_to_a_started_person_and_to_nothing_else():
    [trigger] = [part for one in home_assistant() for part in walk(one) if part.get("trigger") == "mqtt"]
    [message] = [part["message"] for one in home_assistant() for part in walk(one) if "message" in part]
    environment = ImmutableSandboxedEnvironment()

    def value(seen):
        return environment.from_string(trigger["value_template"]).render(value_json=seen).strip()

    seen = event(EventKind.STARTED, "person")
    assert value(seen) == trigger["payload"]
    others = [event(kind, "person") for kind in EventKind if kind is not EventKind.STARTED]
    others += [event(EventKind.STARTED, "dog"), json.loads(shed_message("door", EVENT_ID, 3).json_bytes())]
    assert all(value(other) != trigger["payload"] for other in others)
    text = environment.from_string(message).render(trigger={"payload_json": seen})
    assert text == f"Person 7, 93 % sure, at {seen['time']}"


def test_node_red_flow_can_be_imported():
    flow = json.loads((EXAMPLES / "node_red_flow.json").read_text(encoding="utf-8"))
    nodes = {node["id"]: node for node in flow}
    assert len(nodes) == len(flow)
    [tab] = [node["id"] for node in flow if node["type"] == "tab"]
    [server] = [node["id"] for node in flow if node["type"] == "mqtt-broker"]
    known = {"mqtt in", "mqtt out", "json", "switch", "debug", "inject"}  # the nodes that every Node-RED has
    wired = set()
    for node in flow:
        if node["id"] in {tab, server}:
            continue
        assert node["type"] in known
        assert node["z"] == tab
        targets = [target for port in node["wires"] for target in port]
        assert all(nodes[target]["z"] == tab for target in targets)
        wired |= set(targets)
        if node["type"].startswith("mqtt"):
            assert node["broker"] == server
        assert bool(node["wires"]) == (node["type"] not in {"debug", "mqtt out"})
    assert {node["id"] for node in flow if "z" in node and node["type"] not in {"mqtt in", "inject"}} == wired
    assert {published(node["topic"]) for node in flow if node.get("topic")} == {"events", "control"}


def test_node_red_flow_leads_each_event_to_its_place():
    nodes = {node["id"]: node for node in json.loads((EXAMPLES / "node_red_flow.json").read_text(encoding="utf-8"))}
    [start] = [node for node in nodes.values() if node["type"] == "mqtt in"]
    [[parse]] = start["wires"]
    assert nodes[parse]["type"] == "json"
    [[switch]] = nodes[parse]["wires"]
    rules = nodes[switch]["rules"]
    assert nodes[switch]["property"] == "payload.event"
    assert nodes[switch]["outputs"] == len(rules) == len(nodes[switch]["wires"])

    def place(message):
        for rule, [target] in zip(rules, nodes[switch]["wires"], strict=True):
            if rule["t"] == "else" or (rule["t"] == "eq" and rule["v"] == message.get("event")):
                return nodes[target]["name"]
        return None

    assert place(event(EventKind.STARTED, "person")) == "an object appeared"
    assert place(event(EventKind.ENDED, "person")) == "an object is gone"
    shed = json.loads(shed_message("door", EVENT_ID, 3).json_bytes())
    for other in (event(EventKind.LOST, "person"), event(EventKind.RECOVERED, "person"), shed):
        assert place(other) == "lost, recovered, or events were shed"
    [button] = [node for node in nodes.values() if node["type"] == "inject"]
    assert button["payloadType"] == "json"
    assert parse_control(button["payload"].encode()).action == "snapshot"
