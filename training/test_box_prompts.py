"""Prompts by example: what the rows ask, that training computes what the library does, and what the weights can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from architecture import HIDDEN
from batches import SceneBatches
from box_pass import COARSE, example_loss, free_box_encoder, prompt_tokens, word_loss, words_of_kinds
from box_prompts import MOST_BOXES, PADDING, Album, Examples, look_alikes, show
from detector_pass import TrainingHeads
from encoded_pictures import EncodedPictures, PairedScenes, has_pair
from pretrain_encoder import backbone_features
from prompts import CONTEXT, VISUAL, VISUAL_TOKEN, build_tokenizer, encode
from region_pooling import stand_in
from scenes import Rules
from torch import Tensor
from transformers import Sam3LiteTextModel, Sam3VideoModel

NANO = Path(__file__).resolve().parent.parent / "trackers" / "nano"


@pytest.fixture(scope="module")
def model() -> Sam3VideoModel:
    stand_in()
    return Sam3VideoModel.from_pretrained(NANO, dtype=torch.float32).eval()


@pytest.fixture
def detector(model: Sam3VideoModel) -> Iterator[Sam3LiteTextModel]:
    yield model.detector_model
    model.requires_grad_(False)


def encoded(detector: Sam3LiteTextModel, count: int = 8) -> EncodedPictures:
    neck = detector.vision_encoder.neck

    def features(images: Tensor) -> tuple[Tensor, ...]:
        backbone = backbone_features(detector, images)
        return neck.fpn_layers[2](backbone), backbone

    pictures = EncodedPictures(iter(PairedScenes(Rules(objects=(3, 5)), 4, 3, 0.0, 1.0)), features, count)
    for _ in range(count // 4):
        pictures.grow()
    return pictures


def test_the_oldest_pictures_make_room() -> None:
    scenes = iter(SceneBatches(Rules(), 3, 1))
    pictures = EncodedPictures(scenes, lambda images: (images[:, :1, :2, :2].float(),), 7)
    for _ in range(3):
        pictures.grow()
    assert pictures.count == 6, "a batch that does not fit begins at the front"
    assert pictures.version.tolist() == [2, 2, 2, 1, 1, 1, 0]
    assert pictures.features(0, torch.tensor([1, 4])).shape == (2, 1, 2, 2)


def test_paired_scenes_hold_two_of_a_kind() -> None:
    scenes, rng = PairedScenes(Rules(), 1, 1, 0.3, 1.0), np.random.default_rng(0)
    assert all(has_pair(scenes.scene(rng)) for _ in range(5))


def test_look_alikes_share_colour_or_shape() -> None:
    assert look_alikes([(0, 0), (0, 1), (2, 2)], (0, 0)) == [(0, 1)]
    assert look_alikes([(0, 0), (2, 2)], (0, 0)) == [(2, 2)]


def test_rows_ask_for_the_kind_in_the_box_and_not_for_what_is_ruled_out() -> None:
    rng = np.random.default_rng(4)
    left = np.arange(5) * 0.18 + 0.03
    boxes = np.stack([left, left, left + 0.15, left + 0.15], -1).astype(np.float32)
    album = Album(rng.integers(0, 2, (12, 5, 2)), np.ones((12, 5), bool), np.tile(boxes, (12, 1, 1)))
    shown = show(rng, album, 200)
    assert shown.boxes.shape == (200, MOST_BOXES, 4)
    assert ((shown.labels != PADDING).sum(1) >= 1).all()
    centres = (album.boxes[..., :2] + album.boxes[..., 2:]) / 2
    for row in range(200):
        source, target = int(shown.source[row]), int(shown.target[row])
        answer = {tuple(kind) for kind in album.kinds[target][shown.wanted[row].numpy()].tolist()}
        for box, label in zip(shown.boxes[row].numpy(), shown.labels[row].tolist(), strict=True):
            if label == PADDING:
                continue
            place = int(np.abs(centres[source] - box[:2]).sum(1).argmin())
            kind = tuple(album.kinds[source, place].tolist())
            if label == 0:
                assert kind not in answer
            elif shown.texts[row] == VISUAL:
                assert answer <= {kind}


def test_training_joins_phrase_and_boxes_as_the_library_does(detector: Sam3LiteTextModel) -> None:
    pictures, tokenizer = encoded(detector), build_tokenizer()
    rows = 3
    boxes = torch.rand(rows, MOST_BOXES, 4) * 0.3 + 0.3
    labels = torch.tensor([[1, PADDING, PADDING, PADDING], [1, 0, PADDING, PADDING], [1, 1, 0, 0]])
    number = torch.arange(rows)
    shown = Examples(number, number, boxes, labels, ["red circle", VISUAL, "stars"], torch.zeros(rows, 8), number)
    ids, attention = (torch.from_numpy(part) for part in encode(shown.texts, tokenizer, CONTEXT))
    coarse = pictures.features(COARSE, number)
    neck = detector.vision_encoder.neck
    position = neck.position_encoding(coarse.shape, coarse.device, torch.float32)
    seen: list[tuple[Tensor, Tensor]] = []
    handle = detector.detr_encoder.register_forward_pre_hook(
        lambda _module, _args, given: seen.append((given["text_features"], given["text_mask"])), with_kwargs=True
    )
    with torch.no_grad():
        tokens, mask = prompt_tokens(detector, coarse, position, ids, attention, shown)
        backbone = pictures.features(1, number)
        levels, positions = neck(backbone)
        levels = [*levels[:2], coarse, levels[3]]
        vision = type("Vision", (), {})()
        vision.fpn_hidden_states, vision.fpn_position_encoding = levels, positions
        vision.hidden_states = vision.attentions = None
        detector(
            vision_embeds=vision,
            input_ids=ids,
            attention_mask=attention,
            input_boxes=boxes,
            input_boxes_labels=labels,
        )
    handle.remove()
    assert tokens.shape == (rows, CONTEXT + MOST_BOXES + 1, HIDDEN)
    assert torch.equal(seen[0][1], mask)
    assert torch.allclose(seen[0][0], tokens, atol=1e-5)


def test_a_box_encoder_that_says_the_words_has_no_loss(detector: Sam3LiteTextModel) -> None:
    words = words_of_kinds(detector, build_tokenizer())
    assert words.shape == (6, 6, 2, HIDDEN)
    labels = torch.tensor([[1, 1, PADDING, PADDING], [1, 0, PADDING, PADDING], [0, PADDING, PADDING, PADDING]])
    kinds = torch.tensor([[2, 3], [0, 5], [-1, -1]])
    number = torch.arange(3)
    shown = Examples(number, number, torch.rand(3, 4, 4), labels, [VISUAL] * 3, torch.zeros(3, 8), kinds)
    tokens = torch.randn(3, MOST_BOXES + 1, HIDDEN)
    tokens[0, :2], tokens[0, 2] = words[2, 3]
    tokens[1, 0], tokens[1, 2] = words[0, 5]
    assert float(word_loss(tokens, shown, words)) == 0
    tokens[0, 1] += 1
    assert float(word_loss(tokens, shown, words)) > 0


def test_only_the_box_encoder_and_its_word_learn(detector: Sam3LiteTextModel) -> None:
    free = free_box_encoder(detector)
    assert {name.split(".")[0] for name in free} == {"geometry_encoder", "text_encoder"}
    pictures = encoded(detector)
    shown = show(np.random.default_rng(2), Album.of(pictures), 6)
    heads = TrainingHeads().requires_grad_(False)
    tokenizer = build_tokenizer()
    words = words_of_kinds(detector, tokenizer)
    loss, figures = example_loss(detector, heads, pictures, shown, tokenizer, words, mask_rows=2)
    loss.backward()
    assert np.isfinite(list(figures.values())).all()
    words = detector.text_encoder.embeddings.token_embedding.weight.grad
    assert words is not None
    assert words.abs().sum(1).nonzero().flatten().tolist() == [VISUAL_TOKEN]
    assert all(parameter.grad is not None for parameter in free.values())
    detector.zero_grad()
