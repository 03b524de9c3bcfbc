"""The tables of ``docs/settings.md``, made from the models."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo

from docs.generate.markdown import table
from streaming.settings.problems import bounds, choices_of, shown_number, shown_range
from streaming.settings.tables import Settings

_CHOSEN = {"zones": "ZONE", "lines": "LINE"}
_UNITS = (("PB", 10**15), ("MB", 10**6), ("KiB", 1 << 10))


def settings_tables() -> str:
    """One Markdown table for each table of the settings file."""
    tables = sorted(_tables(Settings), key=lambda table: not table[0].startswith("streams."))
    return "\n".join(_table(_header(name), model) for name, model in tables)


def _tables(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """The tables within one, each with its dotted name; `NAME`, `ZONE`, `LINE` are what a user chooses, `[]` a list."""
    for key, field in model.model_fields.items():
        for inner in _entries(field.annotation):
            yield f"{path}{key}[]", inner
        for inner in _models(field.annotation):
            chosen = f".{_CHOSEN.get(key, 'NAME')}" if typing.get_origin(field.annotation) is dict else ""
            name = f"{path}{key}{chosen}"
            yield name, inner
            yield from _tables(inner, f"{name}.")


def _header(name: str) -> str:
    """As TOML writes it."""
    return f"[[{name.removesuffix('[]')}]]" if name.endswith("[]") else f"[{name}]"


def _table(name: str, model: type[BaseModel]) -> str:
    rows = [
        (f"`{key}`", _kind(field), _default(field), field.description or "")
        for key, field in model.model_fields.items()
        if not _models(field.annotation)
    ]
    return f"## `{name}`\n\n{model.__doc__}\n\n{table(('key', 'value', 'default', ''), rows)}"


def _kind(field: FieldInfo) -> str:
    types = _types(field.annotation)
    if choices := choices_of(field.annotation):
        named = " or ".join(f'`"{choice}"`' for choice in choices)
        if int in types:
            return f"{named} or whole number"
        return f"list of {named}" if tuple in types else named
    if bool in types:
        return "true or false"
    if tuple in types:
        if _entries(field.annotation):
            return "list of strings or tables"
        return "list of `[x, y]`" if _holds(float, field.annotation) else "list of strings"
    if ByteSize in types:
        found = bounds(field)
        return f"size, {_size(found['ge'])} to {_size(found['le'])}"
    if int in types or float in types:
        kind = "whole number" if int in types else "number"
        return f"{kind}, {shown_range(field).removeprefix('from ')}"
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


def _holds(kind: type, annotation: Any) -> bool:
    return annotation is kind or any(_holds(kind, part) for part in typing.get_args(annotation))


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [one for one in _types(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]


def _entries(annotation: Any) -> list[type[BaseModel]]:
    """The tables that a list may hold."""
    if typing.get_origin(annotation) is not tuple:
        return []
    return [model for part in typing.get_args(annotation) for model in _models(part)]


def _size(value: int) -> str:
    value = int(value)
    for unit, size in _UNITS:
        if value >= size and value % size == 0:
            return f"{value // size} {unit}"
    return f"{value} bytes"
