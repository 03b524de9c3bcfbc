"""The memory tracker beyond its reference: batching, bounds, prompts, lives, hot start."""

from contextlib import contextmanager
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
import torch

from maskcast.result import EventKind, TrackState
from tests import tiny
from tests.lockstep import PROMPTS, Ours, blob, scene
from tests.scripted import scripted
from trackers.memory.memory_bank import EMPTY
from trackers.memory.propagation import Propagated
from trackers.rules import Rules

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def video():
    return tiny.video_model()


def script_of(ours, video):
    return scripted(video.detector_model, [ours.text.embed(p).features for p in PROMPTS], 32)


def masks_of(results):
    return [{track.id: track.mask.full() for track in result.tracks} for result in results]


def test_two_streams_together_are_each_alone(video):
    ours = Ours(video)
    rng = np.random.default_rng(1)
    founds = [[[(0.9, blob(rng)), (0.9, blob(rng))], [(0.8, blob(rng))]], [[], []]]
    scenes = [scene(8, 1), scene(8, 2)]

    def run(pairs):
        """`pairs`: for each step the streams that take part; returns each stream's results."""
        states = [ours.tracker.new_state(PROMPTS), ours.tracker.new_state(PROMPTS)]
        results = [[], []]
        with script_of(ours, video) as script:
            for step, group in pairs:
                script.found = founds[step > 2 or step == 1]
                images = [scenes[stream][step] for stream in group]
                for stream, got in zip(group, ours.step([states[s] for s in group], images), strict=True):
                    results[stream] += got
        return results

    # The second stream begins later, so the two have memories of different length.
    steps = range(8)
    together = run([(s, (0, 1) if s >= 2 else (0,)) for s in steps])
    alone = run([(s, (0,)) for s in steps]), run([(s, (1,)) for s in steps if s >= 2])
    for stream in (0, 1):
        for a, b in zip(masks_of(together[stream]), masks_of(alone[stream][stream]), strict=True):
            assert a.keys() == b.keys()
            for track in a:
                assert np.count_nonzero(a[track] ^ b[track]) <= 0.01 * np.count_nonzero(a[track] | b[track])
    assert len(together[1][0].tracks) == 3


def test_nothing_grows(video):
    """The long run is `benchmarks/tracking.py --endurance`; this shows that no table grows and none is rebuilt."""
    ours = Ours(video, conditioning_pointers=2)
    state = ours.tracker.new_state(PROMPTS)
    image = scene(1)[0]
    rng = np.random.default_rng(0)
    with script_of(ours, video) as script:
        script.found = [[(0.9, blob(rng)) for _ in range(2)], [(0.9, blob(rng))]]
        ours.step([state], [image])
        script.found = [[], []]
        table = state.table
        values = table.spatial.values.data_ptr(), table.pointers.values.data_ptr()
        for _ in range(40):
            ours.step([state], [image])
    assert (table.spatial.values.data_ptr(), table.pointers.values.data_ptr()) == values
    assert len(table) == 3
    # Six recent memories and the first one; fifteen recent pointers and the first one.
    assert (table.spatial.recall(table.rows(), state.step).used.sum(axis=1) == 7).all()
    assert (table.pointers.recall(table.rows(), state.step).used.sum(axis=1) == 16).all()


@contextmanager
def told(tracker, masks):
    """Let propagation find what `masks` says: logits by track id; an absent track is empty."""

    empty = np.full((32, 32), -9, np.float32)

    def propagate(_, parts, __):
        ids = [track for part in parts for track in part.state.table.ids[part.rows].tolist()]
        logits = np.array([masks.get(track, empty) for track in ids], np.float32).reshape(-1, 32, 32)
        scores = torch.tensor([2.0 if track in masks else -2.0 for track in ids])
        return Propagated(torch.from_numpy(logits), scores, torch.zeros(len(ids), 128), torch.ones(len(ids)))

    with patch.object(tracker, "_propagate", propagate):
        yield


