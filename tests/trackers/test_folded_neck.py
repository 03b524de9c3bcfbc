import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.necks import a_level
from trackers.folded_neck import FoldedLevel
from trackers.precision import narrow, products

CPU = torch.device("cpu")
SIZE = (5, 3)


def counted(call):
    with FlopCounterMode(display=False) as counter:
        result = call()
    return result, counter.get_total_flops()


# By width of the ViT and of the neck: where the 1x1 convolution is folded into the upsampling, as at full size, where
# into the 3x3 convolution, as in nano, and where nowhere.
@pytest.mark.parametrize(("wide", "fpn"), [(128, 32), (32, 32), (16, 32)])
@pytest.mark.parametrize("scale", [4.0, 2.0, 1.0, 0.5])
@pytest.mark.parametrize("narrower", [None, 8])
@torch.inference_mode()
def test_equals_the_level_for_fewer_products(wide, fpn, scale, narrower):
    level, after = a_level(wide, fpn, scale, narrower)
    folded = FoldedLevel(level, SIZE, after)
    pixels = torch.randn(2, wide, *SIZE)
    expected, theirs = counted(lambda: after(level(pixels)) if after else level(pixels))
    found, ours = counted(lambda: folded(pixels))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    unfoldable = scale <= 1.0 and wide > fpn and not after
    assert ours == theirs if unfoldable else ours < theirs
    if (wide, fpn, scale) == (128, 32, 2.0) and not after:
        assert ours < 0.72 * theirs, "the level that gains most at full size"


@pytest.mark.parametrize("wide", [32, 128])
@torch.inference_mode()
def test_products_are_as_narrow_as_they_are_asked_for(wide):
    level, after = a_level(wide, 32, 4.0, 8)
    pixels = torch.randn(1, wide, *SIZE)
    exact = after(level(pixels))
    folded = FoldedLevel(level, SIZE, after)
    narrow(folded, torch.bfloat16)
    with products(CPU, torch.bfloat16):
        found = folded(pixels)
    assert found.dtype == torch.bfloat16
    assert (found - exact).abs().mean() < 0.02 * exact.abs().mean()


def test_the_level_stays_as_it_is():
    level, after = a_level(32, 32, 4.0, 8)
    before = {name: value.clone() for name, value in level.state_dict().items()}
    FoldedLevel(level, SIZE, after)
    assert all(torch.equal(before[name], value) for name, value in level.state_dict().items())


def test_shapes_alone_will_do():
    level, after = a_level(32, 32, 4.0, 8)
    folded = FoldedLevel(level.to("meta"), SIZE, after.to("meta"))
    assert folded(torch.zeros(1, 32, *SIZE, device="meta")).shape == (1, 8, 20, 12)
