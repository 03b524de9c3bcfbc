"""Sizes, phrases to avoid and groups: which detections are left, and which of them may start tracks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskcast.frame import Frame
from maskcast.picture import Image
from maskcast.prompts import Prompt
from maskcast.result import EventKind, Result
from sources import open_source
from sources.picture import ArrayPicture
from streaming.commands.demo import CLIP
from tests.frames import START
from trackers.conditions import Conditions, conditioned
from trackers.detection.detector import Detections
from trackers.engine import Engine
from trackers.naming import PATIENCE_FRAMES
from trackers.options import EngineOptions

SIDE = 10


def found(*matches: tuple[int, float, slice]) -> Detections:
    """Each with its phrase, its score and the rows of the picture that it covers."""
    logits = torch.full((len(matches), SIDE, SIDE), -5.0)
    for row, (_, _, rows) in enumerate(matches):
        logits[row, rows] = 5.0
    phrase, scores = [one[0] for one in matches], [one[1] for one in matches]
    return Detections(torch.tensor(phrase, dtype=torch.long), torch.tensor(scores), logits)


def left(prompts: list[Prompt], *matches: tuple[int, float, slice]) -> tuple[list[int], list[float], Detections]:
    """The prompts of the detections that are left, the scores from which they start tracks, and all else."""
    (part,) = conditioned([found(*matches)], [Conditions.of(prompts)], 0.7)
    assert part.starts_at is not None
    return part.prompt.tolist(), part.starts_at.round(3).tolist(), part


def test_phrases_alone_are_not_looked_at() -> None:
    assert Conditions.of([Prompt("cat"), Prompt("a dog", "dog", min_frames=5)]) is None
    part = found((0, 0.9, slice(0, 2)))
    assert conditioned([part], [None], 0.7)[0] is part


def test_a_size_far_out_of_bounds_falls_and_one_beside_them_starts_no_track() -> None:
    prompts = [Prompt("cat", min_area=0.5, max_area=0.6)]
    sizes = [3, 4, 5, 6, 7, 8]  # of the picture's ten rows
    kept, starts_at, part = left(prompts, *((0, 0.9, slice(0, size)) for size in sizes))
    assert (part.logits > 0).flatten(1).sum(1).div(SIDE).tolist() == [4, 5, 6, 7]
    assert starts_at == [np.inf, np.float32(0.7).round(3), np.float32(0.7).round(3), np.inf]
    assert kept == [0] * 4


def test_a_threshold_of_its_own_is_also_that_from_which_tracks_start() -> None:
    _, starts_at, _ = left([Prompt("cat", threshold=0.25), Prompt("dog")], (0, 0.3, slice(0, 2)), (1, 0.6, slice(5, 7)))
    assert starts_at == pytest.approx([0.25, 0.7])


def test_what_an_avoided_phrase_covers_by_half_is_gone_and_the_phrase_is_never_seen() -> None:
    prompts = [Prompt("person", avoid=("poster",)), Prompt("dog")]
    poster = (2, 0.6, slice(0, 2))
    assert left(prompts, (0, 0.9, slice(1, 3)), (1, 0.9, slice(0, 2)), poster)[0] == [1]
    assert left(prompts, (0, 0.9, slice(1, 4)), poster)[0] == [0], "a third is not half"


def test_a_phrase_that_is_looked_for_itself_can_be_avoided_by_another() -> None:
    prompts = [Prompt("person", avoid=("poster",)), Prompt("poster")]
    assert left(prompts, (0, 0.9, slice(0, 2)), (1, 0.6, slice(0, 2)))[0] == [1]


def test_of_a_group_the_best_wins_where_they_overlap_and_knows_what_the_others_scored() -> None:
    prompts = [Prompt("with", group="g"), Prompt("without", group="g"), Prompt("dog")]
    kept, _, part = left(
        prompts, (0, 0.6, slice(0, 3)), (0, 0.5, slice(6, 9)), (1, 0.8, slice(0, 3)), (2, 0.9, slice(0, 3))
    )
    assert kept == [0, 1, 2]
    assert part.claims is not None
    assert part.claims == pytest.approx(np.array([[0.5, 0, 0], [0.6, 0.8, 0], [0, 0, 0.9]]))


def test_a_match_of_the_wrong_size_takes_no_other_of_its_group_with_it() -> None:
    prompts = [Prompt("with", group="g", min_area=0.5), Prompt("without", group="g")]
    assert left(prompts, (0, 0.9, slice(0, 3)), (1, 0.6, slice(0, 3)))[0] == [1]
    assert left(prompts, (0, 0.9, slice(0, 4)), (1, 0.6, slice(0, 4)))[0] == [1], "nor one that can start no track"


@pytest.fixture(scope="module")
def pictures() -> list[Image]:
    """The first of the demo's clip: two red circles, a star, a green square and a triangle."""
    source = open_source(str(CLIP))
    try:
        return [one.picture.rgb().copy() for one, _ in zip(source, range(9), strict=False)]
    finally:
        source.close()


