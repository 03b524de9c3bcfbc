"""Models built before their weights: as torch builds them, and without its compiler."""

from contextlib import nullcontext

import pytest
import torch

from trackers.detection import checkpoint, model_size
from trackers.detection.unfilled import Unfilled


def contents():
    model = checkpoint.load_checkpoint("nano").video
    return {**model.state_dict(), **dict(model.named_buffers())}


def test_a_checkpoint_is_the_same(monkeypatch):
    before = torch.get_rng_state()
    ours = contents()
    assert torch.equal(torch.get_rng_state(), before), "nothing is drawn at random"
    for module in (checkpoint, model_size):
        monkeypatch.setattr(module, "Unfilled", nullcontext)
    theirs = contents()
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype
        assert torch.equal(ours[name], tensor), name


def test_what_is_small_is_real_and_what_is_large_takes_no_memory():
    with Unfilled(), torch.device("meta"):
        assert torch.equal(torch.arange(0, 8, 2) / 2, torch.tensor([0, 1, 2, 3], device="cpu"))
        assert torch.arange(3, dtype=torch.float16).dtype == torch.float16
        assert (2 * torch.ones((3, 1))).tolist() == [[2], [2], [2]]
        for large in (torch.arange(10**12), torch.ones(10**6, 10**6), torch.randn((10**6, 10**6)), torch.zeros(3)):
            assert large.is_meta
        weights = torch.empty(4)
        assert torch.nn.init.normal_(weights) is weights
    with Unfilled():
        assert torch.nn.init.ones_(torch.zeros(3)).tolist() == [1, 1, 1]
        assert torch.randn(3).count_nonzero() == 3


@pytest.mark.parametrize("arguments", [((),), ((2,), {"end": 7}), ((1.5,), {"end": 4}), ((5, 1, -2),), ((4,),)])
def test_ranges_are_torchs(arguments):
    places, *more = arguments
    named = more[0] if more else ({} if places else {"end": 3})
    expected = torch.arange(*places, **named)
    with Unfilled(), torch.device("meta"):
        found = torch.arange(*places, **named)
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)
