import json
import os
import stat
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from maskcast.errors import ModelError, TrackStateError
from maskcast.prompts import Prompt
from tests import tiny
from tests.lockstep import PROMPTS, Ours, blob, scene
from tests.scripted import scripted
from trackers.memory import track_state


@pytest.fixture(scope="module")
def video():
    return tiny.video_model()


def advance(ours, video, state, images, found, pts=0.0):
    with scripted(video.detector_model, [ours.text.embed(p).features for p in PROMPTS], 32) as script:
        script.found = found
        results = []
        for index, image in enumerate(images):
            results += ours.step([state], [image], pts + index / 25)[0]
    return results


def tracking(video):
    """With all that a track state can hold."""
    return Ours(video, reidentify_appearance=0.99)


@pytest.fixture
def running(video):
    ours = tracking(video)
    state = ours.tracker.new_state(PROMPTS)
    rng = np.random.default_rng(0)
    advance(ours, video, state, scene(1), [[(0.9, blob(rng)), (0.8, blob(rng))], [(0.95, blob(rng))]])
    advance(ours, video, state, scene(5), [[], []], 0.04)
    return ours, state


def test_a_restored_stream_goes_on_as_if_nothing_had_been(running, video, tmp_path):
    ours, state = running
    file = tmp_path / "deep" / "door.track_state"
    track_state.take(state, "a", final=True).write(file)
    restored = track_state.load(tracking(video).tracker, file, "a")
    assert [path.name for path in file.parent.iterdir()] == ["door.track_state"]
    assert restored.prompts == PROMPTS
    assert np.array_equal(restored.table.appearance[restored.table.rows()], state.table.appearance[state.table.rows()])
    assert np.allclose(np.linalg.norm(restored.table.appearance[restored.table.rows()], axis=1), 1, atol=1e-5)
    rng = np.random.default_rng(7)
    found = [[(0.9, blob(rng))], []]
    expected = advance(ours, video, state, scene(4), found, 0.24)
    # The clock of the next process may begin anywhere.
    results = advance(ours, video, restored, scene(4), found, 1000.0)
    for a, b in zip(expected, results, strict=True):
        assert [track.id for track in a.tracks] == [track.id for track in b.tracks]
        assert all(np.array_equal(x.mask.full(), y.mask.full()) for x, y in zip(a.tracks, b.tracks, strict=True))
        assert a.events == b.events
    assert restored.lifecycle.next_id == state.lifecycle.next_id > 3


def test_without_the_rule_that_needs_it_no_appearance_is_kept(video, tmp_path):
    ours = Ours(video)
    state = ours.tracker.new_state(PROMPTS)
    advance(ours, video, state, scene(1), [[(0.9, blob(np.random.default_rng(0)))], []])
    track_state.take(state, "a", final=True).write(tmp_path / "s")
    with safe_open(tmp_path / "s", "pt") as opened:
        assert opened.get_slice("appearance").get_shape() == [1, 0]
    assert len(track_state.load(ours.tracker, tmp_path / "s", "a").table) == 1
    # A tracker with the rule wants appearances, and takes no state without them.
    with pytest.raises(TrackStateError, match="appearance of another shape"):
        track_state.load(tracking(video).tracker, tmp_path / "s", "a")


def test_ids_are_not_used_again_after_a_restart(running, video, tmp_path):
    ours, state = running
    ours.tracker.set_prompts(state, ["person"])
    ours.tracker.set_prompts(state, PROMPTS)
    assert len(state.lifecycle) == 2
    track_state.take(state, "a", final=True).write(tmp_path / "s")
    restored = track_state.load(ours.tracker, tmp_path / "s", "a")
    rng = np.random.default_rng(8)
    results = advance(ours, video, restored, scene(1), [[], [(0.99, blob(rng))]], 5.0)
    assert max(track.id for track in results[-1].tracks) == 4


