"""Write what is generated under ``docs``: ``python -m sinks.messages.schema [folder]``.

That is a JSON Schema a message, the AsyncAPI document, and the tables in ``mqtt.md`` between
``<!-- generated: NAME -->`` and ``<!-- end -->``, where NAME is ``topics`` or the name of a message.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sinks.messages.asyncapi import MESSAGES, TOPICS, asyncapi_text, schema_id
from sinks.messages.messages import Message

_GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def schema_text(message: type[Message]) -> str:
    """The JSON Schema (draft 2020-12) of `message` as the text of a file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **message.model_json_schema(by_alias=True)}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def with_tables(text: str) -> str:
    """The Markdown `text` with all its generated tables renewed.

    Raises:
        KeyError: a marker names neither ``topics`` nor a message.
    """
    return _GENERATED.sub(lambda found: f"{found[1]}\n{_table(found[2])}\n{found[4]}", text)


def _table(name: str) -> str:
    if name == "topics":
        rows = [
            (
                f"`{topic.address.replace('{', '<').replace('}', '>')}`",
                "you" if topic.action == "receive" else "Maskcast",
                str(topic.qos),
                "yes" if topic.retain else "no",
                ", ".join(f"[`{schema_id(name)}`](schema/{name}.json)" for name in topic.messages) or "JPEG",
                topic.summary,
            )
            for topic in TOPICS.values()
        ]
        return _markdown(("topic", "published by", "QoS", "retained", "message", "what"), rows)
    schema = MESSAGES[name].model_json_schema(by_alias=True)
    return _markdown(("field", "type", "meaning"), list(_fields(schema, schema.get("$defs", {}), "")))


def _markdown(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


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
    if "anyOf" in schema:
        return " or ".join(_type(choice) for choice in schema["anyOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array":
        if "prefixItems" in schema:
            return f"{len(schema['prefixItems'])} {_type(schema['prefixItems'][0])}s"
        return f"array of {_type(schema['items'])}s" if "type" in schema["items"] else "array of objects"
    return str(schema["type"])


def main() -> None:
    """Write everything."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    schemas = folder / "schema"
    schemas.mkdir(parents=True, exist_ok=True)
    for name, message in MESSAGES.items():
        (schemas / f"{name}.json").write_text(schema_text(message), encoding="utf-8")
    (folder / "asyncapi.yaml").write_text(asyncapi_text(), encoding="utf-8")
    page = folder / "mqtt.md"
    if page.exists():
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
