import numpy as np
import pytest

from tests import tiny
from tests.lockstep import PROMPTS, Ours, blob, scene
from tests.scripted import scripted
from trackers.memory import propagation
from trackers.memory.recollection import recollections

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def video():
    return tiny.video_model()


def played(video, monkeypatch, *, together=16):
    """Masks by id of five frames of which the first three start two tracks each; the passes of the last."""
    monkeypatch.setattr(propagation, "MAX_TRACKS_A_PASS", together)
    passes, masks = [], []

    def noted(*arguments):
        passes.append(recollections(*arguments))
        return passes[-1]

    monkeypatch.setattr("trackers.memory.tracker.recollections", noted)
    ours = Ours(video, assoc_iou_thresh=0.99)
    state, rng = ours.tracker.new_state(PROMPTS), np.random.default_rng(0)
    with scripted(video.detector_model, [ours.text.embed(p).features for p in PROMPTS], 32) as script:
        for index, image in enumerate(scene(5)):
            script.found = [[(0.95, blob(rng))], [(0.9, blob(rng))]] if index < 3 else [[], []]
            [[result]] = ours.step([state], [image])
            masks.append({track.id: track.mask.full() for track in result.tracks})
    return masks, passes[-1]


def same(masks, others):
    for ours, theirs in zip(masks, others, strict=True):
        assert ours.keys() == theirs.keys()
        for track, mask in ours.items():
            assert np.count_nonzero(mask ^ theirs[track]) <= 0.01 * np.count_nonzero(mask | theirs[track])


def test_tracks_that_remember_equally_much_go_together_and_it_does_not_show(video, monkeypatch):
    whole, [one] = played(video, monkeypatch)
    assert len(whole[-1]) >= 4
    assert one.used is not None, "histories of three lengths in one pass"
    parts, passes = played(video, monkeypatch, together=2)
    assert all(part.used is None for part in passes)
    assert [part.tracks.tolist() for part in passes] == [[4, 5], [2, 3], [0, 1]]
    same(whole, parts)
