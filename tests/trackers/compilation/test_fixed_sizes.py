"""A pass of a few lines, whose every call is written down."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from trackers.compilation.fixed_sizes import FixedSizes
from trackers.structure import tensors

pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass(frozen=True)
class Pair:
    first: Tensor
    second: Tensor | None


class Passes:
    def __init__(self):
        self.sizes = []

    def sums(self, rows, pair):
        self.sizes.append(len(rows))
        total = rows + pair.first.sum(1)
        return Pair(total, None if pair.second is None else total * pair.second.float())


def captured(call):
    """As a CUDA graph, whose replays write to one place."""
    outputs = call()

    def replay():
        for place, value in zip(tensors(outputs), tensors(call()), strict=True):
            place.copy_(value)
        return outputs

    return replay


def arguments(count, width=3, *, second=True):
    generator = torch.Generator().manual_seed(count)
    return (
        torch.randn(count, generator=generator),
        Pair(torch.randn(count, width, generator=generator), torch.arange(count) if second else None),
    )


@pytest.fixture
def prepared():
    passes = Passes()
    place = FixedSizes(passes.sums, (1, 2, 4))
    for kind in ({}, {"second": False}, {"width": 5}):
        place(*arguments(1, **kind))
    place.prepare(passes.sums, captured)
    passes.sizes.clear()
    return passes, place


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (2, [2]), (3, [4]), (4, [4]), (5, [4, 1]), (11, [4, 4, 4])])
def test_rows_are_padded_to_the_next_size_and_the_rest_is_cut_away(prepared, count, sizes):
    passes, place = prepared
    place(*arguments(4))  # what lies there must not show
    passes.sizes.clear()
    for kind in ({}, {"second": False}, {"width": 5}):
        expected = Passes().sums(*arguments(count, **kind))
        result = place(*arguments(count, **kind))
        assert torch.equal(result.first, expected.first)
        assert (result.second is None) == (expected.second is None)
        assert result.second is None or torch.equal(result.second, expected.second)
    assert passes.sizes == 3 * sizes


def test_what_was_given_out_stays_as_it_was(prepared):
    _, place = prepared
    result = place(*arguments(2))
    before = result.first.clone()
    place(*arguments(1))
    assert torch.equal(result.first, before)


@pytest.mark.parametrize("given", [arguments(0), arguments(3, width=4), arguments(3, width=2)])
def test_what_was_not_prepared_runs_as_the_method_does(prepared, given):
    passes, place = prepared
    expected = Passes().sums(*given)
    assert torch.equal(place(*given).first, expected.first)
    assert passes.sizes == [len(given[0])]


def test_a_pass_takes_nothing_but_tensors():
    place = FixedSizes(lambda rows, flag: rows if flag else -rows, (1,))
    with pytest.raises(TypeError, match="a pass takes and gives tensors, not bool"):
        place(torch.zeros(1), True)
