"""A pass in fixed sizes: rows are copied to where it reads them, up to the next size, and what it gives is cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trackers.structure import filled, joined, kind, mapped, tensors

# A call with inputs that stay where they are.
Call = Callable[[], Any]


@dataclass(frozen=True)
class _Prepared:
    """Inputs for the most rows there are, and the call for each size, which reads the first rows of them."""

    inputs: list[Tensor]
    calls: dict[int, Call]


class FixedSizes:
    """Stands in the place of a method that is marked as a pass, see `trackers.row_pass`.

    At first it notes the kinds of arguments that it sees. Once prepared for these, it runs them in fixed sizes, and all
    others as the method does.
    """

    def __init__(self, method: Callable[..., Any], sizes: Sequence[int]) -> None:
        """Take the place of `method`.

        Args:
            method: a pass.
            sizes: numbers of rows, ascending.
        """
        self.method = method
        self._sizes = tuple(sizes)
        self._kinds: dict[Any, Any] = {}  # with arguments of no rows
        self._prepared: dict[Any, _Prepared] = {}

    def __call__(self, *arguments: Any) -> Any:
        """The method's result, in tensors of its own."""
        given, found = list(tensors(arguments)), kind(arguments)
        prepared = self._prepared.get(found)
        if prepared is None or len(given[0]) == 0:
            if not self._prepared:
                self._kinds.setdefault(found, mapped(lambda rows: rows[:0].clone(), arguments))
            return self.method(*arguments)
        most = self._sizes[-1]
        parts = [
            self._run(prepared, [rows[start : start + most] for rows in given])
            for start in range(0, len(given[0]), most)
        ]
        return parts[0] if len(parts) == 1 else joined(parts)

    def _run(self, prepared: _Prepared, given: list[Tensor]) -> Any:
        count = len(given[0])
        for place, rows in zip(prepared.inputs, given, strict=True):
            place[:count].copy_(rows)
        outputs = prepared.calls[min(size for size in self._sizes if size >= count)]()
        # The next call writes over them, while another stage may still read these.
        return mapped(lambda rows: rows[:count].clone(), outputs)

    def prepare(self, function: Callable[..., Any], ready: Callable[[Call], Call]) -> None:
        """Make every kind of arguments seen so far ready in every size.

        Rows that are not given hold what was there before; they are computed and thrown away.

        Args:
            function: what runs in place of the method, compiled or not.
            ready: runs a call for the first time and gives what to call from then on.
        """
        shapes = {found: [rows.shape[1:] for rows in tensors(empty)] for found, empty in self._kinds.items()}
        places: dict[tuple[int, torch.dtype], Tensor] = {}
        prepared = {}
        for found, empty in sorted(self._kinds.items(), key=lambda item: -_numbers(item[1])):
            inputs = [self._place(places, index, rows) for index, rows in enumerate(tensors(empty))]
            alike = [other for other in shapes.values() if [*map(len, other)] == [*map(len, shapes[found])]]
            calls = {}
            for size in reversed(self._sizes):  # the largest first: the smaller ones find room in its memory
                rows = [place[:size] for place in inputs]
                _mark_what_varies(rows, alike)
                calls[size] = ready(_bound(function, filled(empty, rows)))
            prepared[found] = _Prepared(inputs, calls)
        self._prepared = prepared

    def _place(self, places: dict[tuple[int, torch.dtype], Tensor], index: int, empty: Tensor) -> Tensor:
        """Where an argument is read from: all kinds share the memory of the largest, except for small numbers."""
        shape = (self._sizes[-1], *empty.shape[1:])
        if not empty.is_floating_point():  # an index of one kind may be none of another
            return empty.new_zeros(shape)
        whole = places.setdefault((index, empty.dtype), empty.new_zeros(math.prod(shape)))
        if whole.numel() < math.prod(shape):  # a smaller kind with one larger argument
            return empty.new_zeros(shape)
        return whole[: math.prod(shape)].view(shape)


def _numbers(empty: Any) -> int:
    return sum(math.prod(rows.shape[1:]) for rows in tensors(empty))


def _bound(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Call:
    return lambda: function(*arguments)


def _mark_what_varies(given: Sequence[Tensor], alike: Sequence[Sequence[torch.Size]]) -> None:
    """Have one program compiled for all numbers of rows but one, and for all lengths that differ between kinds.

    One row stays a program of its own: it is the commonest number, and torch takes a length of one for a constant. A
    pass that asks for the number of rows, to choose a kernel by it, is compiled for each.
    """
    from torch._dynamo import maybe_mark_dynamic

    for index, rows in enumerate(given):
        if len(rows) > 1:
            maybe_mark_dynamic(rows, 0)
        for axis, lengths in enumerate(zip(*(shapes[index] for shapes in alike), strict=True), start=1):
            if len(set(lengths)) > 1:
                maybe_mark_dynamic(rows, axis)
