"""Which tracks take a detection's mask, and that all others are propagated as ever."""

from contextlib import contextmanager

import numpy as np
import pytest

from tests import tiny
from tests.lockstep import PROMPTS, Ours, scene
from tests.scripted import scripted
from trackers.memory.adaptive import PROPAGATE_EVERY, TAKING_IOU, Outlook, boxes, near, taken
from trackers.memory.planning import MASK_PROMPT_LOGIT
from trackers.rules import Rules

HERE, THERE, BESIDE = (0, 0, 10, 10), (40, 40, 50, 50), (11, 0, 21, 10)
NOWHERE = (np.nan,) * 4


def outlook(*, scores=(0.9,), prompts=((0,), (0,)), iou=((0.9,),), found=(HERE,), last=(HERE,)):
    asked, known = (np.array(part, np.int64) for part in prompts)
    return Outlook(
        np.array(scores), (asked, known), np.array(iou), np.array(found, np.float32), np.array(last, np.float32)
    )


TWO = {"prompts": ((0,), (0, 0)), "iou": ((0.9, 0.0),)}
TWICE = {"scores": (0.9, 0.1), "prompts": ((0, 0), (0,)), "iou": ((0.9,), (0.0,))}


@pytest.mark.parametrize(
    ("changed", "by"),
    [
        ({}, [0]),
        ({"scores": (0.79,)}, [-1]),
        ({"iou": ((TAKING_IOU - 0.01,),)}, [-1]),
        ({"prompts": ((1,), (0,))}, [-1]),
        ({"iou": ((0.0,),), "last": (NOWHERE,)}, [-1]),  # it was hidden
        (TWO | {"last": (HERE, THERE)}, [0, -1]),
        (TWO | {"last": (HERE, BESIDE)}, [-1, -1]),
        (TWO | {"last": (HERE, BESIDE), "prompts": ((0,), (0, 1))}, [0, -1]),  # another prompt's is no rival
        (TWICE | {"found": (HERE, THERE)}, [0]),
        (TWICE | {"found": (HERE, BESIDE)}, [-1]),
        (TWICE | {"found": (HERE, BESIDE), "prompts": ((0, 1), (0,))}, [0]),
        (TWICE | {"found": (HERE, THERE), "iou": ((0.9,), (0.01,))}, [-1]),
        (
            TWICE | {"found": (HERE, HERE), "iou": ((0.95,), (0.9,)), "scores": (0.9, 0.9), "prompts": ((0, 1), (1,))},
            [1],
        ),
        ({"scores": (), "prompts": ((), (0,)), "iou": np.zeros((0, 1)), "found": np.zeros((0, 4))}, [-1]),
        ({"prompts": ((0,), ()), "iou": np.zeros((1, 0)), "last": np.zeros((0, 4))}, []),
    ],
)
def test_only_what_is_plain_is_taken(changed, by):
    seen = outlook(**changed)
    assert taken(seen, np.zeros(len(by), np.bool_), Rules()).tolist() == by
    assert taken(seen, np.ones(len(by), np.bool_), Rules()).tolist() == [-1] * len(by), "what is due is propagated"


def test_boxes_around_masks_and_what_is_near():
    masks = np.zeros((3, 8, 12), np.bool_)
    masks[0, 2:4, 1:5], masks[1, 2:4, 7:9] = True, True
    around = boxes(masks.any(2), masks.any(1))
    assert around[:2].tolist() == [[1, 2, 5, 4], [7, 2, 9, 4]]
    assert np.isnan(around[2]).all()
    # A tenth of the width on each side: the first reaches to 5.4, the second from 6.8 on.
    assert near(around, around).tolist() == [[True, False, False], [False, True, False], [False, False, False]]
    moved = around + np.array([0, 0, 1.5, 0], np.float32)
    assert near(moved, around)[0, 1]


def disc(x, y=16.0, radius=4.0):
    row, column = np.mgrid[:32, :32]
    return (3 * (radius - np.hypot(row - y, column - x))).astype(np.float32)


@contextmanager
def counted(ours):
    """How many tracks went through the memory attention in each call."""
    calls, itself = [], ours.tracker.propagation.propagate

    def propagate(features, frames, memories):
        calls.append(len(frames))
        return itself(features, frames, memories)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ours.tracker.propagation, "propagate", propagate)
        yield calls


def play(ours, video, founds):
    """Results by frame, and the tracks propagated in each; where `founds` has None the detector does not look."""
    state, results, propagated = ours.tracker.new_state(PROMPTS), [], []
    features = [ours.text.embed(prompt).features for prompt in PROMPTS]
    with scripted(video.detector_model, features, 32) as script, counted(ours) as calls:
        for found in founds:
            script.found = found
            calls.clear()
            results += ours.step([state], scene(1), looked=found is not None)[0]
            propagated.append(sum(calls))
    return state, results, propagated