@pytest.mark.parametrize("old", [False, True])
def test_tracks_go_on_whose_name_stands_for_the_same_phrase(running, tmp_path, old):
    """Older files have no phrases: a prompt was its own."""
    ours, state = running
    ours.tracker.set_prompts(state, [Prompt(text, min_area=0.01) for text in PROMPTS])
    assert len(state.lifecycle) == 3, "other conditions end nothing"
    saved = track_state.take(state, "a", final=True)
    if old:
        document = json.loads(saved.document)
        del document["texts"]
        saved = replace(saved, document=json.dumps(document))
    saved.write(tmp_path / "s")
    restored = track_state.load(ours.tracker, tmp_path / "s", "a")
    ours.tracker.set_prompts(restored, [PROMPTS[0], Prompt("another phrase", PROMPTS[1])])
    assert {life.prompt for life in restored.lifecycle} == {PROMPTS[0]}


def test_an_empty_stream_has_a_track_state(video, tmp_path):
    tracker = Ours(video).tracker
    track_state.take(tracker.new_state(PROMPTS), "a", final=True).write(tmp_path / "s")
    assert len(track_state.load(tracker, tmp_path / "s", "a").table) == 0


def test_a_track_state_of_another_model_is_refused(running, tmp_path):
    ours, state = running
    track_state.take(state, "a", final=True).write(tmp_path / "s")
    with pytest.raises(ModelError, match="taken with another model"):
        track_state.load(ours.tracker, tmp_path / "s", "b")


def test_no_track_state(running, tmp_path):
    with pytest.raises(FileNotFoundError):
        track_state.load(running[0].tracker, tmp_path / "none", "a")


@pytest.mark.parametrize("harm", ["empty", "cut", "noise", "no metadata", "tensor", "shape", "nan", "ids", "format"])
def test_a_damaged_track_state_is_one_clear_line(running, tmp_path, harm):
    ours, state = running
    file = tmp_path / "s"
    track_state.take(state, "a", final=True).write(file)
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
        tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
    if harm == "empty":
        file.write_bytes(b"")
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif harm == "noise":
        file.write_bytes(np.random.default_rng(0).bytes(5000))
    elif harm == "no metadata":
        save_file(tensors, file)
    else:
        if harm == "tensor":
            del tensors["spatial"]
        elif harm == "shape":
            tensors["pointers"] = tensors["pointers"][:, :3].contiguous()
        elif harm == "nan":
            tensors["pointers"][0, 0, 0] = torch.nan
        elif harm == "ids":
            tensors["ids"] += 1
        else:
            metadata = {"track_state": json.dumps(json.loads(metadata["track_state"]) | {"format": "other/9"})}
        save_file(tensors, file, metadata)
    with pytest.raises(ModelError) as caught:
        track_state.load(ours.tracker, file, "a")
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def first_life(**changes):
    return lambda document, _: document["lives"][0].update(changes)


def filled(name, value):
    return lambda _, tensors: tensors[name].fill_(value)


DAMAGED = {
    "next_id above all bounds": lambda document, _: document.update(next_id=2**63),
    "next_id below its ids": lambda document, _: document.update(next_id=1),
    "next_id a fraction": lambda document, _: document.update(next_id=5.5),
    "next_id a text": lambda document, _: document.update(next_id="x"),
    "step above all bounds": lambda document, _: document.update(step=10**30),
    "step negative": lambda document, _: document.update(step=-1),
    "step a bool": lambda document, _: document.update(step=True),
    "pts no number": lambda document, _: document.update(pts=float("nan")),
    "pts of 400 digits": lambda document, _: document.update(pts=10**400),
    "prompts numbers": lambda document, _: document.update(prompts=[1, 2]),
    "a phrase too few": lambda document, _: document.update(texts=document["texts"][1:]),
    "phrases empty": lambda document, _: document.update(texts=[""] * len(document["texts"])),
    "lives no list": lambda document, _: document.update(lives=3),
    "more lives than a stream may have": lambda document, _: document.update(lives=document["lives"] * 40),
    "prompt none": first_life(prompt=None),
    "prompt another": first_life(prompt="zebra"),
    "state unknown": first_life(state="asleep"),
    "state ended": first_life(state="ended"),
    "box of text": first_life(bbox=["a", None, 1, 1]),
    "box of three": first_life(bbox=[1, 2, 3]),
    "score above 1": first_life(score=1.5),
    "score a text": first_life(score="x"),
    "last seen infinite": first_life(last_seen=float("inf")),
    "hits negative": first_life(hits=-1),
    "id out of its number": first_life(id=0),
    "ids repeated": filled("ids", 1),
    "memories of the future": filled("spatial.steps", 2**62),
    "pointers of the future": filled("pointers.steps", 2**62),
    "started in the future": filled("first_step", 2**62),
    "never to be ended": filled("keep_alive", 2**40),
    "never hidden": filled("last_occluded", 2**40),
    "shared out of bounds": filled("shared", -5),
    "appearance huge": filled("appearance", 1e30),
    "memories infinite": filled("spatial", float("inf")),
    "a type that is another": lambda _, tensors: tensors.update(ids=tensors["ids"].float()),
    "a million ids": lambda _, tensors: tensors.update(ids=torch.arange(1, 1_000_001)),
    "a tensor more": lambda _, tensors: tensors.update(more=torch.zeros(3)),
}


