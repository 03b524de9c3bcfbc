"""The AsyncAPI 3 document, made from the table of topics: ``docs/asyncapi.yaml``.

Field names follow https://www.asyncapi.com/docs/reference/specification/v3.0.0 and its MQTT bindings 0.2.0.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any

import yaml

from docs.generate.messages import MESSAGES, message_name
from sinks.messages.message import Message
from sinks.messages.topics import TOPICS, Topic
from sinks.mqtt.broker import PORT, TLS_PORT

BINDING_VERSION = "0.2.0"

_PARAMETERS = {
    "prefix": "The path of the MQTT URL; `maskcast` by default. It may have several levels.",
    "stream": "Id of the stream; one level of the topic.",
}


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
            "plain": _server("mqtt", PORT, "Your broker, unencrypted: for one machine or a trusted network."),
            "encrypted": _server("secure-mqtt", TLS_PORT, "Your broker over TLS, its certificate verified."),
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
    head = "# Generated from the types in sinks/messages: python -m docs.generate\n"
    return head + yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=120)


def _server(protocol: str, port: int, description: str) -> dict[str, Any]:
    return {
        "host": f"{{broker}}:{port}",
        "protocol": protocol,
        "protocolVersion": "5 or 3.1.1",
        "description": description,
        "variables": {"broker": {"default": "localhost", "description": "Host of the broker."}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.address,
        "description": topic.summary[0].upper() + topic.summary[1:] + ".",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages(topic)},
        "parameters": {
            name: {"$ref": f"#/components/parameters/{name}"} for name in _PARAMETERS if f"{{{name}}}" in topic.address
        },
    }


def _messages(topic: Topic) -> list[str]:
    return [message_name(message) for message in topic.messages] or ["jpeg"]


def _operation_name(name: str, topic: Topic) -> str:
    return f"{topic.action}{name.capitalize()}"


def _operation(name: str, topic: Topic) -> dict[str, Any]:
    binding: dict[str, Any] = {"qos": topic.delivery.qos}
    if topic.action == "send":
        binding["retain"] = topic.delivery.retain
    if topic.delivery.expiry_seconds is not None:
        binding["messageExpiryInterval"] = topic.delivery.expiry_seconds
    operation: dict[str, Any] = {
        "action": topic.action,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{message}"} for message in _messages(topic)],
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
