"""Which tracker a checkpoint gets, where its weights come from, and a stream from pixels to track state."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from maskcast.errors import ModelError, TooLargeError, UsageError
from maskcast.mask import Box
from maskcast.result import Event, EventKind, KnownTracks
from tests import tiny
from tests.frames import frame
from tests.lockstep import scene
from trackers.association import AssociationTracker
from trackers.detection.checkpoint import load_checkpoint
from trackers.engine import Engine
from trackers.memory.tracker import MemoryTracker
from trackers.options import EngineOptions


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A detector, and a video model with the same image encoder."""
    base = tmp_path_factory.mktemp("models")
    return tiny.save(base / "detector", seed=0), tiny.save_video(base / "video", seed=0)


def tracker_of(*arguments, **named):
    return type(Engine(EngineOptions(*arguments, "cpu", **named))._tracker)


def test_the_best_tracker_that_the_checkpoint_allows(folders):
    detector, video = map(str, folders)
    assert tracker_of(detector) is AssociationTracker
    assert tracker_of(video) is MemoryTracker
    assert tracker_of(video, tracker="memory") is MemoryTracker
    assert tracker_of(video, tracker="association") is AssociationTracker
    assert tracker_of(detector, tracker="memory", tracker_from=video) is MemoryTracker


def test_memory_without_weights(folders):
    with pytest.raises(UsageError, match="no memory tracker weights; use --tracker association") as caught:
        tracker_of(str(folders[0]), tracker="memory")
    assert "\n" not in str(caught.value)


def test_thresholds_come_from_the_checkpoint(folders, tmp_path):
    copy = shutil.copytree(folders[1], tmp_path / "video")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"score_threshold_detection": 0.25, "det_nms_thresh": 0.4}))
    engine = Engine(EngineOptions(str(copy), "cpu", hot_start=9))
    assert (engine._detector.score_threshold, engine._detector.nms_iou) == (0.25, 0.4)
    assert engine._tracker.rules.hot_start == 9


def test_a_borrowed_tracker_has_the_same_weights(folders):
    detector, video = map(str, folders)
    own, borrowed = load_checkpoint(video), load_checkpoint(detector, video)
    assert borrowed.revision not in (own.revision, load_checkpoint(detector).revision)
    for part in ("tracker_model", "tracker_neck"):
        expected = getattr(own.video, part).state_dict()
        actual = getattr(borrowed.video, part).state_dict()
        assert expected.keys() == actual.keys()
        assert all((actual[key] == expected[key]).all() for key in expected)


def test_a_tracker_for_another_image_encoder_is_refused(folders, tmp_path):
    other = tiny.save(tmp_path / "other", seed=5)
    with pytest.raises(ModelError, match=r"trained on another image encoder .* --tracker association remains"):
        load_checkpoint(str(other), str(folders[1]))


def test_a_tracker_folder_without_a_tracker(folders, tmp_path):
    with pytest.raises(ModelError, match="it is a sam3_lite_text checkpoint; Maskcast needs sam3_video"):
        load_checkpoint(str(folders[0]), str(folders[0]))
    copy = shutil.copytree(folders[1], tmp_path / "video")
    weights = {k: v for k, v in load_file(copy / "model.safetensors").items() if "memory_attention" not in k}
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="weights are missing"):
        load_checkpoint(str(folders[0]), str(copy))


def test_a_stream_from_pixels_to_track_state(folders, tmp_path):
    engine = Engine(EngineOptions(str(folders[1]), "cpu"))
    stream = engine.open_stream(["person", "a car"])
    images = scene(4)
    for index in range(3):
        [[result]] = engine.step([stream], [frame(index, images[index])])
    assert result.tracks
    engine.save_stream(stream, final=True).write(tmp_path / "s")
    resumed, events = engine.resume_stream(tmp_path / "s", ["person", "a car"])
    assert events == []
    [[expected]] = engine.step([stream], [frame(3, images[3])])
    [[actual]] = engine.step([resumed], [frame(3, images[3])])
    assert [(t.id, t.score) for t in actual.tracks] == [(t.id, t.score) for t in expected.tracks]
    assert engine.close_stream(resumed) == []

    resumed, events = engine.resume_stream(tmp_path / "s", ["person"])
    assert {event.prompt for event in events} <= {"a car"}
    other = Engine(EngineOptions(str(folders[0]), "cpu", tracker_from=str(folders[1])))
    with pytest.raises(ModelError, match="another model"):
        other.resume_stream(tmp_path / "s", ["person"])


