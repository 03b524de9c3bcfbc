import numpy as np
import torch

from tests import tiny
from tests.lockstep import Ours
from trackers.nano_rules import reidentified_pairs, trimmed, within_box
from trackers.rules import Rules


def test_a_box_is_widened_by_its_margin_and_one_pixel():
    boxes = torch.tensor([[0.25, 0.5, 0.5, 0.75], [-0.5, -0.5, 1.5, 1.5], [0.8, 0.8, 0.2, 0.2]])
    inside = within_box(boxes, (40, 20), 0.2)
    rows, columns = inside[0].any(1).nonzero()[:, 0], inside[0].any(0).nonzero()[:, 0]
    # 0.25 of 20 columns and of 40 rows are 5 and 10 pixels, a fifth of them 1 and 2, and then one more.
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (5 - 1 - 1, 9 + 1 + 1, 20 - 2 - 1, 29 + 2 + 1)
    assert inside[0].sum() == 9 * 16
    assert inside[1].all()
    assert not inside[2].any(), "a box that is turned inside out holds nothing"


def test_a_detection_is_one_lost_track_at_most_and_only_if_no_track_claims_it():
    similarity = np.array([[0.9, 0.8], [0.85, 0.1], [0.95, 0.0]], np.float32)
    unclaimed = np.array([True, True, False])
    assert reidentified_pairs(similarity, unclaimed, 0.5) == [(0, 1), (1, 0)]
    assert reidentified_pairs(similarity, unclaimed, 0.88) == [(0, 0)]


def test_a_checkpoint_that_asks_for_neither_has_neither():
    video = tiny.video_model()
    rules = Rules.from_config(video.config)
    assert (rules.box_margin, rules.reidentify_appearance) == (None, None)
    assert Ours(video, rules=rules).tracker.new_table().appearance.shape[1] == 0
    asked = Ours(video, rules=Rules.from_config(video.config, reidentify_appearance=0.6))
    assert asked.tracker.new_table().appearance.shape[1] == tiny.HIDDEN


def test_masks_are_cut_off_outside_of_their_boxes_and_it_is_told_of_which_something_is_left():
    logits = torch.full((3, 20, 20), 2.0)
    logits[1, :, :12] = -1.0
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    cut, remaining = trimmed(logits, boxes, 0.0)
    assert (cut > 0).flatten(1).sum(1).tolist() == [11 * 11, 0, 11 * 11]
    assert remaining.tolist() == [True, False, True]


def test_what_is_left_of_several_matches_is_found_and_the_first_is_one_of_them():
    ours = Ours(tiny.video_model())
    detector = ours.detector
    features = detector.encode([np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)])
    embedding = ours.text.embed("person")
    detector.score_threshold, detector.nms_iou = 0.0, 0.0
    (every,) = detector.detect(features, [[embedding]])
    detector.box_margin = 100.0  # wider than the picture: all of them stay
    (found,) = detector.detect(features, [[embedding]])
    some = [int(index) for index in (every.logits > 0).flatten(1).any(1).nonzero()[:, 0]]
    assert len(some) > 1
    assert torch.equal(found.scores, every.scores[some])
    assert torch.equal(found.logits, every.logits[some])
