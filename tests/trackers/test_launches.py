"""How many operators a frame takes, which without graphs sets the pace on a GPU: hardly more for more objects."""

import numpy as np
import pytest

from tests import tiny
from tests.dispatch import Dispatched
from tests.frames import frame
from tests.lockstep import Ours, blob, scene
from tests.scripted import scripted

pytestmark = pytest.mark.usefixtures("one_thread")


def test_more_objects_take_hardly_more_launches():
    """No more than were counted when this was written; a full-size model has more layers, and so more of them."""
    video = tiny.video_model()
    ours = Ours(video)
    embedding = ours.text.embed("person")
    launches = {}
    for objects in (0, 1, 10):
        state = ours.tracker.new_state(("person",))
        rng = np.random.default_rng(0)
        with scripted(video.detector_model, [embedding.features], 32, work=True) as script:
            for index, image in enumerate(scene(3)):
                script.found = [[(0.95, blob(rng)) for _ in range(objects)] if index == 0 else []]
                with Dispatched() as dispatched:
                    features = ours.detector.encode([image])
                    found = ours.detector.detect(features, [[embedding]])
                    ours.tracker.follow([state], [frame(state.step, image)], found, features)
        assert len(state.table) == objects
        launches[objects] = dispatched.launches
    assert launches[0] <= 279
    assert launches[1] <= 747
    assert launches[10] <= launches[1] + 17