def test_a_resumed_track_that_was_told_of_is_not_taken_back(folders, tmp_path):
    """A hot start may undo only what nobody has heard of; the process before has handed out what it held back."""
    engine = Engine(EngineOptions(str(folders[1]), "cpu", hot_start=10))
    stream = engine.open_stream(["person"])
    for index, image in enumerate(scene(3)):
        engine.step([stream], [frame(index, image)])
    released = engine.close_stream(stream)
    told = {event.track_id: event for result in released for event in result.events}
    assert told
    engine.save_stream(stream, final=True).write(tmp_path / "s")
    started = dict(zip(stream.state.table.ids.tolist(), stream.state.table.first_step.tolist(), strict=True))
    for known in (None, KnownTracks(told, highest=max(told)), KnownTracks({}, highest=0)):
        resumed, _ = engine.resume_stream(tmp_path / "s", ["person"], known)
        table = resumed.state.table
        young = table.first_step[table.rows()] > resumed.state.step - 10
        assert young.all() if known is not None and not known.alive else not young.any()
    assert all(started[track_id] > stream.state.step - 10 for track_id in told), "as they were without this"


def test_association_has_no_track_states(folders, tmp_path):
    engine = Engine(EngineOptions(str(folders[0]), "cpu"))
    with pytest.raises(UsageError, match="need the memory tracker; use --tracker-from"):
        engine.save_stream(engine.open_stream(["person"]), final=True)


def test_a_batch_that_does_not_fit_into_memory_is_refused_before_anything_has_changed(folders):
    engine = Engine(EngineOptions(str(folders[1]), "cpu"))
    streams = [engine.open_stream(["person"]) for _ in range(3)]
    images = scene(1)
    encode, sizes = engine._detector.encode, []

    def small(pictures):
        sizes.append(len(pictures))
        if len(pictures) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(pictures)

    engine._detector.encode = small
    with pytest.raises(TooLargeError, match="out of memory; use fewer prompts or streams"):
        engine.step(streams, [frame(0, images[0])] * 3)
    assert [stream.state.step for stream in streams] == [0, 0, 0]
    results = [engine.step([stream], [frame(0, images[0])])[0] for stream in streams]
    assert sizes == [3, 1, 1, 1]
    assert [len(result) for result in results] == [1, 1, 1]
    assert [stream.state.step for stream in streams] == [1, 1, 1]


def wanting(function, *, above, failed):
    """`function` where memory is wanting for more than so many rows; notes in `failed` how many were refused."""

    def tried(features, *rest):
        rows = max(len(tensor) for tensor in (features, *rest) if isinstance(tensor, torch.Tensor))
        if rows > above:
            failed.append(rows)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return function(features, *rest)

    return tried


def tracked(engine, images):
    stream = engine.open_stream(["person", "cat"])
    results = [result for n, image in enumerate(images) for result in engine.step([stream], [frame(n, image)])[0]]
    return [(track.id, track.mask.full()) for result in results for track in result.tracks]


@pytest.mark.parametrize(("part", "method"), [("propagation", "propagate"), ("encoder", "encode")])
def test_tracks_go_one_by_one_where_memory_is_wanting(folders, part, method):
    engine, images = Engine(EngineOptions(str(folders[1]), "cpu", hot_start=0)), scene(4)
    expected = tracked(engine, images)
    owner, failed = getattr(engine._tracker, part), []
    setattr(owner, method, wanting(getattr(owner, method), above=1, failed=failed))
    actual = tracked(engine, images)
    assert failed
    assert min(failed) > 1
    assert [track_id for track_id, _ in actual] == [track_id for track_id, _ in expected]
    assert all((a == b).mean() > 0.999 for (_, a), (_, b) in zip(actual, expected, strict=True))


