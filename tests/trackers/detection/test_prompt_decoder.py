from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch

from tests import tiny
from trackers.detection.image_encoder import ImageEncoder
from trackers.detection.mask_head import MaskHead
from trackers.detection.prompt_decoder import PromptDecoder

CPU = torch.device("cpu")


@pytest.mark.parametrize("count", [1, 3])
@torch.inference_mode()
def test_equals_transformers_own(count):
    """With two layers of the DETR encoder, of which the second attends to itself for each prompt."""
    model = tiny.model()
    layers = model.detr_encoder.layers
    layers.append(deepcopy(layers[0]))
    pixels = torch.randn(count, 3, tiny.IMAGE_SIZE, tiny.IMAGE_SIZE)
    text = torch.randn(count, 9, tiny.HIDDEN)
    mask = torch.arange(9) < torch.tensor([4, 9, 2])[:count, None]
    vision = model.vision_encoder(pixels)
    memories, queries = [], []
    model.mask_decoder.prompt_cross_attn_norm.register_forward_pre_hook(lambda _, given: memories.append(given[0]))
    model.mask_decoder.mask_embedder.register_forward_pre_hook(lambda _, given: queries.append(given[0]))
    expected = model(vision_embeds=vision, text_embeds=SimpleNamespace(pooler_output=text), attention_mask=mask)

    encoder = ImageEncoder(model, CPU, torch.float32)
    decoder = PromptDecoder(model, encoder.size, encoder.positions, CPU, torch.float32)
    features = encoder.encode(pixels)
    found = decoder.decode(features.attended, text, mask)
    exactly = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(
        found.scores, expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid(), **exactly
    )
    torch.testing.assert_close(found.boxes, expected.pred_boxes, **exactly)
    torch.testing.assert_close(found.queries, queries[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.memory, memories[0], atol=1e-4, rtol=1e-4)

    head = MaskHead(model, CPU, torch.float32)
    shown = head.pixels(found.memory, text, mask, head.levels(features.tokens))
    masks = head.masks(found.queries.flatten(0, 1), shown, [12] * count)
    torch.testing.assert_close(masks.view(expected.pred_masks.shape), expected.pred_masks, atol=1e-4, rtol=1e-4)
