"""Our rules against the reference's own methods, on random numbers: more cases than clips would meet."""

from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import Sam3VideoModel

from tests import tiny
from trackers.masks import mask_iou
from trackers.memory.memory_bank import EMPTY, NEVER, MemoryBank, SlotTable
from trackers.memory.planning import Evidence, hot_start_removals, keep_alive, occlusions, plan, rivals
from trackers.overlap import without_overtaken
from trackers.rules import Rules

SEEDS = range(20)


def table_of(ids):
    parts = [
        MemoryBank((1,), max_recent=2, max_conditioning=1, dtype=torch.float32, device=torch.device("cpu"))
        for _ in range(2)
    ]
    table = SlotTable(*parts)
    return table, table.add(np.array(ids, np.int64), 0, 30)


def random_masks(rng, count, size=12):
    """Discs, some of them empty, in ever the same few places so that they overlap."""
    y, x = np.mgrid[:size, :size]
    places = rng.uniform(2, size - 2, (3, 2))
    masks = []
    for _ in range(count):
        cy, cx = places[rng.integers(3)] + rng.uniform(-1, 1, 2)
        radius = rng.choice([0, 2, 3, 4])
        masks.append(2 * (radius - np.hypot(y - cy, x - cx)) - 0.1 * (radius == 0))
    return torch.from_numpy(np.array(masks, np.float32).reshape(-1, size, size))


@pytest.mark.parametrize("seed", SEEDS)
def test_association(seed):
    rng = np.random.default_rng(seed)
    config = tiny.video_configuration(high_conf_thresh=0.6, high_iou_thresh=0.5)
    detections, tracks = int(rng.integers(0, 8)), int(rng.integers(0, 8))
    masks, known = random_masks(rng, detections), random_masks(rng, tracks)
    scores = torch.from_numpy(rng.uniform(0.5, 1, detections).astype(np.float32))
    prompts, track_prompts = (torch.from_numpy(rng.integers(0, 2, n)) for n in (detections, tracks))
    logits = rng.uniform(-1, 3, tracks).astype(np.float32)
    new, unmatched, matched, best, empty = Sam3VideoModel._associate_det_trk(
        config, masks, scores, known, list(range(tracks)), prompts, track_prompts
    )
    iou = mask_iou(masks > 0, known > 0).numpy() * (prompts[:, None] == track_prompts[None]).numpy()
    visible = (known > 0).flatten(1).any(1).numpy()
    rules = Rules.reference(config)
    evidence = Evidence(scores.numpy(), prompts.numpy(), iou, visible, logits, 0 * iou)
    decided = plan(evidence, rules, step=16)
    assert decided.new.tolist() == new
    assert np.flatnonzero(~visible).tolist() == empty
    assert set(np.flatnonzero(decided.supported).tolist()) == {track for many in matched.values() for track in many}
    reconditioned = {track: found for track, found in best.items() if logits[track] > rules.high_conf_thresh}
    assert (
        dict(zip(np.flatnonzero(decided.reconditioned), decided.reconditioned_by[decided.reconditioned], strict=True))
        == reconditioned
    )
    assert not plan(evidence, rules, step=17).reconditioned.any()
    # Where the detector did not look at frame 16, the next look makes good for it.
    late = plan(evidence, rules, step=17, last=15)
    assert late.reconditioned_by.tolist() == decided.reconditioned_by.tolist()
    assert not plan(evidence, rules, step=31, last=16).reconditioned.any()

    # Tracks that are not lost are re-identified as nothing.
    again = plan(
        evidence,
        replace(rules, reidentify_appearance=0.5),
        step=16,
    )
    assert not again.reidentified.any()
    assert again.new.tolist() == new

    table, rows = table_of(range(1, tracks + 1))
    keep_alive(evidence, rules, table, rows)
    assert np.flatnonzero(table.unmatched[rows]).tolist() == unmatched


