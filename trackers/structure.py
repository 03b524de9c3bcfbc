"""Tensors in what the parts of a model hand on, which lie in tuples and dataclasses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor


def mapped(function: Callable[[Tensor], Any], value: Any) -> Any:
    """The same structure with `function` of each tensor in its place.

    Raises:
        TypeError: there is something else than tensors, None, tuples and dataclasses in it.
    """
    if isinstance(value, Tensor):
        return function(value)
    if value is None:
        return None
    if isinstance(value, (tuple, list)):
        return tuple(mapped(function, part) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{field.name: mapped(function, getattr(value, field.name)) for field in fields(value)})
    raise TypeError(f"a pass takes and gives tensors, not {type(value).__name__}")


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in a tensor, or in sequences and dataclasses of them, however deep, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors(part)
    elif is_dataclass(value):
        for field in fields(value):
            yield from tensors(getattr(value, field.name))


def filled(value: Any, given: Iterable[Tensor]) -> Any:
    """The same structure with other tensors, in order."""
    rest = iter(given)
    return mapped(lambda _: next(rest), value)


def joined(parts: Sequence[Any]) -> Any:
    """Structures of one kind, row after row."""
    return filled(parts[0], map(torch.cat, zip(*map(tensors, parts), strict=True)))


def kind(value: Any) -> Any:
    """What has to be the same for two structures to be replayed alike: everything but the number of rows; hashable."""
    return mapped(lambda tensor: (tensor.shape[1:], tensor.dtype), value)
