import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.models.sam3.processing_sam3 import Sam3Processor

from maskcast.errors import UsageError
from tests import tiny
from trackers.detection.checkpoint import load_checkpoint
from trackers.detection.detector import Detector
from trackers.detection.mask_head import MaskHead
from trackers.detection.preprocess import preprocess
from trackers.detection.prompt_decoder import PromptDecoder
from trackers.detection.text import TextEncoder, cache_folder
from trackers.masks import mask_iou
from trackers.nano_rules import within_box

CPU = torch.device("cpu")
PROMPTS = ["person", "red ball", "cat", "a dog"]


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint):
    return load_checkpoint(str(tiny_checkpoint))


@pytest.fixture
def text(checkpoint):
    return TextEncoder(checkpoint, CPU, torch.float32)


def images(count):
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (90, 120 + 10 * i, 3), dtype=np.uint8) for i in range(count)]


def as_the_processor(tokenizer, prompt):
    """What `Sam3Processor` itself makes of a prompt; to make a whole one takes torchvision."""
    whole = SimpleNamespace(tokenizer=tokenizer, _resolve_text_prompts=lambda text, _: text)
    return Sam3Processor.__call__(whole, text=prompt, return_tensors="pt")


def test_equals_transformers_own_forward(checkpoint, text):
    """One prompt at a time through `Sam3LiteTextModel.forward`, against all prompts of two frames at once."""
    detector = Detector(checkpoint, CPU, torch.float32, nms_iou=0.0)
    pictures = images(2)
    embeddings = [text.embed(prompt) for prompt in PROMPTS]
    together = detector.detect(detector.encode(pictures), [embeddings, embeddings[:2]])
    for picture, found, count in zip(pictures, together, (4, 2), strict=True):
        pixels = preprocess([picture], tiny.IMAGE_SIZE, CPU, torch.float32)
        for index, prompt in enumerate(PROMPTS[:count]):
            tokens = as_the_processor(checkpoint.tokenizer, prompt)
            with torch.inference_mode():
                expected = checkpoint.detector(
                    pixel_values=pixels, input_ids=tokens.input_ids, attention_mask=tokens.attention_mask
                )
            scores = (expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid())[0]
            mine = found.prompt == index
            torch.testing.assert_close(found.scores[mine], scores[scores > 0.5], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(found.logits[mine], expected.pred_masks[0][scores > 0.5], atol=1e-3, rtol=1e-3)
    assert len(together[0]) > 0, "a test that finds nothing shows nothing"


def test_more_prompts_than_one_pass_takes_change_nothing(checkpoint, text):
    detector = Detector(checkpoint, CPU, torch.float32)
    features = detector.encode(images(1))
    embeddings = [text.embed(f"thing {i}") for i in range(11)]
    (together,) = detector.detect(features, [embeddings])
    for index, embedding in enumerate(embeddings):
        (alone,) = detector.detect(features, [[embedding]])
        torch.testing.assert_close(together.scores[together.prompt == index], alone.scores, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("threshold", "some"), [(-1.0, 5 * 12), (0.5, None), (1.0, 0)])
def test_masks_are_made_of_what_is_found_and_of_nothing_else(checkpoint, text, monkeypatch, threshold, some):
    """All queries, some and none, in frames with different numbers of prompts, against all queries' masks."""
    detector = Detector(checkpoint, CPU, torch.float32, score_threshold=threshold, nms_iou=0.0)
    made = []
    pixels = MaskHead.pixels
    monkeypatch.setattr(MaskHead, "pixels", lambda *given: made.append(len(given[1])) or pixels(*given))
    pictures, phrases = images(3), [["cat", "person"], [], ["red ball", "x" * 30, "a dog"]]
    found = detector.detect(detector.encode(pictures), [[text.embed(phrase) for phrase in one] for one in phrases])
    hits, total = 0, 0
    for picture, words, mine in zip(pictures, phrases, found, strict=True):
        pixel_values = preprocess([picture], tiny.IMAGE_SIZE, CPU, torch.float32)
        for index, phrase in enumerate(words):
            with torch.inference_mode():
                expected = checkpoint.detector(pixel_values, **as_the_processor(checkpoint.tokenizer, phrase))
            scores = (expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid())[0]
            above = scores > threshold
            hits, total = hits + bool(above.any()), total + int(above.sum())
            torch.testing.assert_close(mine.scores[mine.prompt == index], scores[above], atol=1e-5, rtol=1e-5)
            masks = mine.logits[mine.prompt == index]
            torch.testing.assert_close(masks, expected.pred_masks[0][above], atol=1e-4, rtol=1e-4)
        assert mine.prompt.tolist() == sorted(mine.prompt.tolist())
    assert sum(made) == hits, "pixels are looked at for the pairs that found something"
    assert sum(map(len, found)) == total
    assert total == some if some is not None else 0 < total < 5 * 12


def test_boxes_are_had_without_masks(checkpoint, text, monkeypatch):
    detector = Detector(checkpoint, CPU, torch.float32)
    monkeypatch.setattr(MaskHead, "pixels", None)
    (picture,) = images(1)
    scores, boxes = detector.matches(detector.encode([picture]), text.embed("cat"), 0.995)
    pixels = preprocess([picture], tiny.IMAGE_SIZE, CPU, torch.float32)
    with torch.inference_mode():
        expected = checkpoint.detector(pixels, **as_the_processor(checkpoint.tokenizer, "cat"))
    everything = (expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid())[0]
    assert 0 < len(scores) < len(everything)
    np.testing.assert_allclose(scores, everything[everything > 0.995], atol=1e-5)
    np.testing.assert_allclose(boxes, expected.pred_boxes[0][everything > 0.995], atol=1e-5)


def test_nms_leaves_no_overlap_within_a_prompt_and_ignores_other_prompts(checkpoint, text):
    detector = Detector(checkpoint, CPU, torch.float32, score_threshold=0.05, nms_iou=0.1)
    features = detector.encode(images(1))
    embedding = text.embed("cat")
    (once,) = detector.detect(features, [[embedding]])
    (twice,) = detector.detect(features, [[embedding, embedding]])
    assert len(twice) == 2 * len(once) > 0
    masks = once.logits > 0
    overlap = mask_iou(masks, masks) - torch.eye(len(once))
    assert overlap.max() <= 0.1


def test_masks_are_cut_off_outside_of_their_boxes(checkpoint, text, monkeypatch):
    whole = Detector(checkpoint, CPU, torch.float32, score_threshold=0.05, nms_iou=0.0)
    cut = Detector(checkpoint, CPU, torch.float32, score_threshold=0.05, nms_iou=0.0, box_margin=0.0)
    boxes = []
    decode, masks = PromptDecoder.decode, MaskHead.masks

    def remembering(self, *given):
        decoded = decode(self, *given)
        (found,) = (decoded.scores[0] > 0.05).nonzero(as_tuple=True)
        decoded.boxes[0, found[0]] = torch.tensor([0.9, 0.9, 0.1, 0.1])  # of this mask nothing is left
        boxes.append(decoded.boxes[0, found])
        return decoded

    def filling(self, *given):
        logits = masks(self, *given)
        logits[0] = 1.0
        return logits

    monkeypatch.setattr(PromptDecoder, "decode", remembering)
    monkeypatch.setattr(MaskHead, "masks", filling)
    features = whole.encode(images(1))
    (before,), (after,) = (one.detect(features, [[text.embed("cat")]]) for one in (whole, cut))
    inside = within_box(boxes[0], before.logits.shape[-2:], 0.0)
    expected = (before.logits > 0) & inside
    left = expected.flatten(1).any(1)
    assert 0 < left.sum() < len(before)
    assert torch.equal(after.logits > 0, expected[left])
    assert (after.logits > 0).sum() < (before.logits > 0).sum()
    assert torch.equal(after.scores, before.scores[left])


def test_no_prompts_find_nothing(checkpoint):
    detector = Detector(checkpoint, CPU, torch.float32)
    (found,) = detector.detect(detector.encode(images(1)), [[]])
    assert len(found) == 0
    assert found.logits.shape[0] == 0


def test_a_prompt_is_encoded_once_even_by_the_next_process(checkpoint, text):
    first = text.embed("red ball")
    assert text.embed("  red ball ") is first
    assert text.encoded == 1
    later = TextEncoder(checkpoint, CPU, torch.float32)
    assert torch.equal(later.embed("red ball").features, first.features)
    assert later.encoded == 0


def of_another_width(file):
    kept = load_file(file)
    save_file(kept | {"features": kept["features"][:, :-1].contiguous()}, file)


def of_no_numbers(file):
    kept = load_file(file)
    save_file(kept | {"features": kept["features"] * float("nan")}, file)


def of_another_type(file):
    kept = load_file(file)
    save_file(kept | {"mask": kept["mask"].float()}, file)


def too_large(file):
    with file.open("r+b") as opened:
        opened.truncate(1 << 40)  # a hole, which takes no room


def a_pipe(file):
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b"not safetensors"),
        of_another_width,
        of_no_numbers,
        of_another_type,
        too_large,
        a_pipe,
    ],
)
def test_a_damaged_cache_file_is_computed_again(checkpoint, text, damage):
    first = text.embed("cat")
    (file,) = cache_folder().rglob("*.safetensors")
    damage(file)
    later = TextEncoder(checkpoint, CPU, torch.float32)
    assert torch.equal(later.embed("cat").features, first.features)
    assert later.encoded == 1


