"""The parameters of a request, checked before anything is done with them."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from maskcast.printable import check_printable

LONGEST_VALUE = 500  # characters, as many as a prompt may have


def parameters(request: web.Request, known: Iterable[str]) -> dict[str, str]:
    """Those that are given and not empty.

    Raises:
        web.HTTPBadRequest: one is not among `known`, is given twice, or is no text that a person could have written.
    """
    names = set(known)
    for name in request.query:
        if name not in names:
            raise bad(f"there is no parameter {name[:40]!a}")
        if len(request.query.getall(name)) > 1:
            raise bad(f"{name} is given twice")
        value = request.query[name]
        if len(value) > LONGEST_VALUE:
            raise bad(f"{name} has more than {LONGEST_VALUE} characters")
        try:
            check_printable(value)
        except ValueError as error:
            raise bad(f"{name} {error}") from None
    return {name: value for name, value in request.query.items() if value}


def whole_number(name: str, value: str, low: int, high: int) -> int:
    """A number from `low` to `high`.

    Raises:
        web.HTTPBadRequest: it is none.
    """
    # ASCII alone: `int` would also read other digits, signs and underscores.
    number = int(value) if value.isascii() and value.isdigit() and len(value) <= len(str(high)) else -1
    if not low <= number <= high:
        raise bad(f"{name} must be a whole number from {low} to {high}")
    return number


def bad(why: str) -> web.HTTPBadRequest:
    """A refusal, in one line."""
    return web.HTTPBadRequest(text=f"{why}\n")