def play(ours, video, steps, images=None):
    """Run on told detections and masks; `steps`: for each frame the detections and the masks by track id.

    Where the detections are None, the detector does not look.
    """
    state = ours.tracker.new_state(PROMPTS)
    results, counts = [], []
    with script_of(ours, video) as script:
        for (found, masks), image in zip(steps, images or scene(1) * len(steps), strict=True):
            script.found = found
            with told(ours.tracker, masks):
                got = ours.step([state], [image], looked=found is not None)[0]
            counts.append(len(got))
            results += got
    return state, results, counts


A, B = (blob(np.random.default_rng(seed)) for seed in (0, 3))


def test_ids_begin_at_one_and_lives_follow_what_is_seen(video):
    ours = Ours(video, rules=Rules.from_config(video.config, det_nms_thresh=0.0, lost_after=0.2))
    seen = ([[(0.9, A)], []], {1: A})
    hidden = ([[], []], {})
    state, results, _ = play(ours, video, [seen] * 4 + [hidden] * 2 + [seen] + [hidden] * 8)
    events = [(i, event.kind, event.track_id) for i, result in enumerate(results) for event in result.events]
    assert events == [
        (2, EventKind.STARTED, 1),
        (4, EventKind.LOST, 1),
        (6, EventKind.RECOVERED, 1),
        (7, EventKind.LOST, 1),
        (12, EventKind.ENDED, 1),
    ]
    assert [len(result.tracks) for result in results] == [1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert len(state.table) == len(state.lifecycle) == 0


def test_a_detection_that_is_not_repeated_is_no_object(video):
    ours = Ours(video, rules=Rules.from_config(video.config, det_nms_thresh=0.0))
    state, results, _ = play(ours, video, [([[(0.9, A)], []], {}), ([[], []], {1: A})])
    assert [track.state for track in results[0].tracks] == [TrackState.TENTATIVE]
    assert results[1].tracks == ()
    assert len(state.table) == 0


def returns_as(video, images, *, place, **changes):
    """Play: A is followed, hides, and something is found at `place`, in the last of `images`."""
    ours = Ours(video, rules=Rules.from_config(video.config, det_nms_thresh=0.0, **changes))
    steps = [([[(0.9, A)], []], {1: A})] * 4 + [([[], []], {})] * 3 + [([[(0.6, place)], []], {})]
    return play(ours, video, steps, images)[:2]


def test_a_lost_track_that_memory_does_not_find_is_reidentified_by_its_appearance(video):
    images = scene(1) * 8
    state, results = returns_as(video, images, place=A, reidentify_appearance=0.9)
    assert [[track.id for track in result.tracks] for result in results] == [[1]] * 4 + [[]] * 3 + [[1]]
    assert [event.kind for event in results[-1].events] == [EventKind.RECOVERED]
    assert np.array_equal(results[-1].tracks[0].mask.full(), results[0].tracks[0].mask.full())
    # It begins anew, as a new track does: with one memory, made of the detection.
    row = state.table.rows()[0]
    fresh, _ = play(Ours(video, rules=Rules.from_config(video.config)), video, [([[(0.9, A)], []], {})])[:2]
    for bank, begun in ((state.table.spatial, fresh.table.spatial), (state.table.pointers, fresh.table.pointers)):
        kept = bank.steps[row] != EMPTY
        assert bank.steps[row][kept].tolist() == [7]
        assert bank.conditioning[row][kept].all()
        value = begun.values[fresh.table.rows()[0], np.flatnonzero(begun.steps[fresh.table.rows()[0]] != EMPTY)[0]]
        assert torch.allclose(bank.values[row, np.flatnonzero(kept)[0]], value)
    # Without the rule, a weak detection starts nothing.
    _, results = returns_as(video, images, place=A)
    assert results[-1].tracks == ()


def test_what_looks_different_is_not_reidentified(video):
    # A stands where a disc is; in another picture nothing is the same.
    state, results = returns_as(video, scene(1) * 7 + scene(1, seed=9), place=B, reidentify_appearance=0.9)
    assert results[-1].tracks == ()
    assert state.table.appearance[state.table.rows()[0]] @ state.table.appearance[
        state.table.rows()[0]
    ] == pytest.approx(1)


def test_a_track_without_detections_is_hidden_when_its_credit_is_spent(video):
    rules = Rules.from_config(video.config, det_nms_thresh=0.0, init_trk_keep_alive=4, max_trk_keep_alive=4)
    seen, alone = ([[(0.9, A)], []], {1: A}), ([[], []], {1: A})
    _, results, _ = play(Ours(video, rules=rules), video, [seen] * 3 + [alone] * 6 + [seen])
    assert [len(result.tracks) for result in results] == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    assert [event.kind for event in results[6].events] == [EventKind.LOST]
    # One more detection is a credit of 0; the next one shows it again.
    _, results, _ = play(Ours(video, rules=rules), video, [seen] * 3 + [alone] * 6 + [seen] * 3)
    assert results[-1].tracks[0].id == 1


def test_of_two_masks_on_one_object_the_recently_hidden_one_goes(video):
    ours = Ours(video)
    both = ([[(0.9, A), (0.9, B)], []], {1: A, 2: B})
    first_hidden, second_hidden, same = ({2: B}, {1: A}, {1: A, 2: A})
    none = [[], []]
    steps = [both, (none, first_hidden), (none, second_hidden), (none, same)]
    _, results, _ = play(ours, video, steps)
    # Both were hidden once; the second more recently.
    assert [[track.id for track in result.tracks] for result in results] == [[1, 2], [2], [1], [1]]


def test_removing_a_prompt_keeps_the_other_tracks(video):
    ours = Ours(video)
    images = scene(8)
    rng = np.random.default_rng(4)
    first = [[(0.9, blob(rng))], [(0.9, blob(rng)), (0.9, blob(rng))]]

    def run(change):
        state = ours.tracker.new_state(PROMPTS)
        results, events = [], []
        with script_of(ours, video) as script:
            for step, image in enumerate(images):
                script.found = first if step == 0 else [[], []]
                if step == 4 and change:
                    events = ours.tracker.set_prompts(state, (PROMPTS[1],))
                results += ours.step([state], [image])[0]
        return state, masks_of(results), events

    _, expected, _ = run(change=False)
    state, masks, events = run(change=True)
    assert [(event.kind, event.track_id) for event in events] == [(EventKind.ENDED, 1)]
    assert len(state.table) == 2
    for before, after in zip(expected[4:], masks[4:], strict=True):
        assert after.keys() == before.keys() - {1}
        # The two prompts never met in memory, so the others go on as they were.
        assert all(np.mean(after[track] ^ before[track]) < 0.01 for track in after)


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_a_frame_that_gives_no_numbers_does_not_spoil_those_that_follow(video, monkeypatch, wrong):
    ours = Ours(video)
    state = ours.tracker.new_state(PROMPTS)
    images, rng = scene(6), np.random.default_rng(4)
    encode = ours.tracker.encoder.encode
    with script_of(ours, video) as script:
        script.found = [[(0.9, blob(rng))], [(0.9, blob(rng))]]
        ours.step([state], [images[0]])
        script.found = [[], []]
        monkeypatch.setattr(ours.tracker.encoder, "encode", lambda *inputs: encode(*inputs) * wrong)
        ours.step([state], [images[1]])
        monkeypatch.undo()
        for image in images[2:]:
            ours.step([state], [image])
    assert len(state.table) == 2
    for bank in (state.table.spatial, state.table.pointers):
        assert bool((bank.values.abs() < 1e4).all()), "also what is finite only because it was cut off"


def test_more_objects_than_tracks_keeps_the_most_certain(video):
    ours = Ours(video, max_tracks=3)
    state = ours.tracker.new_state(PROMPTS)
    rng = np.random.default_rng(5)
    with script_of(ours, video) as script:
        script.found = [[(score, blob(rng)) for score in (0.9, 0.6, 0.95, 0.7, 0.8)], []]
        result = ours.step([state], [scene(1)[0]])[0][0]
    assert [round(track.score, 2) for track in result.tracks] == [0.9, 0.95, 0.8]
    assert [track.id for track in result.tracks] == [1, 2, 3]


def test_hot_start_takes_back_what_no_detection_supports(video):
    delay = 6
    ours = Ours(video, hot_start=delay, hotstart_unmatch_thresh=3)
    start = ([[(0.95, A)], [(0.9, B)]], {})
    after = ([[(0.95, A)], []], {1: A, 2: B})
    state, released, counts = play(ours, video, [start] + [after] * 13)
    assert counts == [0] * (delay - 1) + [1] * (14 - delay + 1)
    released += ours.tracker.flush(state)
    assert [result.frame.index for result in released] == list(range(14))
    assert all(a.frame.pts < b.frame.pts for a, b in pairwise(released))
    assert {track.id for result in released for track in result.tracks} == {1}
    assert [(event.kind, event.track_id) for result in released for event in result.events] == [(EventKind.STARTED, 1)]
    assert ours.tracker.flush(state) == []


def test_hot_start_takes_back_doubles(video):
    ours = Ours(video, hot_start=6, hotstart_dup_thresh=3)
    steps = [([[(0.95, A)], []], {}), ([[(0.9, B)], []], {1: A})] + [([[(0.95, A)], []], {1: A, 2: A})] * 8
    state, released, _ = play(ours, video, steps)
    released += ours.tracker.flush(state)
    assert {track.id for result in released for track in result.tracks} == {1}
    assert len(state.table) == 1


def test_frames_that_nothing_looks_at_say_nothing_about_tracks(video):
    """A tentative track is neither dropped nor confirmed, a confirmed one loses no credit and keeps its score."""
    ours = Ours(
        video, rules=Rules.from_config(video.config, det_nms_thresh=0.0, init_trk_keep_alive=3, max_trk_keep_alive=3)
    )
    found, blank, missed = ([[(0.9, A)], []], {1: A}), (None, {1: A}), ([[], []], {1: A})
    steps = [found, blank, (None, {}), found, blank, found, *[blank] * 6, missed, *[blank] * 3, missed, blank, missed]
    state, results, _ = play(ours, video, steps)
    events = [(i, event.kind) for i, result in enumerate(results) for event in result.events]
    assert events == [(5, EventKind.STARTED), (len(steps) - 1, EventKind.LOST)], "the third detection; the third miss"
    assert [len(result.tracks) for result in results] == [1, 1, 0, *[1] * (len(steps) - 4), 0]
    assert {round(track.score, 2) for result in results for track in result.tracks} == {0.9}
    assert state.table.unmatched.max() == 3


def test_frames_that_nothing_looks_at_do_not_end_a_hot_start(video):
    ours = Ours(video, hot_start=20, hotstart_unmatch_thresh=3)
    start, blank, missed = ([[(0.95, A)], []], {}), (None, {1: A}), ([[], []], {1: A})
    _, released, _ = play(ours, video, [start, *[blank] * 6, missed, missed, *[blank] * 15])
    assert {track.id for result in released for track in result.tracks} == {1}
    _, released, _ = play(ours, video, [start, *[blank] * 6, missed, missed, blank, missed, *[blank] * 15])
    assert not any(result.tracks or result.events for result in released)


def test_an_idle_stream_costs_no_tracker_pass(video):
    ours = Ours(video)
    state = ours.tracker.new_state(PROMPTS)
    with script_of(ours, video) as script, pytest.MonkeyPatch.context() as patched:
        patched.setattr(ours.tracker.propagation, "tracker_features", lambda _: pytest.fail("looked"))
        script.found = [[], []]
        result = ours.step([state], [scene(1)[0]])[0][0]
    assert result.tracks == result.events == ()
    assert state.step == 1