def test_frames_whose_tracks_do_not_fit_are_refused_before_anything_is_decided(folders):
    engine, images = Engine(EngineOptions(str(folders[1]), "cpu")), scene(2)
    stream = engine.open_stream(["person"])
    engine.step([stream], [frame(0, images[0])])
    assert len(stream.state.table)
    propagate, failed = engine._tracker.propagation.propagate, []
    engine._tracker.propagation.propagate = wanting(propagate, above=0, failed=failed)
    with pytest.raises(TooLargeError, match="out of memory"):
        engine.step([stream], [frame(1, images[1])])
    assert failed[-1] == 1
    assert stream.state.step == 1
    engine._tracker.propagation.propagate = propagate
    assert len(engine.step([stream], [frame(1, images[1])])[0]) == 1
    assert stream.state.step == 2


def test_a_stream_begun_anew_ends_what_subscribers_believe_alive_and_uses_no_id_again(folders):
    engine = Engine(EngineOptions(str(folders[0]), "cpu"))
    known = KnownTracks({5: Event(EventKind.LOST, 5, "person", 0.5, Box(1, 1, 2, 2))}, highest=7)
    stream, events = engine.reopen_stream(["person"], known)
    assert [(event.kind, event.track_id) for event in events] == [(EventKind.ENDED, 5)]
    assert stream.state.lifecycle.next_id > 7


def test_cudnns_attention_is_off_for_as_long_as_a_pass_takes(folders, monkeypatch):
    """It would plan each new number of memories anew; the rest of the process may want it."""
    engine = Engine(EngineOptions(str(folders[0]), "cpu"))
    seen = []
    encode = engine._detector.encode

    def watched(images):
        seen.append(torch.backends.cuda.cudnn_sdp_enabled())
        return encode(images)

    monkeypatch.setattr(engine._detector, "encode", watched)
    before = torch.backends.cuda.cudnn_sdp_enabled()
    engine.step([engine.open_stream(["cat"])], [frame(0, scene(1)[0])])
    assert (before, seen, torch.backends.cuda.cudnn_sdp_enabled()) == (True, [False], True)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_every_precision_follows_objects(folders, precision):
    engine = Engine(EngineOptions(str(folders[1]), "cpu", precision=precision))
    assert engine.precision == getattr(torch, precision)
    assert f", {precision}, memory tracker" in engine.description
    stream = engine.open_stream(["person", "a car"])
    tracks = []
    for index, image in enumerate(scene(3)):
        [[result]] = engine.step([stream], [frame(index, image)])
        tracks += result.tracks
    assert "person" in {track.prompt for track in tracks}
    assert all(0 < track.score <= 1 and track.mask.area for track in tracks)


@pytest.mark.parametrize("tracker", ["memory", "association"])
def test_a_threshold_holds_for_what_is_found_and_for_what_starts_a_track(folders, tracker):
    engine = Engine(EngineOptions(str(folders[1]), "cpu", tracker, threshold=0.125))
    assert engine._detector.score_threshold == 0.125
    if tracker == "memory":
        assert engine._tracker.rules.new_det_thresh == 0.125


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_a_threshold_is_a_probability(folders, threshold):
    with pytest.raises(UsageError, match="threshold must be at least 0 and below 1"):
        Engine(EngineOptions(str(folders[1]), "cpu", threshold=threshold))


@pytest.mark.parametrize("folder", [0, 1], ids=["association", "memory"])
def test_frames_may_be_seen_before_earlier_ones_are_followed(folders, folder):
    """What is found does not depend on tracks: seen ahead, frames have the tracks that they have one by one."""
    engine = Engine(EngineOptions(str(folders[folder]), "cpu"))
    images = scene(5)
    frames = [frame(index, image) for index, image in enumerate(images)]
    one, ahead = (engine.open_stream(["person", "a car"]) for _ in range(2))
    expected = [engine.step([one], [each])[0][0] for each in frames]
    actual = [engine.follow(seen)[0][0] for seen in [engine.see([ahead], [each]) for each in frames]]
    assert any(result.tracks for result in expected)
    for want, got in zip(expected, actual, strict=True):
        assert [(t.id, t.score, t.state) for t in got.tracks] == [(t.id, t.score, t.state) for t in want.tracks]
        assert all((a.mask.full() == b.mask.full()).all() for a, b in zip(got.tracks, want.tracks, strict=True))
        assert got.events == want.events
