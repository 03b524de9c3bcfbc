import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from trackers.memory.components import FILLED_LOGIT, REMOVED_LOGIT, fill_holes, small_components
from trackers.overlap import SUPPRESSED_LOGIT, without_overtaken

masks = hnp.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)))


@given(masks, st.integers(1, 8))
@settings(max_examples=300, deadline=None)
def test_small_components_are_those_that_scipy_counts(array, area):
    expected = torch.zeros(array.shape, dtype=torch.bool)
    for index, mask in enumerate(array):
        labels, count = ndimage.label(mask, structure=[[1, 1, 1]] * 3)
        for label in range(1, count + 1):
            if (labels == label).sum() <= area:
                expected[index] |= torch.from_numpy(labels == label)
    found = small_components(torch.from_numpy(array), torch.full((len(array),), area), area)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("length", [15, 16, 17, 40])
def test_a_line_is_as_large_as_it_is_long(length):
    mask = torch.zeros(1, 3, 50, dtype=torch.bool)
    mask[0, 1, 5 : 5 + length] = True
    assert small_components(mask, torch.tensor([16]), 16).any() == (length <= 16)


def test_holes_are_filled_and_sprinkles_removed():
    logits = torch.full((1, 20, 20), -5.0)
    logits[0, 2:14, 2:14] = 5
    logits[0, 5:7, 5:7] = -3  # a hole of 4
    logits[0, 17, 17:19] = 2  # a sprinkle of 2
    result = fill_holes(logits, 4)
    assert (result[0, 5:7, 5:7] == FILLED_LOGIT).all()
    assert (result[0, 17, 17:19] == REMOVED_LOGIT).all()
    changed = result != logits
    assert int(changed.sum()) == 6
    assert torch.equal(fill_holes(logits, 0), logits)
    assert int((fill_holes(logits, 3) != logits).sum()) == 2


def test_a_tiny_object_is_no_sprinkle():
    logits = torch.full((1, 20, 20), -5.0)
    logits[0, 3:5, 3:5] = 5
    assert torch.equal(fill_holes(logits, 16), logits)


def test_a_mask_that_others_take_is_suppressed_and_others_stay_whole():
    logits = torch.full((3, 8, 8), -5.0)
    logits[0, :6] = 5.0
    logits[1, :4] = 4.0  # all taken by the first
    logits[2, 4:] = 6.0  # takes a third of the first
    result = without_overtaken(logits, [torch.tensor([0, 1, 2])])
    assert torch.equal(result[0], logits[0])
    assert torch.equal(result[2], logits[2])
    assert (result[1] <= SUPPRESSED_LOGIT).all()
    assert torch.equal(without_overtaken(logits, [torch.tensor([0, 2]), torch.tensor([1])]), logits)
