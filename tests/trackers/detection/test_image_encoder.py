import torch

from tests import tiny
from trackers.detection.image_encoder import ImageEncoder

CPU = torch.device("cpu")


@torch.inference_mode()
def test_equals_transformers_own():
    model = tiny.model()
    first = []
    layer = model.detr_encoder.layers[0]
    pixels = torch.randn(2, 3, tiny.IMAGE_SIZE, tiny.IMAGE_SIZE)
    vision = model.vision_encoder(pixels)
    # What its norm is given is what the first self-attention has made.
    with layer.layer_norm2.register_forward_pre_hook(lambda _, given: first.append(given[0])):
        model(vision_embeds=vision, text_embeds=text(2))
    found = ImageEncoder(model, CPU, torch.float32).encode(pixels)
    torch.testing.assert_close(found.tokens, vision.last_hidden_state, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.attended, first[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.coarse, vision.fpn_hidden_states[-2], atol=1e-5, rtol=1e-5)


def text(count):
    return type("Text", (), {"pooler_output": torch.randn(count, 7, tiny.HIDDEN)})


def test_positions_are_exact_whatever_the_precision():
    model = tiny.model()
    encoding = model.vision_encoder.neck.position_encoding
    side = tiny.IMAGE_SIZE // 14
    exact = encoding(torch.Size((1, tiny.HIDDEN, side, side)), CPU, torch.float32)
    positions = ImageEncoder(model, CPU, torch.bfloat16).positions
    assert torch.equal(positions, exact.flatten(2).transpose(1, 2))
