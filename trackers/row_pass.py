"""A pass through the model that knows nothing but rows: what can be compiled once and replayed in a few sizes.

A row is a frame, a pair of frame and prompt, or a track. The first axis of every tensor that a pass takes or gives
counts rows, and each row is computed by itself, so that a pass of three rows is one of four of which the last is thrown
away. What is the same for all rows belongs to the object, and which rows there are is settled before: a pass waits for
nothing, and asks no tensor what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])

# Sizes in which passes are replayed; more rows than the largest go in several.
FRAMES = (1, 2, 4)
PROMPTS = (1, 2, 4, 8)
# Prompts that found something are few, and what is made of each is large: maps of 85 MB at full size.
FOUND = (1, 2, 4)
TRACKS = (1, 2, 4, 8, 16)

_SIZES = "row_sizes"


def row_pass(sizes: tuple[int, ...]) -> Callable[[Method], Method]:
    """Mark a method as a pass.

    Its arguments and what it returns are tensors, None, or tuples and dataclasses of these.

    Args:
        sizes: numbers of rows in which it may be replayed, ascending.
    """

    def mark(method: Method) -> Method:
        setattr(method, _SIZES, sizes)
        return method

    return mark


def passes_of(owner: object) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and sizes of the passes of an object."""
    for name in dir(type(owner)):
        sizes = getattr(getattr(type(owner), name), _SIZES, None)
        if sizes is not None:
            yield name, sizes
