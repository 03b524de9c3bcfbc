"""The memory attention against that of the reference, one object at a time."""

import pytest
import torch
from transformers import Sam3TrackerVideoConfig
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import Sam3TrackerVideoMemoryAttention

from trackers.memory.memory_attention import MemoryAttention, MemoryTokens
from trackers.rotary import Rotation

SIDE, HIDDEN, MEMORY = 4, 128, 64
FRAMES, POINTERS = 3, 5


def module(heads, hidden):
    return Sam3TrackerVideoMemoryAttention(
        Sam3TrackerVideoConfig(
            image_size=14 * SIDE,
            memory_attention_hidden_size=hidden,
            memory_attention_num_layers=2,
            memory_attention_num_attention_heads=heads,
            memory_attention_feed_forward_hidden_size=64,
            memory_attention_rope_feat_sizes=[SIDE, SIDE],
        )
    ).eval()


@pytest.fixture(scope="module", params=[1, 2], ids=["one head", "two heads"])
def reference(request):
    torch.manual_seed(0)
    made = module(request.param, HIDDEN)
    made.rotary_emb = module(1, HIDDEN // request.param).rotary_emb  # which knows nothing of heads
    for name, parameter in made.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
        else:
            torch.nn.init.normal_(parameter, float("norm" in name and "weight" in name), 0.3)
    return made


def ours(reference, dtype=torch.float32):
    cos, sin = reference.rotary_emb(torch.zeros(1), reference.position_ids)
    return MemoryAttention(reference, Rotation(cos, sin), dtype)


def drawn(count, frames=FRAMES):
    tokens = frames * SIDE * SIDE + POINTERS
    return torch.randn(1, SIDE * SIDE, HIDDEN), torch.randn(count, tokens, MEMORY), torch.randn(count, tokens, MEMORY)


def run(module, seen, values, positions, used=None):
    memory = MemoryTokens(values + positions, values, values.shape[1] - POINTERS, used)
    tokens, queries = module.before(seen)
    return module(*(part.expand(len(values), *part.shape[1:]) for part in (tokens, queries)), memory)


@torch.inference_mode()
@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)])
def test_several_objects_at_once_equal_the_reference_one_by_one(reference, dtype, off):
    seen, values, positions = drawn(2)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
        together = run(ours(reference, dtype), seen, values.to(dtype), positions)
    for row, alone in enumerate(together.float()):
        right = reference(
            seen.transpose(0, 1),
            values[row][:, None],
            None,
            positions[row][:, None],
            num_object_pointer_tokens=POINTERS,
        )
        assert (alone - right.squeeze()).abs().max() <= off


@torch.inference_mode()
def test_padding_is_not_seen(reference):
    module = ours(reference)
    seen, values, positions = drawn(2)
    used = torch.ones(values.shape[:2], dtype=torch.bool)
    used[0, SIDE * SIDE : 2 * SIDE * SIDE] = False
    padded = run(module, seen, values, positions, used)
    short = [torch.cat([part[:1, : SIDE * SIDE], part[:1, 2 * SIDE * SIDE :]], 1) for part in (values, positions)]
    assert torch.allclose(padded[:1], run(module, seen, *short), atol=1e-5)
    assert torch.allclose(padded[1:], run(module, seen, values[1:], positions[1:]), atol=1e-5)
