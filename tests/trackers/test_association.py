import numpy as np
import torch

from maskcast.result import TrackState
from tests.frames import frame
from trackers.association import AssociationTracker, match
from trackers.detection.detector import Detections
from trackers.detection.image_encoder import ImageFeatures

SIDE, CHANNELS = 32, 8


class Scene:
    """Objects as coloured squares: their masks are the detections, their colours the image features."""

    def __init__(self, prompts=("ball",)):
        self.tracker = AssociationTracker()
        self.state = self.tracker.new_state(prompts)
        self.index = -1

    def step(self, *objects, pts=None):
        """Each object is (x, y, look, prompt index, score); its square has a side of 6."""
        self.index += 1
        logits = torch.full((len(objects), SIDE, SIDE), -5.0)
        features = torch.zeros(1, CHANNELS, SIDE, SIDE)
        for row, (x, y, look, *_rest) in enumerate(objects):
            logits[row, y : y + 6, x : x + 6] = 5.0
            features[0, look, y : y + 6, x : x + 6] = 1.0
        rest = [(*o[3:], *(0, 0.9)[len(o) - 3 :]) for o in objects]
        found = Detections(
            torch.tensor([r[0] for r in rest], dtype=torch.long), torch.tensor([r[1] for r in rest]), logits
        )
        image = ImageFeatures(torch.zeros(1), features, torch.zeros(1))
        ((result,),) = self.tracker.follow([self.state], [frame(self.index, pts=pts)], [found], image)
        return result


def ids(result):
    return [track.id for track in result.tracks]


def kinds(result):
    return [event.kind.value for event in result.events]


def test_a_moving_object_keeps_its_id_and_is_confirmed_after_three_frames():
    scene = Scene()
    results = [scene.step((2 + 2 * i, 4, 1)) for i in range(6)]
    assert [ids(r) for r in results] == [[1]] * 6
    assert [r.tracks[0].state for r in results][:3] == ["tentative", "tentative", "confirmed"]
    assert [k for r in results for k in kinds(r)] == ["started"]
    assert results[0].tracks[0].mask.size == (96, 160)


def test_objects_that_cross_keep_their_ids_by_appearance():
    scene = Scene()
    seen = []
    for i in range(13):
        result = scene.step((2 * i, 10, 1), (24 - 2 * i, 12, 2))
        at = {t.id: t.mask.bbox.x for t in result.tracks}
        seen.append(at)
    assert all(set(at) == {1, 2} for at in seen)
    left = [at[1] for at in seen]
    assert left == sorted(left), "track 1 moves right all the way"


def test_a_lost_object_is_recovered_elsewhere_by_its_appearance():
    scene = Scene()
    for _ in range(4):
        scene.step((2, 2, 1), (20, 2, 2))
    assert kinds(scene.step((20, 2, 2))) == ["lost"]
    result = scene.step((20, 2, 2), (22, 22, 1))
    assert ids(result) == [1, 2]
    assert kinds(result) == ["recovered"]
    assert result.tracks[0].mask.bbox.y > 50


def test_a_stranger_where_a_lost_object_was_gets_a_new_id():
    scene = Scene()
    for _ in range(4):
        scene.step((2, 2, 1))
    scene.step()
    assert ids(scene.step((2, 2, 5))) == [2]


def test_a_lost_track_ends_after_its_time_and_leaves_no_memory():
    scene = Scene()
    for _ in range(4):
        scene.step((2, 2, 1))
    assert kinds(scene.step(pts=1.0)) == ["lost"]
    assert kinds(scene.step(pts=9.0)) == ["ended"]
    assert not scene.state.memories
    assert ids(scene.step((2, 2, 1), pts=9.1)) == [2]


def test_a_weak_detection_continues_a_track_but_starts_none():
    scene = Scene()
    assert ids(scene.step((2, 2, 1, 0, 0.6))) == []
    scene.step((2, 2, 1))
    assert ids(scene.step((2, 2, 1, 0, 0.6))) == [1]


def test_a_track_belongs_to_one_prompt():
    scene = Scene(("ball", "toy"))
    first = scene.step((2, 2, 1, 0), (2, 2, 1, 1))
    assert [(t.id, t.prompt) for t in first.tracks] == [(1, "ball"), (2, "toy")]
    assert [(t.id, t.prompt) for t in scene.step((2, 2, 1, 1)).tracks] == [(2, "toy")]


def test_changing_prompts_ends_only_the_tracks_of_those_that_go():
    scene = Scene(("ball", "toy"))
    for _ in range(3):
        scene.step((2, 2, 1, 0), (20, 20, 2, 1))
    events = scene.tracker.set_prompts(scene.state, ("toy", "cat"))
    assert [(e.kind, e.prompt) for e in events] == [("ended", "ball")]
    result = scene.step((20, 20, 2, 0))
    assert [(t.id, t.prompt, t.state) for t in result.tracks] == [(2, "toy", TrackState.CONFIRMED)]


def test_state_is_bounded_whatever_comes():
    scene = Scene()
    rng = np.random.default_rng(0)
    for i in range(60):
        spots = rng.integers(0, 26, (40, 2))
        result = scene.step(*((int(x), int(y), int(rng.integers(CHANNELS))) for x, y in spots), pts=i * 0.5)
        assert len(set(ids(result))) == len(result.tracks)
        assert len(scene.state.lifecycle) <= 64
        assert set(scene.state.memories) == {life.id for life in scene.state.lifecycle}


def test_match_leaves_pairs_without_gain_alone():
    assert match(np.array([[0.9, 0.8], [0.8, 0.0]], np.float32)) == [(0, 1), (1, 0)]
    assert match(np.zeros((2, 3), np.float32)) == []