@pytest.fixture(scope="module", params=["memory", "association"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(EngineOptions("nano", "cpu", request.param))


def tracked(engine: Engine, prompts: list[Prompt], pictures: list[Image]) -> list[Result]:
    stream = engine.open_stream(prompts)
    frames = [Frame("s", i, i / 25, START, ArrayPicture(one)) for i, one in enumerate(pictures)]
    return [result for frame in frames for result in engine.step([stream], [frame])[0]]


def seen(results: list[Result]) -> list[tuple[int, str]]:
    return [(track.id, track.prompt) for track in results[-1].tracks]


def test_nano_finds_what_the_conditions_leave(engine: Engine, pictures: list[Image]) -> None:
    least = tracked(engine, [Prompt("red circle", min_area=0.026)], pictures[:2])
    (big,) = least[-1].tracks
    assert big.mask.area > 0.026 * big.mask.size[0] * big.mask.size[1]
    most = tracked(engine, [Prompt("red circle", max_area=0.026)], pictures[:2])
    (small,) = most[-1].tracks
    assert small.mask.area < 0.026 * big.mask.size[0] * big.mask.size[1]
    # Two circles of the five objects are none.
    assert [
        name for _, name in seen(tracked(engine, [Prompt("object", "thing", avoid=("circle",))], pictures[:2]))
    ] == ["thing"] * 3


def test_nano_sees_an_object_once_though_two_prompts_of_a_group_claim_it(engine: Engine, pictures: list[Image]) -> None:
    phrases = ("circle", "red circle")
    apart = seen(tracked(engine, [Prompt(text) for text in phrases], pictures[:3]))
    assert len(apart) == 4
    together = seen(tracked(engine, [Prompt(text, group="shape") for text in phrases], pictures[:3]))
    assert together == [(1, "red circle"), (2, "red circle")]


def test_nano_believes_a_track_after_as_many_frames_as_its_prompt_says(engine: Engine, pictures: list[Image]) -> None:
    results = tracked(engine, [Prompt("star", min_frames=5), Prompt("triangle", min_frames=1)], pictures[:6])
    began = {
        event.prompt: n for n, one in enumerate(results) for event in one.events if event.kind is EventKind.STARTED
    }
    assert began == {"star": 4, "triangle": 0}


def test_tracks_stay_where_name_and_phrase_do(engine: Engine, pictures: list[Image]) -> None:
    stream = engine.open_stream([Prompt("star", "one"), Prompt("triangle", "two")])
    for i, one in enumerate(pictures[:3]):
        engine.step([stream], [Frame("s", i, i / 25, START, ArrayPicture(one))])
    assert not engine.set_prompts(
        stream, [Prompt("star", "one", threshold=0.3), Prompt("triangle", "two", min_area=0.01)]
    )
    ended = engine.set_prompts(stream, [Prompt("star", "one"), Prompt("green square", "two")])
    assert [event.prompt for event in ended] == ["two"]


def test_a_track_is_renamed_and_keeps_its_id(engine: Engine, pictures: list[Image]) -> None:
    """One picture all the time, in which the prompts of the group change places."""
    stream = engine.open_stream([Prompt(text, group="shape") for text in ("circle", "red circle")])
    told: list[list[tuple[int, str]]] = []
    for i in range(16):
        looked = engine.see([stream], [Frame("s", i, i / 25, START, ArrayPicture(pictures[0]))])
        (part,) = looked.detections
        scores = (0.1, 0.9) if i < 4 else (0.9, 0.1)
        part = replace(part, claims=np.tile(np.array(scores, np.float32), (len(part), 1)))
        told.append(seen(engine.follow(replace(looked, detections=[part]))[0]))
    assert told[:4] == [[(1, "red circle"), (2, "red circle")]] * 4
    assert told[4 + PATIENCE_FRAMES - 1] == told[0], "not before it has lasted"
    assert told[-1] == [(1, "circle"), (2, "circle")]
