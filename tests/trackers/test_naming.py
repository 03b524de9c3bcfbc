"""A track is renamed when another prompt of its group has been better for a while, and never for a flicker."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcast.mask import Box
from maskcast.prompts import Prompt
from maskcast.result import TrackState
from trackers.lifecycle import Life
from trackers.naming import MARGIN, PATIENCE_FRAMES, Naming
from trackers.wanted import Wanted

GROUPED = [Prompt("helmet", group="g"), Prompt("bare", group="g"), Prompt("dog")]
SCORES = st.floats(0, 1, width=32)


def life(prompt: str = "helmet", state: TrackState = TrackState.CONFIRMED) -> Life:
    return Life(7, prompt, state, 3, 0.0, 0.9, Box(0, 0, 1, 1))


def named(claims: list[tuple[float, float]], one: Life) -> list[str]:
    """The name after each frame, in which the two prompts of the group scored so much."""
    naming = Naming(Wanted.of(GROUPED))
    names = []
    for helmet, bare in claims:
        naming.see(one, np.array([helmet, bare, 0.99], np.float32))
        names.append(one.prompt)
    return names


def changes(names: list[str]) -> int:
    return sum(one != other for one, other in zip(["helmet", *names], names, strict=False))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(SCORES, SCORES), max_size=60))
def test_no_name_is_given_for_less_than_the_patience_nor_another_groups(claims: list[tuple[float, float]]) -> None:
    names = named(claims, life())
    assert changes(names) <= len(claims) // PATIENCE_FRAMES
    assert "dog" not in names, "which scores best of all, and excludes nobody"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-MARGIN / 2.1, MARGIN / 2.1), max_size=60))
def test_scores_within_the_margin_never_rename(noise: list[float]) -> None:
    assert changes(named([(0.7 + shift, 0.7 - shift) for shift in noise], life())) == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(SCORES, SCORES), max_size=40))
def test_who_is_clearly_better_for_long_gives_the_name(before: list[tuple[float, float]]) -> None:
    assert named([*before, *[(0.1, 0.9)] * 30], life())[-1] == "bare"


def test_a_winner_that_alternates_is_no_change_and_a_real_one_takes_some_frames() -> None:
    assert changes(named([(0.8, 0.0), (0.0, 0.8)] * 50, life())) == 0
    names = named([(0.9, 0.2)] * 20 + [(0.2, 0.9)] * 20, life())
    assert changes(names) == 1
    assert 20 + PATIENCE_FRAMES <= names.index("bare") <= 20 + 3 * PATIENCE_FRAMES


def test_a_tentative_track_goes_by_the_best_name_at_once() -> None:
    names = named([(0.6, 0.5), (0.6, 0.9), (0.6, 0.9)], life(state=TrackState.TENTATIVE))
    assert names == ["helmet", "helmet", "bare"]


def test_what_has_ended_is_forgotten() -> None:
    naming, one = Naming(Wanted.of(GROUPED)), life()
    for _ in range(PATIENCE_FRAMES - 1):
        naming.see(one, np.array([0.1, 0.9, 0], np.float32))
    naming.keep([])
    naming.see(one, np.array([0.1, 0.9, 0], np.float32))
    assert one.prompt == "helmet"


@pytest.mark.parametrize("names", [("helmet", "dog"), ("bare", "dog")])
def test_prompts_of_a_group_are_one_kind(names: tuple[str, str]) -> None:
    wanted = Wanted.of(GROUPED)
    assert wanted.kinds.tolist() == [0, 0, 2]
    assert wanted.kept(Wanted.of([Prompt("a hat", "helmet"), Prompt(names[1])])) == ("dog",)
