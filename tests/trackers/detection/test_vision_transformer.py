import pytest
import torch
from transformers.models.sam3.modeling_sam3 import Sam3ViTModel

from tests import tiny
from trackers.detection.vision_transformer import VisionTransformer


@pytest.mark.parametrize("window", [3, 4, 8], ids=["filled up", "even", "whole"])
@torch.inference_mode()
def test_equals_transformers_own(window):
    torch.manual_seed(0)
    config = tiny.configuration().vision_config.backbone_config
    config.window_size = window
    model = Sam3ViTModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    pixels = torch.randn(2, 3, tiny.IMAGE_SIZE, tiny.IMAGE_SIZE)
    expected = model(pixels).last_hidden_state
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mine = VisionTransformer(model)
    torch.testing.assert_close(mine(pixels).flatten(1, 2), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model(pixels).last_hidden_state, expected)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_weights_are_held_once():
    model = Sam3ViTModel(tiny.configuration().vision_config.backbone_config)
    VisionTransformer(model)
    attention = model.layers[0].attention
    parts = attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight
    assert len({part.untyped_storage().data_ptr() for part in parts}) == 1
