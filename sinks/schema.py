"""Write the JSON Schemas of the published formats: ``python -m sinks.schema [folder]``, by default ``docs/schema``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sinks.messages import EventMessage, FrameMessage, Message, StatusMessage

MESSAGES: dict[str, type[Message]] = {"frame": FrameMessage, "event": EventMessage, "status": StatusMessage}


def schema_text(message: type[Message]) -> str:
    """The JSON Schema (draft 2020-12) of `message` as the text of a file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **message.model_json_schema(by_alias=True)}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write one file a message."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/schema")
    folder.mkdir(parents=True, exist_ok=True)
    for name, message in MESSAGES.items():
        (folder / f"{name}.json").write_text(schema_text(message), encoding="utf-8")


if __name__ == "__main__":
    main()
