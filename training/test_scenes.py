"""Fast checks of the renderer: `python -m pytest training`."""

from __future__ import annotations

import numpy as np
import pytest
from batches import MAX_OBJECTS, SceneBatches
from clips import ClipRules, render_clip, render_occlusion
from prompts import CONTEXT, VOCABULARY_SIZE, Prompt, build_tokenizer, encode, random_prompt
from scenes import SHAPES, SIZE, Pose, Rules, random_look, render_scene, stencil


def test_a_seed_names_a_scene() -> None:
    first, second = (render_scene(np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.labels, second.labels)
    assert first.looks == second.looks
    assert not np.array_equal(first.image, render_scene(np.random.default_rng(6)).image)


def test_a_seed_names_a_clip() -> None:
    first, second = (render_clip(np.random.default_rng(5), ClipRules(frames=6)) for _ in range(2))
    assert np.array_equal(first.frames, second.frames)
    assert np.array_equal(first.labels, second.labels)


def test_every_object_shows_at_least_what_the_rules_promise() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        scene = render_scene(rng, Rules(objects=(3, 6), occlusion=0.5))
        assert scene.image.shape == (SIZE, SIZE, 3)
        assert set(np.unique(scene.labels)) == set(range(len(scene.looks) + 1)), "one label for each object"
        # The smallest outline, a star of 28 pixels, covers about 270 pixels whole.
        assert np.bincount(scene.labels.ravel())[1:].min() >= 60


@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_a_mask_lies_where_the_pose_says(shape: int) -> None:
    look = random_look(np.random.default_rng(0), shape, 0)
    spot = stencil(look, Pose(100.0, 80.0, 30.0, 0.7))
    assert spot is not None
    rows, columns = np.nonzero(spot.alpha > 127)
    assert abs(columns.mean() + spot.left - 100) < 2
    assert abs(rows.mean() + spot.top - 80) < 2


def test_an_object_outside_has_no_stencil() -> None:
    look = random_look(np.random.default_rng(0), 0, 0)
    assert stencil(look, Pose(-100.0, 50.0, 20.0, 0.0)) is None


def test_ids_are_kept_through_an_occlusion() -> None:
    clip, first, last = render_occlusion(np.random.default_rng(2), 60, 10)
    shown = (clip.labels == 1).sum((1, 2))
    assert last - first + 1 >= 10
    assert (shown[first : last + 1] == 0).all()
    assert shown[first - 8] > 60
    assert shown[last + 8] > 60


def test_objects_move_smoothly_under_one_label() -> None:
    rules = ClipRules(frames=20, abrupt=0.0, leaving=0.0, panels=0.0, shake=0.0)
    clip = render_clip(np.random.default_rng(9), rules)
    for label in range(1, len(clip.looks) + 1):
        centres = [np.argwhere(labels == label).mean(0) for labels in clip.labels if (labels == label).sum() > 400]
        assert all(np.abs(np.diff(centres, axis=0)).max(1) < 25)


def test_batches_keep_truth_and_picture_together_when_turned() -> None:
    batch = next(iter(SceneBatches(Rules(), 2, 1, from_clips=0.5)))
    assert batch.masks.shape[:2] == (2, MAX_OBJECTS)
    for symmetry in range(8):
        turned = batch.turned(symmetry)
        picture, place = (int(v) for v in batch.valid.nonzero()[0])
        columns = turned.masks[picture, place].amax(0).nonzero() / turned.masks.shape[-1]
        x1, _, x2, _ = turned.boxes[picture, place].tolist()
        assert abs(float(columns.min()) - x1) < 0.03
        assert abs(float(columns.max()) - x2) < 0.03


def test_the_tokenizer_ends_with_the_largest_id() -> None:
    tokenizer = build_tokenizer()
    ids, attention = encode(["the Red circles", "dragon"], tokenizer)
    assert ids.shape == (2, CONTEXT)
    assert ids.max(1).tolist() == [VOCABULARY_SIZE - 1] * 2
    assert ids.argmax(1).tolist() == [4, 2]
    assert attention.sum(1).tolist() == [5, 3]
    assert ids[1, 1] == tokenizer.unk_token_id
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_prompts_are_absent_about_as_often_as_asked() -> None:
    rng = np.random.default_rng(0)
    kinds = [(0, 0), (1, 2)]
    hits = [any(random_prompt(rng, kinds).matches(kind) for kind in kinds) for _ in range(400)]
    assert 0.6 < np.mean(hits) < 0.8


def test_every_form_of_words_is_in_the_vocabulary() -> None:
    rng, tokenizer = np.random.default_rng(0), build_tokenizer()
    for colour in (None, 3):
        for shape in (None, *range(len(SHAPES))):
            texts = [Prompt(colour, shape).random_text(rng) for _ in range(20)]
            ids, _ = encode(texts, tokenizer)
            assert not (ids == tokenizer.unk_token_id).any(), texts
