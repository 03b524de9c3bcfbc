"""The published schemas, and messages held against them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from sinks.messages.message import Message
from tests.paths import ROOT


def schema(name: str) -> Any:
    """One of ``docs/schema``."""
    return json.loads((ROOT / "docs" / "schema" / f"{name}.json").read_text(encoding="utf-8"))


def validate(name: str, message: Message) -> Any:
    """A message as its subscribers read it."""
    found = json.loads(message.json_bytes())
    jsonschema.Draft202012Validator(schema(name)).validate(found)
    return found
