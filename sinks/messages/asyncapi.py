"""All topics in one table, and the AsyncAPI 3 document made from it: ``docs/asyncapi.yaml``.

Field names follow https://www.asyncapi.com/docs/reference/specification/v3.0.0 and its MQTT bindings 0.2.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal, get_args

from sinks.messages.frame import FileFrameMessage, FrameMessage
from sinks.messages.messages import (
    ControlMessage,
    CountsMessage,
    EventMessage,
    Message,
    ProcessMessage,
    ReplyMessage,
    ShedMessage,
    StatusMessage,
)

MESSAGES: dict[str, type[Message]] = {
    "frame": FrameMessage,
    "frame2": FileFrameMessage,
    "event": EventMessage,
    "shed": ShedMessage,
    "status": StatusMessage,
    "counts": CountsMessage,
    "control": ControlMessage,
    "reply": ReplyMessage,
    "process": ProcessMessage,
}
BINDING_VERSION = "0.2.0"


@dataclass(frozen=True)
class Topic:
    """What travels on one topic.

    Attributes:
        address: the topic, with parameters in braces.
        messages: names in `MESSAGES`; none for an image in JPEG.
        qos: MQTT quality of service with which Maskcast publishes or subscribes.
        retain: whether the broker keeps the last message for those who subscribe later.
        action: seen from Maskcast, as in AsyncAPI.
        summary: what it is for, in one line.
        expiry: seconds after which the broker need not deliver a message any more (MQTT 5).
    """

    address: str
    messages: tuple[str, ...]
    qos: Literal[0, 1]
    retain: bool
    action: Literal["send", "receive"]
    summary: str
    expiry: int | None = None


TOPICS: dict[str, Topic] = {
    "tracks": Topic(
        "{prefix}/{stream}/tracks",
        ("frame", "frame2"),
        0,
        False,
        "send",
        "all visible objects with their masks, once a frame; of a source that ends, with QoS 1 and no expiry",
        expiry=10,
    ),
    "events": Topic(
        "{prefix}/{stream}/events",
        ("event", "shed"),
        1,
        False,
        "send",
        "an object appeared, was lost, came back or is gone for good; or events had to be dropped",
    ),
    "status": Topic(
        "{prefix}/{stream}/status",
        ("status",),
        1,
        True,
        "send",
        "whether the stream is being processed, why not, and which prompts are in force",
    ),
    "counts": Topic(
        "{prefix}/{stream}/counts", ("counts",), 1, True, "send", "how many objects of each prompt are visible"
    ),
    "image": Topic("{prefix}/{stream}/image", (), 0, True, "send", "a picture (JPEG), on request and now and then"),
    "control": Topic(
        "{prefix}/{stream}/control",
        ("control",),
        1,
        False,
        "receive",
        "requests: change prompts, pause, resume, snapshot",
    ),
    "reply": Topic("{prefix}/{stream}/control/reply", ("reply",), 1, False, "send", "answers to requests"),
    "process": Topic("{prefix}/status", ("process",), 1, True, "send", "whether the process runs, and its streams"),
}

_PARAMETERS = {
    "prefix": "The path of the MQTT URL; `maskcast` by default. It may have several levels.",
    "stream": "Id of the stream; one level of the topic.",
}


def schema_id(name: str) -> str:
    """Format and version of a message in `MESSAGES`, as its field ``schema`` has it."""
    [identity] = get_args(MESSAGES[name].model_fields["schema_"].annotation)
    return str(identity)


def retained_topics(prefix: str, stream: str) -> list[str]:
    """All topics on which the broker keeps something of a stream."""
    return [
        topic.address.format(prefix=prefix, stream=stream)
        for topic in TOPICS.values()
        if topic.retain and topic is not TOPICS["process"]
    ]


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI document, as what its YAML is made from."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Maskcast over MQTT",
            "version": metadata.version("maskcast"),
            "description": "What Maskcast publishes about each stream, and the requests that it takes. `send` and "
            "`receive` are seen from Maskcast: subscribe to what it sends, publish what it receives.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "plain": _server("mqtt", "1883", "Your broker, unencrypted: for one machine or a trusted network."),
            "encrypted": _server("secure-mqtt", "8883", "Your broker over TLS, its certificate verified."),
        },
        "channels": {name: _channel(topic) for name, topic in TOPICS.items()},
        "operations": {_operation_name(name, topic): _operation(name, topic) for name, topic in TOPICS.items()},
        "components": {
            "messages": {
                **{name: _message(name, message) for name, message in MESSAGES.items()},
                "jpeg": {
                    "name": "jpeg",
                    "title": "A picture",
                    "contentType": "image/jpeg",
                    "payload": {"type": "string", "format": "binary"},
                },
            },
            "parameters": {name: {"description": text} for name, text in _PARAMETERS.items()},
        },
    }


def asyncapi_text() -> str:
    """The AsyncAPI document in YAML, as the text of ``docs/asyncapi.yaml``."""
    import yaml  # a tool of the developers; nothing that runs needs it

    head = "# Generated from the types in sinks/messages: python -m sinks.messages.schema\n"
    return head + yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=120)


def _server(protocol: str, port: str, description: str) -> dict[str, Any]:
    return {
        "host": f"{{broker}}:{port}",
        "protocol": protocol,
        "protocolVersion": "5 or 3.1.1",
        "description": description,
        "variables": {"broker": {"default": "localhost", "description": "Host of the broker."}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    names = topic.messages or ("jpeg",)
    return {
        "address": topic.address,
        "description": topic.summary[0].upper() + topic.summary[1:] + ".",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "parameters": {
            name: {"$ref": f"#/components/parameters/{name}"} for name in _PARAMETERS if f"{{{name}}}" in topic.address
        },
    }


def _operation_name(name: str, topic: Topic) -> str:
    return f"{topic.action}{name.capitalize()}"


def _operation(name: str, topic: Topic) -> dict[str, Any]:
    binding: dict[str, Any] = {"qos": topic.qos}
    if topic.action == "send":
        binding["retain"] = topic.retain
    if topic.expiry is not None:
        binding["messageExpiryInterval"] = topic.expiry
    operation: dict[str, Any] = {
        "action": topic.action,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{message}"} for message in topic.messages or ("jpeg",)],
        "bindings": {"mqtt": binding | {"bindingVersion": BINDING_VERSION}},
    }
    if name == "control":
        operation["reply"] = {
            "channel": {"$ref": "#/channels/reply"},
            "messages": [{"$ref": "#/channels/reply/messages/reply"}],
        }
    return operation


def _message(name: str, message: type[Message]) -> dict[str, Any]:
    assert message.__doc__ is not None, "every message says what it is"
    return {
        "name": name,
        "title": message.__doc__.split("\n")[0].replace("``", "`"),
        # Tools that follow AsyncAPI know JSON Schema up to draft 7; in these schemas only `prefixItems` is newer.
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./schema/{name}.json"},
        },
        "bindings": {"mqtt": {"payloadFormatIndicator": 1, "bindingVersion": BINDING_VERSION}},
    }
