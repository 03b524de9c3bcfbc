"""What is wrong with the settings, one line a problem: which key, what was given, what is allowed, what was meant."""

from __future__ import annotations

import datetime as dt
import difflib
import typing
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from maskcast.errors import UsageError
from streaming.settings.file import MAX_PROBLEMS, dotted, shown

# Keys whose values are never quoted: they hold credentials, or may.
SECRET = frozenset({"source", "url", "username", "password"})
_KINDS = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "path_type": "a path",
    "finite_number": "a finite number",
    "byte_size": 'a size such as "500 MB" or "64 KiB"',
    "byte_size_unit": 'a size such as "500 MB" or "64 KiB"',
}


def found_problems(
    error: ValidationError, settings: type[BaseModel], document: dict[str, Any], name: str
) -> list[UsageError]:
    """The first problems, worst of them first as pydantic found them.

    Args:
        error: what pydantic says.
        settings: the model that it checked.
        document: the file as it was written, before `${NAME}` was replaced: only this is ever quoted.
        name: of the file.
    """
    found = error.errors(include_url=False, include_input=False)
    # A list of which no entry was right counts as empty to pydantic.
    inner = {detail["loc"][:end] for detail in found for end in range(len(detail["loc"]))}
    details = [detail for detail in found if detail["type"] != "too_short" or detail["loc"] not in inner]
    problems = [_problem(dict(detail), settings, document) for detail in details[:MAX_PROBLEMS]]
    if len(details) > MAX_PROBLEMS:
        problems.append(UsageError(f"and {len(details) - MAX_PROBLEMS} more problems"))
    different = {(problem.where, problem.what): problem for problem in problems}
    return [problem.at(name) for problem in different.values()]


def _problem(detail: dict[str, Any], settings: type[BaseModel], document: dict[str, Any]) -> UsageError:
    kind: str = detail["type"]
    path = tuple(part for part in detail["loc"] if part != "[key]")
    key = dotted(path)
    field = _field(settings, path)
    if kind == "extra_forbidden":
        return _unknown(path, settings)
    if kind == "missing":
        about = f" ({field.description.rstrip('.')})" if field is not None and field.description else ""
        advice = "add a table such as [streams.door]" if path == ("streams",) else None
        return UsageError(f"{key} is missing{about}", advice=advice)
    given = _given(document, path)
    context = detail.get("ctx", {})
    where, advice = f"{key}{given}", None
    if kind == "value_error":
        where = key if given.startswith(" (") else where
        what = str(context["error"])
    elif kind == "literal_error":
        choices = choices_of(field.annotation) if field is not None else []
        written = _raw(document, path)
        advice = f'write "{written}"' if str(written) in choices else _meant(written, choices)
        what = f"must be {' or '.join(choices)}"
    elif kind in _KINDS:
        what = f"must be {_KINDS[kind]}"
    elif kind in {"greater_than_equal", "less_than_equal", "less_than"}:
        what = f"must be {shown_range(field)}"
    elif kind == "prompt_type":
        what = "must be a string or a table"
    elif kind in {"too_short", "string_too_short"}:
        least = context["min_length"]
        where, what = key, "must not be empty" if least == 1 else f"must have at least {least} characters"
    elif kind in {"too_long", "string_too_long"}:
        unit = "entries" if kind == "too_long" else "characters"
        where, what = key, f"must have at most {context['max_length']} {unit}"
    else:
        what = "cannot be used here"
    return UsageError(what, where=where or None, advice=advice)


def _unknown(path: tuple[str | int, ...], settings: type[BaseModel]) -> UsageError:
    """A key that nothing reads: most likely a slip of the pen."""
    where, wrong = path[:-1], str(path[-1])
    table = _table(settings, where)
    known = list(table.model_fields) if table is not None else []
    meant = _meant(wrong, known)
    advice = "; ".join([*([meant] if meant else []), f"known are {', '.join(known)}"])
    return UsageError(f"unknown key {dotted((wrong,))}", where=dotted(where) if where else None, advice=advice)


def _meant(given: Any, known: Sequence[str]) -> str | None:
    close = difflib.get_close_matches(given[:100].lower(), known, 1, 0.6) if isinstance(given, str) else []
    return f"did you mean {close[0]}?" if close else None


def _given(document: dict[str, Any], path: tuple[str | int, ...]) -> str:
    """What the file says, if it may be quoted: ` = 99`, or `, a table,`."""
    value = _raw(document, path)
    if value is None or not path:
        return ""
    if isinstance(value, dict | list):
        return " (a table)" if isinstance(value, dict) else " (a list)"
    if not SECRET.isdisjoint(path):
        return ""
    if isinstance(value, bool):
        return f" = {str(value).lower()}"
    if isinstance(value, int | float):
        return f" = {shown_number(value)}"
    if isinstance(value, dt.date | dt.time):
        return f" = {value.isoformat()}"
    return f' = "{shown(value, 60)}"' if isinstance(value, str) else ""


def _raw(document: Any, path: Iterable[str | int]) -> Any:
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def _table(settings: type[BaseModel], path: Iterable[str | int]) -> type[BaseModel] | None:
    """The model of the table at a path."""
    annotation: Any = settings
    for part in path:
        if isinstance(part, int):  # the entry of a list
            continue
        inner = _model_in(annotation)
        if inner is None:
            return None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = inner.model_fields.get(str(part))
            annotation = field.annotation if field is not None else None
        else:  # the name within `streams`
            annotation = inner
        if not _is_map(annotation):
            annotation = _model_in(annotation)
    return _model_in(annotation) if not _is_map(annotation) else None


def _is_map(annotation: Any) -> bool:
    return typing.get_origin(annotation) is dict


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in `X`, `X | None` or `dict[str, X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := _model_in(part)) is not None), None)


def _field(settings: type[BaseModel], path: tuple[str | int, ...]) -> FieldInfo | None:
    names = list(path)
    while names and isinstance(names[-1], int):
        names.pop()
    table = _table(settings, names[:-1]) if names else None
    return table.model_fields.get(str(names[-1])) if table is not None else None


def choices_of(annotation: Any) -> list[str]:
    """The values of the `Literal` in a type; none if there is none."""
    if typing.get_origin(annotation) is typing.Literal:
        return [str(choice) for choice in typing.get_args(annotation)]
    return [choice for part in typing.get_args(annotation) for choice in choices_of(part)]


def shown_range(field: FieldInfo | None) -> str:
    """Between which numbers a value must be."""
    found = bounds(field)
    if "lt" in found:
        return f"at least {shown_number(found.get('ge'))} and below {shown_number(found['lt'])}"
    return f"from {shown_number(found.get('ge'))} to {shown_number(found.get('le'))}"


def bounds(field: FieldInfo | None) -> dict[str, Any]:
    """The lowest value (`ge`) and the highest (`le`, or `lt`), which stand beside the field or within its type."""
    found: dict[str, Any] = {}

    def look(metadata: Iterable[Any]) -> None:
        for entry in metadata:
            for bound in ("ge", "le", "lt"):
                if (value := getattr(entry, bound, None)) is not None:
                    found[bound] = value
            if isinstance(entry, FieldInfo):
                look(entry.metadata)

    def descend(annotation: Any) -> None:
        look(getattr(annotation, "__metadata__", ()))
        for part in typing.get_args(annotation):
            descend(part)

    if field is not None:
        look(field.metadata)
        descend(field.annotation)
    return found


def shown_number(value: Any) -> str:
    """A number as a person would write it."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a very large number"
    return f"{value:g}" if isinstance(value, float) else str(value)
