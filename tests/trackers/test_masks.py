import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from trackers.masks import mask_iou, non_maximum_suppression, upscale


def blob(size: int, seed: int) -> np.ndarray:
    """Smooth random logits with a few islands."""
    noise = torch.randn(1, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise - 0.6, (size, size), mode="bicubic")[0, 0].numpy()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([32, 56, 288]),
    st.tuples(st.integers(16, 400), st.integers(16, 400)),
)
def test_upscale_equals_torch_interpolate(seed, low, size):
    logits = blob(low, seed)
    expected = F.interpolate(torch.from_numpy(logits)[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    mask = upscale(logits, size)
    assert mask.size == size
    # Only pixels whose logit is zero to rounding may fall on either side.
    wrong = (mask.full() != (expected > 0).numpy()) & (expected.abs() > 1e-4).numpy()
    assert not wrong.any()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 700), st.integers(1, 400)),
    st.sampled_from([[0.0, -0.0], [3e38, -3e38], [np.inf], [-np.inf]]),
)
def test_upscale_touches_a_part_and_equals_the_whole(seed, low, size, rare):
    """To the last bit, in whichever bands it is done: up and down, in single rows and columns, at huge logits."""
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=low) - rng.uniform(-1, 3)).astype(np.float32)
    logits[rng.random(low) < 0.05] = rng.choice(rare)
    values = logits
    for axis in (1, 0):
        centres = ((np.arange(size[axis]) + 0.5) * low[axis] / size[axis] - 0.5).clip(0)
        first = centres.astype(int).clip(max=low[axis] - 1)
        weight = (centres - first).astype(np.float32)
        values = np.moveaxis(values, axis, 0)
        before, after = values[first], values[(first + 1).clip(max=low[axis] - 1)]
        with np.errstate(invalid="ignore", over="ignore"):
            values = np.moveaxis((after - before) * weight[:, None] + before, 0, axis)
    with np.errstate(invalid="ignore", over="ignore"):
        mask = upscale(logits, size)
    assert np.array_equal(mask.full(), values > 0)


def test_upscale_of_nothing_is_empty():
    mask = upscale(np.full((32, 32), -1, np.float32), (100, 200))
    assert mask.area == 0
    assert mask.crop.shape == (0, 0)
    assert not mask.full().any()


def test_mask_iou_by_counting():
    generator = torch.Generator().manual_seed(1)
    a = torch.rand(5, 9, 7, generator=generator) > 0.5
    b = torch.rand(3, 9, 7, generator=generator) > 0.5
    a[0] = False
    iou = mask_iou(a, b)
    for i in range(5):
        for j in range(3):
            union = (a[i] | b[j]).sum().item()
            assert iou[i, j].item() == pytest.approx((a[i] & b[j]).sum().item() / max(union, 1))


def test_nms_keeps_the_best_and_what_only_a_fallen_one_overlapped():
    # 0 overlaps 1, 1 overlaps 2: once 1 has fallen to 0, nothing speaks against 2.
    iou = np.array([[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]], np.float32)
    keep = non_maximum_suppression(iou, np.array([0.9, 0.8, 0.7], np.float32), 0.1)
    assert keep.tolist() == [True, False, True]
    assert non_maximum_suppression(iou, np.array([0.1, 0.8, 0.7], np.float32), 0.6).all()