def test_prompts_of_strangers_do_not_fill_the_disk(checkpoint, monkeypatch):
    monkeypatch.setattr(TextEncoder, "_CAPACITY", 3)
    text = TextEncoder(checkpoint, CPU, torch.float32)
    for prompt in ("cat", "dog", "red ball", "car", "tree"):
        text.embed(prompt)
    assert len(list(cache_folder().rglob("*"))) == 1 + 3, "the checkpoint's folder, and the newest three"
    later = TextEncoder(checkpoint, CPU, torch.float32)
    for prompt in ("tree", "car", "red ball"):
        later.embed(prompt)
    assert later.encoded == 0


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(checkpoint, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    text = TextEncoder(checkpoint, CPU, torch.float32)
    assert text.embed("cat").features.shape == (32, tiny.HIDDEN)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("x" * 31, r"too long: 33 tokens, the context is 32 .*set context_tokens to 77"),
    ],
)
def test_prompts_that_cannot_be_read(text, prompt, message):
    with pytest.raises(UsageError, match=message) as caught:
        text.embed(prompt)
    assert "\n" not in str(caught.value)


def test_the_longest_prompt_that_fits_is_read_whole(text):
    assert text.embed("x" * 30).mask.all()


def test_half_precision_keeps_the_positions_exact_and_finds_the_same(tiny_checkpoint):
    """What runs on a GPU, on the CPU: products in bfloat16, all else in float32, rotary frequencies and norms too."""
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        checkpoint = load_checkpoint(str(tiny_checkpoint))
        text = TextEncoder(checkpoint, CPU, torch.float32)
        detector = Detector(checkpoint, CPU, dtype, score_threshold=0.0, nms_iou=0.0)
        buffers = dict(checkpoint.detector.vision_encoder.named_buffers())
        assert all(buffer.dtype == torch.float32 for buffer in buffers.values())
        parameters = dict(checkpoint.detector.vision_encoder.named_parameters())
        assert parameters["backbone.layers.0.mlp.fc1.weight"].dtype == dtype
        assert parameters["backbone.layers.0.layer_norm1.weight"].dtype == torch.float32
        found.append(detector.detect(detector.encode(images(1)), [[text.embed("cat")]])[0])
    exact, rounded = found
    assert len(exact) == len(rounded) > 0
    assert (exact.scores - rounded.scores).abs().mean() < 0.02
