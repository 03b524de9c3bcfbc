"""docs/mqtt.md, docs/asyncapi.yaml and the examples in them say what the code does."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import jsonschema
import numpy as np
import pytest
import yaml

from docs.generate.messages import MESSAGES, SCHEMAS, schema_id
from maskcast.result import Result
from sinks.messages.downscale import downscaled
from sinks.messages.frame import frame_message
from sinks.messages.topics import TOPICS
from sinks.mqtt import home_assistant
from sinks.mqtt.control import parse_control
from streaming.zones.checks import check_places
from tests import broker
from tests.paths import ROOT
from tests.patience import patient
from tests.sinks_media import frame, grey, tracks

DOCS = ROOT / "docs"
PAGE = (DOCS / "mqtt.md").read_text(encoding="utf-8")
ASYNCAPI: dict[str, Any] = yaml.safe_load((DOCS / "asyncapi.yaml").read_text(encoding="utf-8"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def function(name: str) -> Any:
    """A function that the page shows."""
    [code] = [block for block in blocks("python") if f"def {name}(" in block]
    names: dict[str, Any] = {}
    exec(code, names)
    return names[name]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def referred(reference: str) -> Any:
    file, _, pointer = reference.partition("#")
    found: Any = json.loads((DOCS / file).read_text(encoding="utf-8")) if file else ASYNCAPI
    for part in pointer.split("/")[1:]:
        found = found[part]
    return found


def test_no_schema_lies_there_without_a_message() -> None:
    assert {path.stem for path in (DOCS / "schema").iterdir()} == set(SCHEMAS)


def test_every_topic_and_every_message_has_its_place_on_the_page() -> None:
    assert set(re.findall(r"<!-- generated: (\w+) -->", PAGE)) == {"topics", *MESSAGES}
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    for topic in TOPICS.values():
        leaf = topic.address.removeprefix("{prefix}/{stream}/").replace("{prefix}", "<prefix>")
        assert any(f"`{leaf}`" in heading for heading in headings), leaf


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert len(links) > 10
    for link in links:
        assert (DOCS / link).exists(), link


def test_the_json_examples_follow_their_schemas() -> None:
    shown = [json.loads(block.replace("5f0c…", "5f0c" * 8)) for block in blocks("json")]
    names = {schema_id(message): name for name, message in MESSAGES.items() if not name.startswith("control")}
    assert {one["schema"] for one in shown} == set(names)
    for one in shown:
        jsonschema.validate(one, referred(f"./schema/{names[one['schema']]}.json"))
    requests = [parse_control(found.encode()) for found in re.findall(r"/control -q 1 -m '(.*?)'", PAGE, re.DOTALL)]
    assert [request.action for request in requests] == ["add", "reset", "add", "places"]
    assert [[prompt.name for prompt in request.wanted()] for request in requests] == [
        ["dog"],
        [],
        ["dog", "visitor"],
        [],
    ]
    places = requests[-1].places()
    check_places(places, ["person"])
    assert [place.name for place in (*places.zones, *places.lines)] == ["gate", "door step"]


def test_all_actions_are_explained() -> None:
    actions = set(referred("./schema/control3.json")["properties"]["action"]["enum"])
    table = PAGE[PAGE.index("| `action` | what it does |") :].split("\n\n")[0]
    assert actions == set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)[1:])))


# The functions that the page shows


@pytest.mark.parametrize("downscale", [2, 3, 7])
def test_the_documented_scaling_covers_the_mask(downscale: int) -> None:
    size = (181, 321)
    some = tracks(size, 0)
    message = json.loads(frame_message(Result(frame(0, grey(*size)), tuple(some)), downscale).json_bytes())
    for track in some:
        full = function("full_size")(message, downscaled(track.mask, downscale).full())
        assert full.shape == size
        assert not (track.mask.full() & ~full).any()
        rows, columns = np.nonzero(full)
        box = track.mask.bbox
        assert rows.min() > box.y - downscale
        assert columns.max() < box.x + box.width - 1 + downscale


def test_the_documented_filter_drops_repeats_and_nothing_else() -> None:
    is_new = function("is_new")

    def event(stream: str, origin: str, number: int) -> dict[str, str]:
        return {"stream": stream, "id": f"{origin * 32}-{number}"}

    arrived = [("door", "a", n) for n in (0, 1, 1, 0, 1, 2, 9, 10, 9)] + [("yard", "a", 0), ("door", "b", 0)]
    kept = [one for one in arrived if is_new(event(*one))]
    assert kept == [("door", "a", n) for n in (0, 1, 2, 9, 10)] + [("yard", "a", 0), ("door", "b", 0)]


async def test_the_documented_access_list_keeps_requests_to_those_who_may_make_them(tmp_path: Path) -> None:
    [access] = blocks("conf")
    rules = tmp_path / "acl"
    rules.write_text(access, encoding="utf-8")
    rules.chmod(0o600)

    async def heard(port: int) -> list[str]:
        def client(name: str) -> aiomqtt.Client:
            return aiomqtt.Client("127.0.0.1", port, username=name)

        async with client("maskcast") as maskcast, client("dashboard") as dashboard, client("operator") as operator:
            await maskcast.subscribe("site/+/control", qos=1)
            await dashboard.subscribe("site/#", qos=1)
            for other in (dashboard, operator):
                for topic in ("site/door/tracks", "site/door/control", "site/door/control/reply"):
                    await other.publish(topic, str(other is operator), qos=1)
            for topic in ("site/door/control/reply", home_assistant.discovery_topic("site", "door"), "site/status"):
                await maskcast.publish(topic, "maskcast", qos=1)
            found = []
            async with asyncio.timeout(patient(10)):
                requests, everything = aiter(maskcast.messages), aiter(dashboard.messages)
                found.append(f"{(message := await anext(requests)).topic} {message.payload.decode()}")
                for _ in range(3):
                    message = await anext(everything)
                    found.append(f"{message.topic} {message.payload.decode()}")
            return found

    with broker.running(tmp_path / "broker", lines=[f"acl_file {rules}"]) as server:
        assert await heard(server.port) == [
            "site/door/control True",
            "site/door/control True",
            "site/door/control/reply maskcast",
            "site/status maskcast",
        ]


# AsyncAPI


def test_all_references_of_the_asyncapi_document_resolve() -> None:
    found = set(references(ASYNCAPI))
    assert len(found) > 30
    for reference in found:
        assert isinstance(referred(reference), dict), reference


def test_the_asyncapi_document_is_complete() -> None:
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(ASYNCAPI["info"])
    for server in ASYNCAPI["servers"].values():
        assert set(re.findall(r"\{(\w+)\}", server["host"])) == set(server["variables"])
        assert server["protocol"] in {"mqtt", "secure-mqtt"}
    assert {channel["address"] for channel in ASYNCAPI["channels"].values()} == {t.address for t in TOPICS.values()}
    for channel in ASYNCAPI["channels"].values():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel["parameters"])
    used = [operation["channel"]["$ref"].split("/")[-1] for operation in ASYNCAPI["operations"].values()]
    assert sorted(used) == sorted(ASYNCAPI["channels"]), "each channel has its one operation"
    messages = {reference for channel in ASYNCAPI["channels"].values() for reference in references(channel["messages"])}
    assert messages == {f"#/components/messages/{name}" for name in ASYNCAPI["components"]["messages"]}


def test_operations_have_the_messages_of_their_channel_and_its_delivery() -> None:
    for name, operation in ASYNCAPI["operations"].items():
        channel = operation["channel"]["$ref"]
        assert {m["$ref"] for m in operation["messages"]} == {
            f"{channel}/messages/{message}" for message in referred(channel)["messages"]
        }
        topic = TOPICS[channel.split("/")[-1]]
        assert operation["action"] == topic.action == re.match("send|receive", name)[0]  # type: ignore[index]
        binding = operation["bindings"]["mqtt"]
        assert (binding["qos"], binding.get("retain", False)) == topic.delivery[:2]
        assert binding.get("messageExpiryInterval") == (10 if name == "sendTracks" else None)
    assert ASYNCAPI["operations"]["receiveControl"]["reply"]["channel"] == {"$ref": "#/channels/reply"}


def test_payloads_are_schemas_that_accept_the_shown_messages() -> None:
    shown = {one["schema"]: one for one in (json.loads(b.replace("5f0c…", "5f0c" * 8)) for b in blocks("json"))}
    for name, message in ASYNCAPI["components"]["messages"].items():
        if name == "jpeg":
            assert message["contentType"] == "image/jpeg"
            continue
        schema = referred(message["payload"]["schema"]["$ref"])
        jsonschema.Draft202012Validator.check_schema(schema)
        example = shown.get(schema_id(MESSAGES[name]), {"schema": schema_id(MESSAGES[name]), "action": "pause"})
        jsonschema.validate(example, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**example, "more": 1}, schema)
