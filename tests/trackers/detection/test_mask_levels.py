import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tests.necks import a_level
from trackers.detection.checkpoint import load_checkpoint
from trackers.detection.detector import Detector
from trackers.detection.image_encoder import patches
from trackers.detection.mask_levels import MaskLevel, after_doubling
from trackers.precision import narrow, products

CPU = torch.device("cpu")
SIZE = (5, 3)
EXACTLY = {"atol": 1e-5, "rtol": 1e-5}


def a_convolution(channels):
    convolution = nn.Conv2d(channels, channels, 3, padding=1)
    nn.init.normal_(convolution.weight, std=convolution.weight[0].numel() ** -0.5)
    nn.init.normal_(convolution.bias)
    return convolution


def test_a_map_that_is_scaled_up_first():
    convolution, pixels = a_convolution(6), torch.randn(2, 6, *SIZE)
    expected = F.conv2d(F.interpolate(pixels, scale_factor=2, mode="nearest"), convolution.weight, padding=1)
    torch.testing.assert_close(after_doubling(convolution)(pixels), expected, **EXACTLY)


# By width of the ViT: where the 1x1 convolution of the level was folded into the upsampling, and where into the 3x3.
@pytest.mark.parametrize("wide", [128, 32])
@pytest.mark.parametrize("scale", [4.0, 2.0])
@pytest.mark.parametrize("size", [SIZE, (1, 1)])
@torch.inference_mode()
def test_equals_the_level_and_the_convolution_one_after_the_other(wide, scale, size):
    level, _ = a_level(wide, 32, scale, None)
    convolution = a_convolution(32)
    planes = torch.randn(2, wide, *size)
    expected = convolution(level(planes))
    made = MaskLevel(level, size, convolution)
    torch.testing.assert_close(made(planes), expected, **EXACTLY)
    assert made.shape == tuple(expected.shape[-2:])


@torch.inference_mode()
def test_several_prompts_cost_less_than_half_of_their_convolutions():
    """At the widths of the finest level of nano, for eight prompts."""
    level, _ = a_level(128, 128, 4.0, None)
    convolution = a_convolution(128)
    made, upward = MaskLevel(level, SIZE, convolution), after_doubling(convolution)
    planes, pixels = torch.randn(1, 128, *SIZE), torch.randn(8, 128, 2 * SIZE[0], 2 * SIZE[1])
    with FlopCounterMode(display=False) as theirs:
        convolution(F.interpolate(pixels, scale_factor=2, mode="nearest") + level(planes))
    with FlopCounterMode(display=False) as ours:
        upward(pixels).add_(made(planes))
    assert ours.get_total_flops() < 0.55 * theirs.get_total_flops()


@torch.inference_mode()
def test_products_are_as_narrow_as_they_are_asked_for():
    level, _ = a_level(128, 32, 4.0, None)
    convolution = a_convolution(32)
    planes = torch.randn(1, 128, *SIZE)
    exact = convolution(level(planes))
    made = MaskLevel(level, SIZE, convolution)
    narrow(made, torch.bfloat16)
    with products(CPU, torch.bfloat16):
        found = made(planes)
    assert found.dtype == torch.bfloat16
    assert (found - exact).abs().mean() < 0.02 * exact.abs().mean()


def test_a_narrow_detector_folds_exact_weights(tiny_checkpoint):
    """Weights are rounded once, after the folding, though the image encoder rounds those of the neck."""
    exact = load_checkpoint(str(tiny_checkpoint)).detector
    neck, decoder = exact.vision_encoder.neck, exact.mask_decoder.pixel_decoder
    expected = MaskLevel(neck.fpn_layers[1], patches(exact), decoder.conv_layers[0])
    narrow(expected, torch.bfloat16)
    detector = Detector(load_checkpoint(str(tiny_checkpoint)), CPU, torch.bfloat16)
    found = detector.mask_head._levels[0]
    assert next(iter(found.parameters())).dtype == torch.bfloat16
    for mine, other in zip(found.parameters(), expected.parameters(), strict=True):
        assert torch.equal(mine, other)