@pytest.fixture(scope="module")
def saved(video):
    """A tracker, and what it has saved of a stream with two tracks."""
    ours = tracking(video)
    state = ours.tracker.new_state(PROMPTS)
    rng = np.random.default_rng(0)
    advance(ours, video, state, scene(1), [[(0.9, blob(rng))], [(0.95, blob(rng))]])
    return ours.tracker, track_state.take(state, "a", final=True)


@pytest.mark.parametrize("harm", DAMAGED.values(), ids=DAMAGED)
def test_no_number_is_believed_unseen(saved, tmp_path, harm):
    tracker, state = saved
    file = tmp_path / "s"
    state.write(file)
    assert len(track_state.load(tracker, file, "a").table) == 2
    document, tensors = json.loads(state.document), {name: tensor.clone() for name, tensor in state.tensors.items()}
    harm(document, tensors)
    save_file(tensors, file, {"track_state": json.dumps(document)})
    with pytest.raises(TrackStateError, match="damaged") as caught:
        track_state.load(tracker, file, "a")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("thing", ["folder", "fifo", "long head", "deep"])
def test_what_is_no_track_state_at_all(saved, tmp_path, thing):
    file = tmp_path / "s"
    if thing == "folder":
        file.mkdir()
    elif thing == "fifo":
        os.mkfifo(file)
    elif thing == "long head":
        file.write_bytes((100_000_000).to_bytes(8, "little") + b"{")
    else:
        save_file({"ids": torch.zeros(1)}, file, {"track_state": "[" * 100_000})
    with pytest.raises(TrackStateError, match="damaged"):
        track_state.load(saved[0], file, "a")


def test_only_their_owner_reads_what_cameras_saw(saved, tmp_path):
    tracker, state = saved
    file = tmp_path / "tracks" / "s"
    state.write(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.chmod(0o644)
    track_state.load(tracker, file, "a")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_device_that_fails_is_not_the_track_states_fault(running, tmp_path, monkeypatch):
    ours, state = running
    track_state.take(state, "a", final=True).write(tmp_path / "s")

    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ours.tracker, "new_table", fail)
    with pytest.raises(ModelError, match="cannot be taken up on cpu: OutOfMemoryError") as caught:
        track_state.load(ours.tracker, tmp_path / "s", "a")
    assert not isinstance(caught.value, TrackStateError), "or the file would be set aside as damaged"


def test_a_write_that_fails_leaves_the_old_track_state(running, tmp_path, monkeypatch):
    ours, state = running
    track_state.take(state, "a", final=True).write(tmp_path / "s")

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(track_state, "save_file", fail)
    with pytest.raises(OSError, match="no space"):
        track_state.take(state, "a", final=True).write(tmp_path / "s")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["s"]
    assert len(track_state.load(ours.tracker, tmp_path / "s", "a").table) == 3
