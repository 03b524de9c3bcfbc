import weakref
from typing import get_type_hints

import numpy as np
import pytest
import torch

from maskcast import EventKind, Line, Places, Prompt, SinkError, Tracker, UsageError, Zone
from maskcast.errors import TooLargeError, TrackStateError
from streaming.tracker import MOST_STREAMS
from trackers.options import EngineKeywords, EngineOptions

EMPTY = np.full((180, 320, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def model():
    with Tracker("red circle", model="nano", device="cpu") as made:
        yield made


@pytest.fixture
def tracker(model):
    """One without streams, that looks for a red circle."""
    model.finish()
    model.set_prompts("red circle")
    return model


def circle(x, y=90, radius=30):
    picture = EMPTY.copy()
    rows, columns = np.ogrid[:180, :320]
    picture[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = (220, 40, 40)
    return picture


def kinds(result):
    return [event.kind for event in result.events]


def test_pictures_of_the_callers_own_are_followed(tracker):
    results = [tracker.update(circle(100 + 5 * number)) for number in range(6)]
    assert [result.frame.index for result in results] == list(range(6))
    assert [round(result.frame.pts, 2) for result in results] == [0, 0.04, 0.08, 0.12, 0.16, 0.2]
    assert {result.frame.stream for result in results} == {"frames"}
    assert [[track.id for track in result.tracks] for result in results] == [[1]] * 6
    assert [kind for result in results for kind in kinds(result)] == [EventKind.STARTED]
    assert results[-1].tracks[0].mask.bbox.x == pytest.approx(125 - 30, abs=6)


def test_streams_are_followed_together_as_each_would_be_alone(tracker, monkeypatch):
    def seen(result):
        return [(track.id, track.prompt, track.score, track.mask.full().tobytes()) for track in result.tracks]

    door, yard = [circle(100 + 5 * number) for number in range(4)], [circle(240, 60, 20)[:120]] * 4
    alone = [[seen(tracker.update({name: one})[name]) for one in frames] for name, frames in (("a", door), ("b", yard))]
    passes, step = [], tracker._engine.step
    monkeypatch.setattr(tracker._engine, "step", lambda *given: (passes.append(given), step(*given))[1])
    together = [tracker.update({"door": one, "yard": other}) for one, other in zip(door, yard, strict=True)]
    assert [list(results) for results in together] == [["door", "yard"]] * 4
    assert [[result.frame.stream for result in results.values()] for results in together] == [["door", "yard"]] * 4
    assert len(passes) == 4
    for name, expected in zip(("door", "yard"), alone, strict=True):
        for results, (once,) in zip(together, expected, strict=True):
            ((number, prompt, score, mask),) = seen(results[name])
            assert (number, prompt) == once[:2]
            assert score == pytest.approx(once[2], abs=1e-4)
            assert np.mean(np.frombuffer(mask, bool) != np.frombuffer(once[3], bool)) < 1e-3
    assert tracker.streams == ("a", "b", "door", "yard")


def test_streams_that_do_not_fit_together_go_one_by_one(tracker, monkeypatch):
    step = tracker._engine.step

    def small(streams, frames):
        if len(frames) > 1:
            raise TooLargeError("no room")
        return step(streams, frames)

    monkeypatch.setattr(tracker._engine, "step", small)
    results = tracker.update({name: circle(100) for name in "abc"})
    assert [(name, result.frame.stream, len(result.tracks)) for name, result in results.items()] == [
        (name, name, 1) for name in "abc"
    ]


def test_other_orders_of_samples(model):
    with Tracker("red circle", model="nano", device="cpu", order="bgr") as tracker:
        pixels = torch.from_numpy(circle(100)).flip(2).permute(2, 0, 1)
        result = tracker.update(pixels)
        assert np.array_equal(result.frame.picture.rgb(), circle(100))
        assert [track.prompt for track in result.tracks] == ["red circle"]


def test_how_long_a_track_is_lost_is_measured_by_the_callers_clock(tracker):
    for number in range(4):
        tracker.update(circle(100), pts=100 + number / 10)
    events = [kind for pts in (100.4, 100.5, 110.0) for kind in kinds(tracker.update(EMPTY, pts))]
    assert events == [EventKind.LOST, EventKind.ENDED]


def test_each_stream_has_its_clock(tracker):
    results = tracker.update({"a": EMPTY, "b": EMPTY}, {"a": 5.0, "b": -3.0})
    assert [result.frame.pts for result in results.values()] == [5.0, -3.0]
    results = tracker.update({"a": EMPTY, "b": EMPTY}, 6.0)
    assert [result.frame.pts for result in results.values()] == [6.0, 6.0]
    with pytest.raises(UsageError, match="stream b: pts has no time of it"):
        tracker.update({"a": EMPTY, "b": EMPTY}, {"a": 7.0})
    with pytest.raises(UsageError, match="stream b: pts must increase"):
        tracker.update({"a": EMPTY, "b": EMPTY}, {"a": 7.0, "b": 6.0})
    assert tracker.update({"a": EMPTY}, 7.0)["a"].frame.index == 2, "it was not advanced"
    with pytest.raises(UsageError, match="pts of one picture is one number"):
        tracker.update(EMPTY, {"a": 8.0})


def test_prompts_change_between_two_pictures(tracker):
    for _ in range(4):
        tracker.update({"a": circle(100), "b": circle(100)})
    tracker.set_prompts(["star"], "a")
    results = tracker.update({"a": circle(100), "b": circle(100)})
    assert [(event.kind, event.prompt) for event in results["a"].events] == [(EventKind.ENDED, "red circle")]
    assert "red circle" not in {track.prompt for track in results["a"].tracks}
    assert kinds(results["b"]) == []
    tracker.set_prompts("star")
    results = tracker.update({"b": circle(100), "c": circle(100)})
    assert kinds(results["b"]) == [EventKind.ENDED]
    assert "red circle" not in {track.prompt for track in results["c"].tracks}


def test_a_stream_may_begin_with_prompts_of_its_own(tracker):
    tracker.set_prompts("star", "yard")
    results = tracker.update({"door": circle(100), "yard": circle(100)})
    assert [len(result.tracks) for result in results.values()] == [1, 0]


@pytest.mark.parametrize("stream", [None, "a", "new"])
def test_prompts_that_cannot_be_read_change_nothing(tracker, stream):
    tracker.update({"a": circle(100)})
    with pytest.raises(UsageError, match="prompt"):
        tracker.set_prompts(["star", " "], stream)
    assert [track.prompt for track in tracker.update({"a": circle(100)})["a"].tracks] == ["red circle"]
    assert tracker.streams == ("a",)


def test_what_a_hot_start_holds_back_comes_at_the_end():
    with Tracker(["red circle"], model="nano", device="cpu", hot_start=9) as tracker:
        results = [tracker.update(circle(100)) for _ in range(12)]
        assert [result and result.frame.index for result in results] == [None] * 8 + [0, 1, 2, 3]
        assert [result.frame.index for result in tracker.finish()] == list(range(4, 12))
        assert tracker.update(circle(100)) is None


def test_a_stream_that_is_finished_begins_anew(tracker):
    for _ in range(3):
        tracker.update({"a": EMPTY, "b": circle(100)})
    assert tracker.finish("b") == []
    assert tracker.streams == ("a",)
    result = tracker.update({"b": circle(100)})["b"]
    assert (result.frame.index, result.frame.pts) == (0, 0)
    with pytest.raises(UsageError, match="stream c: no such stream has begun"):
        tracker.finish("c")


def test_tracks_go_on_where_they_were_saved(tracker, tmp_path):
    long = "long " + "é" * 100
    for number in range(4):
        tracker.update({"door": circle(100 + 5 * number), long: EMPTY, "gone": EMPTY})
    tracker.save(tmp_path / "states")
    tracker.finish("gone")
    tracker.save(tmp_path / "states")
    tracker.finish()
    tracker.load(tmp_path / "states")
    assert set(tracker.streams) == {"door", long}
    result = tracker.update({"door": circle(120)}, pts=-7.0)["door"]
    assert [track.id for track in result.tracks] == [1]
    assert result.events == ()
    (new,) = tracker.update({long: circle(100)})[long].tracks
    assert new.id > 10_000


def test_tracks_of_other_prompts_end_when_states_are_loaded(tracker, tmp_path):
    for _ in range(4):
        tracker.update(circle(100))
    tracker.save(tmp_path)
    tracker.set_prompts("star", "frames")
    tracker.load(tmp_path)
    result = tracker.update(circle(100))
    assert kinds(result) == [EventKind.ENDED]
    assert "red circle" not in {track.prompt for track in result.tracks}


def test_states_that_cannot_be_taken_up_change_nothing(tracker, tmp_path):
    tracker.update({"a": circle(100), "b": EMPTY})
    with pytest.raises(UsageError, match="no track states there"):
        tracker.load(tmp_path / "nowhere")
    tracker.save(tmp_path)
    (tmp_path / "b.safetensors").write_bytes(b"?")
    with pytest.raises(TrackStateError, match=r"b\.safetensors: damaged"):
        tracker.load(tmp_path)
    assert [track.id for track in tracker.update({"a": circle(100)})["a"].tracks] == [1]
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot be written"):
        tracker.save(tmp_path / "file")


def test_states_need_the_memory_tracker(tmp_path):
    with Tracker("red circle", model="nano", device="cpu", tracker="association") as tracker:
        for call in (tracker.save, tracker.load):
            with pytest.raises(UsageError, match="track states need the memory tracker"):
                call(tmp_path)


GATE = Places(zones=(Zone("gate", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))),))


def test_places_of_all_streams_or_of_some_by_name(tmp_path):
    file = tmp_path / "zones.toml"
    file.write_text("[lines.kerb]\npoints = [[0.5, 0], [0.5, 1]]\n")
    with Tracker(["red circle"], model="nano", device="cpu", zones={"door": GATE, "yard": str(file)}) as tracker:
        results = tracker.update(dict.fromkeys(("door", "yard", "roof"), EMPTY))
        assert list(results["door"].tally.entered) == ["gate"]
        assert list(results["yard"].tally.crossed) == ["kerb"]
        assert results["roof"].tally is None
        tracker.set_prompts(["star", Prompt("red circle", name="ball")])
        assert list(tracker.update({"door": EMPTY})["door"].tally.inside["gate"]) == ["star", "ball"]


@pytest.mark.parametrize("restart", [None, 4, 10, 11])
def test_what_is_counted_goes_on_over_a_restart(tracker, monkeypatch, tmp_path, restart):
    """A circle walks to the right, out of the gate and over the kerb, whenever the process ends."""
    kerb = Line("kerb", ((0.5, 0.0), (0.5, 1.0)), directions=("back", "forth"))
    monkeypatch.setattr(tracker, "_all_places", Places(GATE.zones, (kerb,)))
    seen = []
    for number in range(20):
        if number == restart:
            tracker.save(tmp_path)
            tracker.finish()
            tracker.load(tmp_path)
        result = tracker.update(circle(100 + 6 * number), pts=number / 5)
        seen += [(event.kind, event.place, event.direction) for event in result.events if event.place]
    assert seen == [
        (EventKind.ENTERED, "gate", None),
        *sorted([(EventKind.CROSSED, "kerb", "forth"), (EventKind.LEFT, "gate", None)], key=seen.index),
    ]
    assert result.tally.crossed == {"kerb": {"back": {"red circle": 0}, "forth": {"red circle": 1}}}
    assert result.tally.entered == {"gate": {"red circle": 1}}
    assert result.tally.inside == {"gate": {"red circle": 0}}


def test_damaged_counts_change_nothing(tracker, monkeypatch, tmp_path):
    monkeypatch.setattr(tracker, "_all_places", GATE)
    tracker.update(EMPTY)
    monkeypatch.setattr(type(tracker._streams["frames"]), "about", lambda _: {"stream": "frames", "zones": [1]})
    tracker.save(tmp_path)
    with pytest.raises(TrackStateError, match=r"frames\.safetensors: damaged \(ValueError: what was counted"):
        tracker.load(tmp_path)
    assert tracker.update(EMPTY).frame.index == 1


def test_a_zone_for_a_prompt_that_there_is_not():
    gate = Zone("gate", GATE.zones[0].points, prompts=("dog",))
    with pytest.raises(UsageError, match=r"zones\.gate\.prompts: no prompt is named 'dog'; there are 'star'"):
        Tracker("star", model="nano", device="cpu", zones=Places((gate,)))


def test_results_name_the_prompts_in_their_order():
    for options in ({}, {"tracker": "association"}):
        with Tracker(["star", Prompt("red circle", name="ball")], model="nano", device="cpu", **options) as other:
            result = other.update(circle(100))
            assert result.prompts == ("star", "ball")
            assert [track.prompt for track in result.tracks] == ["ball"]
            assert result.to_supervision().class_id.tolist() == [1]


def test_pictures_that_are_none_advance_nothing(tracker):
    with pytest.raises(UsageError, match=r"a picture is \(H, W, 3\) uint8"):
        tracker.update({"a": EMPTY, "b": EMPTY[..., :2]})
    assert tracker.streams == ()


@pytest.mark.parametrize("name", ["", "a/b", "..", "\n"])
def test_names_that_no_stream_can_have(tracker, name):
    with pytest.raises(UsageError, match="stream id"):
        tracker.update({name: EMPTY})


def test_there_are_only_so_many_streams(tracker):
    with pytest.raises(UsageError, match=f"more than {MOST_STREAMS} streams"):
        tracker.update({str(number): EMPTY for number in range(MOST_STREAMS + 1)})
    assert tracker.streams == ()
    assert tracker.update({}) == {}


def test_times_must_increase(tracker):
    tracker.update(circle(100), pts=-5.0)
    for pts in (-5.0, -6.0, float("nan")):
        with pytest.raises(UsageError, match="pts must increase"):
            tracker.update(circle(100), pts)


@pytest.mark.parametrize("pts", [float("nan"), float("inf"), float("-inf")])
def test_a_time_that_is_none_does_not_spoil_the_next(tracker, pts):
    with pytest.raises(UsageError, match="finite"):
        tracker.update(circle(100), pts)
    assert tracker.update(circle(100), 0.0)


def test_a_tracker_that_is_closed(tmp_path):
    with Tracker("red circle", model="nano", device="cpu") as tracker:
        tracker.update(circle(100))
        model = weakref.ref(tracker._engine)
    assert model() is None, "nothing waits for the garbage collector"
    tracker.close()
    calls = (
        lambda: tracker.update(EMPTY),
        lambda: tracker.set_prompts("star"),
        tracker.finish,
        lambda: tracker.save(tmp_path),
        lambda: tracker.load(tmp_path),
    )
    for call in calls:
        with pytest.raises(UsageError, match="the tracker is closed"):
            call()


def test_every_option_of_the_engine_is_a_keyword():
    options, keywords = get_type_hints(EngineOptions), get_type_hints(EngineKeywords)
    assert {name: kind | None for name, kind in options.items()} == keywords
    with pytest.raises(TypeError, match="modle"):
        Tracker("star", modle="nano")
