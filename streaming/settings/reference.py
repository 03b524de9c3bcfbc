"""Write the tables of ``docs/settings.md`` from the models: ``python -m streaming.settings.reference [file]``."""

from __future__ import annotations

import json
import sys
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ByteSize, SecretStr
from pydantic.fields import FieldInfo

from streaming.settings.problems import bounds, choices_of, shown_number
from streaming.settings.tables import (
    HttpSettings,
    LogSettings,
    ModelSettings,
    MqttSettings,
    RecordingSettings,
    StateSettings,
    StreamSettings,
    WorkerSettings,
)

TABLES: dict[str, type[BaseModel]] = {
    "[streams.NAME]": StreamSettings,
    "[streams.NAME.recording]": RecordingSettings,
    "[model]": ModelSettings,
    "[mqtt]": MqttSettings,
    "[state]": StateSettings,
    "[http]": HttpSettings,
    "[log]": LogSettings,
    "[worker]": WorkerSettings,
}
BEGIN, END = "<!-- tables: python -m streaming.settings.reference -->", "<!-- end of the tables -->"
_UNITS = (("PB", 10**15), ("MB", 10**6), ("KiB", 1 << 10))


def tables() -> str:
    """One Markdown table for each table of the settings file."""
    return "\n".join(_table(name, model) for name, model in TABLES.items())


def with_tables(text: str) -> str:
    """A document with what stands between its two marks replaced by the tables."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{rest.partition(END)[2]}"


def _table(name: str, model: type[BaseModel]) -> str:
    head = f"## `{name}`\n\n{model.__doc__}\n\n| key | value | default | |\n|---|---|---|---|\n"
    rows = [
        f"| `{key}` | {_kind(field)} | {_default(field)} | {field.description} |\n"
        for key, field in model.model_fields.items()
        if not _is_table(field.annotation)
    ]
    return head + "".join(rows)


def _kind(field: FieldInfo) -> str:
    types = _types(field.annotation)
    if choices := choices_of(field.annotation):
        named = " or ".join(f'`"{choice}"`' for choice in choices)
        return f"list of {named}" if tuple in types else named
    if bool in types:
        return "true or false"
    if tuple in types:
        return "list of strings"
    low, high = bounds(field)
    if ByteSize in types:
        return f"size, {_size(low)} to {_size(high)}"
    if int in types or float in types:
        return f"{'whole number' if int in types else 'number'}, {shown_number(low)} to {shown_number(high)}"
    return "path" if Path in types else "string"


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "**required**"
    if value is None or value == ():
        return ""
    if isinstance(value, tuple):
        return f"`{json.dumps(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, ByteSize):
        return f'`"{_size(value)}"`'
    return f'`"{value}"`' if isinstance(value, str | Path) else f"`{shown_number(value)}`"


def _types(annotation: Any) -> set[Any]:
    """The plain types in an annotation."""
    if typing.get_origin(annotation) is tuple:
        return {tuple}
    arguments = typing.get_args(annotation)
    return set().union(*map(_types, arguments)) if arguments else {annotation}


def _is_table(annotation: Any) -> bool:
    found = (one for one in _types(annotation) if isinstance(one, type))
    return any(issubclass(one, BaseModel) and not issubclass(one, SecretStr) for one in found)


def _size(value: int) -> str:
    value = int(value)
    for unit, size in _UNITS:
        if value >= size and value % size == 0:
            return f"{value // size} {unit}"
    return f"{value} bytes"


def main() -> None:
    """Bring the document up to date."""
    file = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/settings.md")
    file.write_text(with_tables(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
