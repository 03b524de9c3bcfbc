"""How often a frame waits for the device: for scores, for overlaps of what a prompt found, and to be decided about."""

import numpy as np
import pytest
import torch

from tests import tiny
from tests.dispatch import Dispatched
from tests.frames import frame
from tests.lockstep import PROMPTS, Ours, blob, scene
from tests.scripted import scripted
from trackers.detection import detector
from trackers.memory import tracker

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def video():
    return tiny.video_model(recondition_every_nth_frame=2, high_iou_thresh=0.0, high_conf_thresh=0.5)


def test_following_waits_once_whatever_happens(video):
    """Frames in which tracks start, are renewed, and just go on; several streams, so that their histories differ."""
    ours = Ours(video)
    states = [ours.tracker.new_state(PROMPTS) for _ in range(2)]
    embedded = [ours.text.embed(prompt) for prompt in PROMPTS]
    rng = np.random.default_rng(0)
    waits = []
    with scripted(video.detector_model, [text.features for text in embedded], 32) as script:
        for index, image in enumerate(scene(5)):
            script.found = [[], []]
            if index % 2 == 0:
                script.found = [[(0.95, blob(rng)), (0.9, blob(rng))], [(0.9, blob(rng))]]
            count = 1 + (index > 0)
            features = ours.detector.encode([image] * count)
            found = ours.detector.detect(features, [embedded] * count)
            frames = [frame(states[0].step, image)] * count
            with Dispatched(tracker) as dispatched:
                ours.tracker.follow(states[:count], frames, found, features)
            waits.append(dispatched.waits)
    assert waits == [1] * 5
    assert any(state.table.spatial.conditioning.sum(axis=1).max() > 1 for state in states), "one was renewed"


@pytest.mark.parametrize(("threshold", "waits"), [(0.0, 2), (1.0, 1)], ids=["much is found", "nothing is"])
def test_detecting_waits_for_scores_and_for_overlaps(video, threshold, waits):
    ours = Ours(video, score_threshold_detection=threshold, det_nms_thresh=0.5)
    features = ours.detector.encode(scene(2))
    embedded = [ours.text.embed(prompt) for prompt in PROMPTS]
    with Dispatched(detector) as dispatched:
        found = ours.detector.detect(features, [embedded] * 2)
    assert dispatched.waits == waits
    assert (len(found[0]) > 0) == (waits > 1)


def test_waits_are_seen():
    values = torch.arange(3)
    with Dispatched() as dispatched:
        values.sum().item()
        values[values > 1]
        torch.nonzero(values)
        values[torch.tensor([0])]
    assert dispatched.waits == 3