@pytest.fixture(scope="module")
def video():
    return tiny.video_model()


def rules_of(video, **changes):
    return Rules.from_config(video.config, det_nms_thresh=0.0, fill_hole_area=0, **changes)


def test_a_track_takes_its_detections_until_it_is_due_and_its_memory_stays_bounded(video):
    ours = Ours(video, rules=rules_of(video, adaptive=True))
    founds = [[[(0.9, disc(8 + 0.5 * step))], []] for step in range(PROPAGATE_EVERY)]
    state, results, propagated = play(ours, video, founds)
    due = [(step + 1) % PROPAGATE_EVERY == 0 for step in range(len(founds))]
    assert propagated == [int(one) for one in due]
    assert due[-1], "a test without a propagated frame does not show that there are any"
    expected = Ours(video, rules=rules_of(video))
    for step, (found, result) in enumerate(zip(founds, results, strict=True)):
        if not due[step]:
            assert [track.id for track in result.tracks] == [1]
            _, [alone], _ = play(expected, video, [found])  # as it would start with
            assert np.array_equal(result.tracks[0].mask.full(), alone.tracks[0].mask.full())
    table = state.table
    assert table.spatial.recall(table.rows(), state.step).used.sum() <= table.spatial.values.shape[1]
    assert state.last_masks is not None
    assert state.last_masks.ids.tolist() == table.ids[table.rows()].tolist()
    assert state.last_masks.masks.shape == (len(table), 32, 32)


def test_the_memory_of_what_is_taken_is_that_of_its_mask(video):
    """The pointer is that of a track which starts with this mask in this frame."""
    ours = Ours(video, rules=rules_of(video, adaptive=True))
    state, _, propagated = play(ours, video, [[[(0.9, disc(8))], []], [[(0.9, disc(9))], []]])
    assert propagated == [0, 0]
    fresh, _, _ = play(ours, video, [[[(0.9, disc(9))], []]])
    pointers = [one.table.pointers.values[0][one.table.pointers.steps[0] == one.step - 1] for one in (state, fresh)]
    assert np.allclose(*(pointer.numpy() for pointer in pointers), atol=1e-5)
    assert (disc(9) >= MASK_PROMPT_LOGIT).any()


def test_what_is_not_plain_is_propagated(video):
    ours = Ours(video, rules=rules_of(video, adaptive=True))
    start = [[(0.9, disc(8)), (0.9, disc(24))], []]
    _, _, propagated = play(
        ours,
        video,
        [
            *[start] * 3,
            [[(0.9, disc(8))], []],  # the second is missed
            None,  # nobody looks
            [[(0.7, disc(8))], []],  # too unsure
        ],
    )
    assert propagated == [0, 0, 0, 1, 2, 2]


def test_all_are_propagated_by_default(video):
    ours = Ours(video, rules=rules_of(video))
    state, _, propagated = play(ours, video, [[[(0.9, disc(8))], []]] * 4)
    assert propagated == [0, 1, 1, 1]
    assert state.last_masks is None


def test_a_prompt_that_goes_leaves_the_others_where_they_were(video):
    ours = Ours(video, rules=rules_of(video, adaptive=True))
    state = ours.tracker.new_state(PROMPTS)
    features = [ours.text.embed(prompt).features for prompt in PROMPTS]
    with scripted(video.detector_model, features, 32) as script, counted(ours) as calls:
        script.found = [[(0.9, disc(8))], [(0.9, disc(24))]]
        for _ in range(3):
            ours.step([state], scene(1))
        ours.tracker.set_prompts(state, PROMPTS[1:])
        [[result]] = ours.step([state], scene(1))
    assert [track.id for track in result.tracks] == [2]
    assert calls == []


def test_two_streams_together_are_each_alone(video):
    ours = Ours(video, rules=rules_of(video, adaptive=True))
    founds = [[[(0.9, disc(8))], []], [[(0.75, disc(8)), (0.9, disc(24))], []]]
    features = [ours.text.embed(prompt).features for prompt in PROMPTS]

    def run(groups):
        states, results = [ours.tracker.new_state(PROMPTS) for _ in range(2)], [[], []]
        with scripted(video.detector_model, features, 32) as script:
            for step in range(5):
                for group in groups:
                    script.found = founds[step % 2]
                    stepped = ours.step([states[which] for which in group], scene(1) * len(group))
                    for which, got in zip(group, stepped, strict=True):
                        results[which] += got
        return [[{track.id: track.mask.full() for track in result.tracks} for result in each] for each in results]

    for together, alone in zip(run([(0, 1)]), run([(0,), (1,)]), strict=True):
        for one, other in zip(together, alone, strict=True):
            assert one.keys() == other.keys()
            assert all(np.count_nonzero(one[track] ^ other[track]) <= 2 for track in one)
