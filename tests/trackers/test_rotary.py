import pytest
import torch
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import apply_rotary_pos_emb_2d

from trackers.rotary import Rotation

PLACES, CHANNELS = 12, 16


def angles():
    phases = torch.rand(PLACES, CHANNELS // 2, generator=torch.Generator().manual_seed(0)).repeat_interleave(2, -1) * 9
    return phases.cos(), phases.sin()


def expected(vectors):
    cos, sin = angles()
    return apply_rotary_pos_emb_2d(vectors, vectors, cos, sin)[0]


@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-6), (torch.bfloat16, 0.0)])
def test_pairs_are_turned_in_place_as_the_reference_does(dtype, off):
    vectors = torch.randn(2, 3, PLACES, CHANNELS, dtype=dtype)
    right = expected(vectors)
    Rotation(*angles()).turn(vectors)
    assert (vectors - right).abs().max() <= off


def test_a_part_of_a_tensor_is_turned_and_the_rest_left():
    whole = torch.randn(2, 2 * PLACES + 3, CHANNELS)
    before = whole.clone()
    Rotation(*angles()).turn(whole[:, : 2 * PLACES].view(2, 2, PLACES, CHANNELS))
    assert torch.equal(whole[:, 2 * PLACES :], before[:, 2 * PLACES :])
    assert torch.allclose(whole[:, PLACES : 2 * PLACES], expected(before[:, PLACES : 2 * PLACES]), atol=1e-6)


def test_real_arithmetic_where_it_is_compiled_gives_the_same(monkeypatch):
    vectors = torch.randn(2, PLACES, CHANNELS)
    right = expected(vectors)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    Rotation(*angles()).turn(vectors)
    assert torch.allclose(vectors, right, atol=1e-6)
