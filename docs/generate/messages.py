"""The JSON Schemas of the messages, and the tables of ``docs/mqtt.md``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, get_args

from docs.generate.markdown import table
from sinks.messages.message import Message
from sinks.messages.summary import SummaryMessage
from sinks.messages.topics import TOPICS


def schema_id(message: type[Message]) -> str:
    """Format and version of a message, as its field ``schema`` has it."""
    [identity] = get_args(message.model_fields["schema_"].annotation)
    return str(identity)


def message_name(message: type[Message]) -> str:
    """What a message is called among the schemas: the format, and the version if it is not the first."""
    name, _, version = schema_id(message).removeprefix("maskcast.").partition("/")
    return name if version == "1" else f"{name}{version}"


MESSAGES = {message_name(message): message for topic in TOPICS.values() for message in topic.messages}
# What has a schema: messages, and a file.
SCHEMAS: dict[str, type[Message]] = {**MESSAGES, message_name(SummaryMessage): SummaryMessage}


def schema_text(message: type[Message]) -> str:
    """The JSON Schema (draft 2020-12) of `message` as the text of a file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **message.model_json_schema(by_alias=True)}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def topics_table() -> str:
    """All topics."""
    rows = [
        (
            f"`{topic.address.replace('{', '<').replace('}', '>')}`",
            "you" if topic.action == "receive" else "Maskcast",
            str(topic.delivery.qos),
            "yes" if topic.delivery.retain else "no",
            ", ".join(f"[`{schema_id(one)}`](schema/{message_name(one)}.json)" for one in topic.messages) or "JPEG",
            topic.summary,
        )
        for topic in TOPICS.values()
    ]
    return table(("topic", "published by", "QoS", "retained", "message", "what"), rows)


def fields_table(message: type[Message]) -> str:
    """All fields of a message."""
    schema = message.model_json_schema(by_alias=True)
    return table(("field", "type", "meaning"), _fields(schema, schema.get("$defs", {}), ""))


TABLES: dict[str, Callable[[], str]] = {
    "topics": topics_table,
    **{name: partial(fields_table, message) for name, message in MESSAGES.items()},
}


def _fields(schema: dict[str, Any], definitions: dict[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    """A row for each field of an object, and for the fields of the objects in it."""
    for name, field in schema["properties"].items():
        inner = _referred(field, definitions)
        items = _referred(field.get("items", {}), definitions)
        optional = "" if name in schema["required"] else ", optional"
        yield f"`{path}{name}`", _type({**inner, **field}) + optional, field.get("description", "")
        if "properties" in inner:
            yield from _fields(inner, definitions, f"{path}{name}.")
        if "properties" in items:
            yield from _fields(items, definitions, f"{path}{name}[].")


def _referred(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = definitions[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    return found


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return "object"
    if "anyOf" in schema:
        return " or ".join(_type(choice) for choice in schema["anyOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array":
        if "prefixItems" in schema:
            return f"{len(schema['prefixItems'])} {_type(schema['prefixItems'][0])}s"
        items = schema["items"]
        return f"array of {_type(items).replace(' or ', 's or ')}s" if "$ref" not in items else "array of objects"
    return str(schema["type"])
