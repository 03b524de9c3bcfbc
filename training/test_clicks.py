"""Clicks: where they go, that training computes what the library does, and what the weights can."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from click_pass import ClickHeads, click_features, click_loss, free_decoder, pointing_loss
from click_sessions import Clicking, TrackedFrames
from clicks import NEGATIVE, POSITIVE, box_points, correction, depth, point_in
from clip_batches import clip_batches
from encoded_pictures import EncodedPictures, PairedScenes
from pretrain_encoder import backbone_features
from scenes import Rules
from torch import Tensor
from tracker_pass import decode_masks, pyramid
from transformers import Sam3VideoModel

NANO = Path(__file__).resolve().parent.parent / "trackers" / "nano"


@pytest.fixture
def model() -> Sam3VideoModel:
    return Sam3VideoModel.from_pretrained(NANO, dtype=torch.float32).requires_grad_(False).eval()


def encoded(model: Sam3VideoModel, count: int = 8) -> EncodedPictures:
    def features(images: Tensor) -> tuple[Tensor, ...]:
        backbone = backbone_features(model.detector_model, images)
        levels = pyramid(model.tracker_model, model.tracker_neck, backbone, train_fine=False)
        return levels.coarse, *levels.fine

    pictures = EncodedPictures(iter(PairedScenes(Rules(objects=(2, 4)), 4, 3, 0.0, 0.0)), features, count)
    for _ in range(count // 4):
        pictures.grow()
    return pictures


def square(top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((32, 32), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_a_click_lies_as_deep_as_asked() -> None:
    mask, rng = square(0, 4, 9), np.random.default_rng(0)
    assert depth(mask)[0, 8] == pytest.approx(1, abs=0.05), "the picture's edge is an edge"
    x, y = point_in(rng, mask, 1.0)
    assert (x, y) == ((8 + 0.5) * 7 - 0.5, (4 + 0.5) * 7 - 0.5), "in pixels of a picture of 224"
    for _ in range(20):
        x, y = point_in(rng, mask, 0.0)
        assert mask[int((y + 0.5) / 7), int((x + 0.5) / 7)]


def test_a_correction_goes_into_the_largest_mistake() -> None:
    rng = np.random.default_rng(0)
    truth = square(4, 4, 16)
    more = truth | square(22, 22, 9)
    point, label = correction(rng, more, truth, 1.0) or (None, None)
    assert label == NEGATIVE
    assert point is not None
    assert (point > 22 * 7).all()
    less = truth & ~square(4, 4, 10)
    assert (correction(rng, less, truth, 1.0) or (None, None))[1] == POSITIVE
    assert correction(rng, truth, truth, 1.0) is None


def test_a_drawn_box_is_near_the_object() -> None:
    corners = box_points(np.random.default_rng(0), square(8, 4, 16))
    assert np.abs(corners - np.array([[28, 56], [140, 168]])).max() < 0.07 * 16 * 7 + 1


def test_training_answers_clicks_as_the_library_does(model: Sam3VideoModel) -> None:
    pictures, tracker = encoded(model, 4), model.tracker_model
    rows = torch.arange(3)
    fine = pictures.features(1, rows), pictures.features(2, rows)
    coarse = click_features(tracker, pictures.features(0, rows))
    points = torch.rand(3, 2, 2) * 200
    labels = torch.tensor([[1, 0], [1, 1], [2, 3]])
    with torch.no_grad():
        mine = decode_masks(tracker, coarse, fine, points=points, labels=labels)
        for row in range(3):
            theirs = tracker._single_frame_forward(  # noqa: SLF001
                input_points=points[row][None, None],
                input_labels=labels[row][None, None],
                image_embeddings=[fine[0][row][None], fine[1][row][None], coarse[row][None]],
                multimask_output=False,
            )
            assert torch.allclose(theirs.pred_masks[0, 0], mine.blanked()[row], atol=1e-3)
            assert torch.allclose(theirs.object_score_logits.flatten(), mine.presence[row], atol=1e-4)


def test_sessions_go_on_from_the_mistakes(model: Sam3VideoModel) -> None:
    pictures = encoded(model)
    tracked = TrackedFrames(model, clip_batches(1, 1, 3, 2), 8, 1)
    tracked.grow(model.tracker_model)
    clicking = Clicking(np.random.default_rng(3), pictures, tracked)
    lengths = set()
    for _ in range(12):
        sessions = clicking.next(3)
        assert len({len(session.points) for session in sessions}) == 1, "equally many points, or the batch is padded"
        lengths.add(len(sessions[0].points))
        clicking.go_on(sessions, np.zeros((len(sessions), 64, 64), bool))
    assert len(lengths) > 1


def test_the_loss_begins_with_nothing_lost(model: Sam3VideoModel) -> None:
    tracker = model.tracker_model
    pictures = encoded(model)
    tracked = TrackedFrames(model, clip_batches(1, 1, 3, 2), 16, 1)
    for _ in range(3):
        tracked.grow(tracker)
    before = copy.deepcopy(tracker)
    free = free_decoder(tracker)
    clicking = Clicking(np.random.default_rng(1), pictures, tracked)
    sizes = {"rows": 3, "kept_rows": 3}
    loss, figures = click_loss(tracker, before, clicking, pictures, tracked, ClickHeads(), keep=1.0, **sizes)
    assert figures["kept_masks"] < 1e-3
    assert figures["kept_presence"] < 1e-3
    assert figures["kept_iou"] > 0.99
    loss.backward()
    assert free["no_memory_embedding"].grad is not None or figures.get("iou_tracked") is not None
    assert tracker.memory_attention.layers[0].linear1.weight.grad is None


def test_pointing_keeps_what_the_transformer_says_while_tracking(model: Sam3VideoModel) -> None:
    tracker = model.tracker_model
    pictures = encoded(model)
    tracked = TrackedFrames(model, clip_batches(1, 1, 3, 2), 16, 1)
    tracked.grow(tracker)
    before = copy.deepcopy(tracker)
    free = free_decoder(tracker)
    clicking = Clicking(np.random.default_rng(1), pictures, tracked)
    loss, figures = pointing_loss(tracker, before, clicking, pictures, tracked, ClickHeads(), rows=3, kept_rows=2)
    assert figures["kept"] == pytest.approx(0, abs=1e-6)
    loss.backward()
    assert free["no_memory_embedding"].grad is not None
    assert free["prompt_encoder.point_embed.weight"].grad is not None
