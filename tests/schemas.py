"""The published schemas, and messages held against them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from sinks.messages.message import Message
from tests.paths import ROOT

# By name of the file.
VALIDATORS = {
    file.stem: jsonschema.Draft202012Validator(json.loads(file.read_text(encoding="utf-8")))
    for file in (ROOT / "docs" / "schema").glob("*.json")
}
# By format and version, such as ``maskcast.frame/1``.
SCHEMAS = {one.schema["properties"]["schema"]["const"]: one for one in VALIDATORS.values()}


def validate(name: str, message: Message) -> Any:
    """A message as its subscribers read it."""
    found = json.loads(message.json_bytes())
    VALIDATORS[name].validate(found)
    return found