@pytest.mark.parametrize("seed", SEEDS)
def test_hot_start_and_credit_over_many_frames(seed):
    rng = np.random.default_rng(seed)
    config = tiny.video_configuration(
        hotstart_delay=6, hotstart_unmatch_thresh=3, hotstart_dup_thresh=2, max_trk_keep_alive=5, init_trk_keep_alive=4
    )
    rules = Rules.reference(config, hot_start=6)
    theirs = {
        "obj_first_frame_idx": {},
        "unmatched_frame_inds": defaultdict(list),
        "trk_keep_alive": {},
        "overlap_pair_to_frame_inds": defaultdict(list),
        "removed_obj_ids": set(),
        "suppressed_obj_ids": defaultdict(set),
    }
    reference = SimpleNamespace(**{name: getattr(config, name) for name in config.to_dict() if "config" not in name})
    table, _ = table_of([])
    alive, removed_in_all = [], 0
    for step in range(40):
        tracks, detections = len(alive), int(rng.integers(0, 4))
        iou = rng.choice([0, 0, 0.3, 0.8], (detections, tracks)).astype(np.float32)
        visible = rng.random(tracks) < 0.8
        ids = np.array(alive, np.int64)
        unmatched = ids[visible & ~(iou >= 0.5).any(axis=0)].tolist()
        matched = {d: ids[row >= 0.1].tolist() for d, row in enumerate(iou)}
        new = [max([*alive, *theirs["removed_obj_ids"], 0]) + 1] if rng.random() < 0.4 else []
        gone, _ = Sam3VideoModel._process_hotstart(
            reference, None, step, False, matched, new, ids[~visible].tolist(), unmatched, theirs
        )
        rows = table.rows()
        evidence = Evidence(np.ones(detections), np.zeros(detections, int), iou, visible, np.ones(tracks), 0 * iou)
        keep_alive(evidence, rules, table, rows)
        ours = hot_start_removals(evidence, rules, table, rows, step)
        assert set(table.ids[rows[ours]].tolist()) == gone
        credit = [theirs["trk_keep_alive"][track] for track in alive]
        assert table.keep_alive[rows].tolist() == credit
        removed_in_all += len(gone)
        alive = [track for track in alive if track not in gone] + new
        table.keep(alive)
        table.add(np.array(new, np.int64), step, rules.init_trk_keep_alive)
    assert removed_in_all


@pytest.mark.parametrize("seed", SEEDS)
def test_occlusions(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 9))
    masks = random_masks(rng, count)
    prompts = rng.integers(0, 2, count)
    table, rows = table_of(range(1, count + 1))
    last = rng.choice([NEVER, NEVER, 3, 5, 8], count)
    table.last_occluded[rows] = last
    config = SimpleNamespace(suppress_overlapping_based_on_recent_occlusion_threshold=0.5)
    expected = np.zeros(count, bool)
    for prompt in (0, 1):
        members = np.flatnonzero(prompts == prompt)
        expected[members] = Sam3VideoModel._get_objects_to_suppress_based_on_most_recently_occluded(
            config, masks[members] > 0, torch.from_numpy(last[members]), members.tolist()
        ).numpy()
    rules = Rules(suppress_overlapping_based_on_recent_occlusion_threshold=0.5)
    visible = (masks > 0).flatten(1).any(1).numpy()
    rival = rivals(mask_iou(masks > 0, masks > 0).numpy(), prompts, rules)
    assert occlusions(rival, visible, table, rows, step=9).tolist() == expected.tolist()
    hidden = expected | ~visible
    assert table.last_occluded[rows].tolist() == np.where(hidden, 9, last).tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_overlap_in_memory(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 9))
    masks = random_masks(rng, count)
    prompts = rng.integers(0, 3, count)
    model = SimpleNamespace()
    for name in (
        "_suppress_object_pw_area_shrinkage_impl",
        "_apply_non_overlapping_constraints",
        "_suppress_shrunk_masks",
    ):
        setattr(model, name, getattr(Sam3VideoModel, name).__get__(model))
    expected = Sam3VideoModel._suppress_object_pw_area_shrinkage(model, masks[:, None], prompts.tolist())[:, 0]
    groups = [torch.from_numpy(np.flatnonzero(prompts == prompt)) for prompt in range(3)]
    assert torch.equal(without_overtaken(masks, groups), expected)


def test_an_empty_memory_bank_recalls_nothing():
    table, rows = table_of([1])
    assert (table.spatial.steps[rows] == EMPTY).all()
    assert table.spatial.recall(rows, 5).index.shape == (1, 0)


def test_each_lost_track_is_reidentified_in_one_detection_at_most():
    # Two detections resemble track 0, one track 1; a fourth belongs to track 2.
    similarity = np.array([[0.9, 0, 0], [0.8, 0, 0], [0.7, 0.65, 0], [0.95, 0, 0]], np.float32)
    iou = np.zeros((4, 3), np.float32)
    iou[3, 2] = 0.9
    scores = np.array([0.6, 0.95, 0.55, 0.9], np.float32)
    visible = np.array([False, False, True])
    evidence = Evidence(scores, np.zeros(4, np.int64), iou, visible, np.ones(3, np.float32), similarity)
    decided = plan(evidence, Rules(reidentify_appearance=0.6), step=1)
    assert decided.reidentified.tolist() == [True, True, False]
    assert decided.reconditioned_by.tolist() == [0, 2, -1]
    assert decided.reconditioned.tolist() == [True, True, False]
    assert decided.supported.tolist() == [True, True, True]
    assert decided.score.tolist() == scores[[0, 2, 3]].tolist()
    assert decided.new.tolist() == [1]
    assert decided.starts.tolist() == [1, 0, 2]
    assert not plan(evidence, Rules(reidentify_appearance=0.96), step=1).reidentified.any()
    assert plan(evidence, Rules(), step=1).new.tolist() == [1]
