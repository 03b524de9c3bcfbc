"""Whether a new track is one that was lost: by place, time, size, prompt and motion."""

import numpy as np
import pytest

from maskcast.mask import Box
from streaming.zones.path import Path
from streaming.zones.sighting import SHARES
from streaming.zones.subject import Subject
from streaming.zones.succession import ancestors

GROUPS = {"person": None, "dog": None, "with": "head", "without": "head"}


def subject(number, moments, *, name="person", size=(0.1, 0.2)):
    """One whose box has its middle at places at times."""
    times = list(moments)
    found = Subject(number, name, 0.9, Box(0, 0, 1, 1), times[0], times[-1], Path(SHARES))
    for time, (x, y) in moments.items():
        found.see(name, 0.9, Box(0, 0, 1, 1), time, np.array([x, y, x, y, x, y, *size]))
    found.point = found.path.sightings[-1]
    return found


def follows(heir, *others, lost_after=3.0):
    return ancestors([heir], others, groups=GROUPS, lost_after=lost_after, aspect=1.0).get(heir.id)


STANDING = {t / 10: (0.5, 0.5) for t in range(10)}


@pytest.mark.parametrize(
    ("place", "gap", "found"),
    [
        ((0.5, 0.5), 0.1, True),
        ((0.58, 0.5), 0.1, True),  # half of its length away at once
        ((0.64, 0.5), 0.1, False),
        ((0.64, 0.5), 2.0, True),  # a length and a half after two seconds
        ((0.5, 0.5), 2.9, True),
        ((0.5, 0.5), 3.2, False),  # nobody waits as long
    ],
)
def test_near_in_place_and_time(place, gap, found):
    lost = subject(1, STANDING)
    assert (follows(subject(2, {0.9 + gap: place}), lost) is lost) == found


def test_where_it_would_have_gone_on_to():
    lost = subject(1, {t / 10: (0.2 + t * 0.02, 0.5) for t in range(10)})
    assert follows(subject(2, {2.4: (0.38 + 0.25, 0.5)}), lost) is lost
    assert follows(subject(2, {1.4: (0.38 - 0.25, 0.5)}), lost) is None


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [("person", "person", True), ("person", "dog", False), ("with", "without", True), ("with", "person", False)],
)
def test_the_same_prompt_or_group(before, after, found):
    assert (follows(subject(2, {1.0: (0.5, 0.5)}, name=after), subject(1, STANDING, name=before)) is not None) == found


def test_another_size_is_something_else():
    assert follows(subject(2, {1.0: (0.5, 0.5)}, size=(0.05, 0.1)), subject(1, STANDING)) is not None
    assert follows(subject(2, {1.0: (0.5, 0.5)}, size=(0.04, 0.08)), subject(1, STANDING)) is None


def test_the_nearest_of_several():
    near, far = subject(1, STANDING), subject(3, {t / 10: (0.55, 0.5) for t in range(10)})
    assert follows(subject(2, {1.0: (0.51, 0.5)}), far, near) is near


@pytest.mark.parametrize(
    ("away", "place", "found"), [(0.0, 0.68, False), (2.0, 0.68, True), (3600.0, 0.89, True), (3600.0, 0.92, False)]
)
def test_who_went_on_while_nobody_looked(away, place, found):
    """For so long, but at most for as long as somebody is waited for: 2.0 lengths of 0.2 after 3 seconds."""
    lost = subject(1, STANDING)
    lost.shift(1.0, away)
    assert (follows(subject(2, {2.0: (place, 0.5)}), lost) is lost) == found
    lost.see("person", 0.9, Box(0, 0, 1, 1), 2.0, lost.path.sightings[-1])
    assert lost.away == 0.0


def test_the_likeliest_pair_comes_first():
    one, two = subject(1, STANDING), subject(2, {t / 10: (0.55, 0.5) for t in range(10)})
    heirs = [subject(3, {1.0: (0.54, 0.5)}), subject(4, {1.0: (0.56, 0.5)}), subject(5, {1.0: (0.51, 0.5)})]
    for order in (heirs, heirs[::-1]):
        found = ancestors(order, [one, two], groups=GROUPS, lost_after=3.0, aspect=1.0)
        assert found.get(5) is one
        assert len(found) == 2
    assert ancestors(heirs[:1], [one, two], groups=GROUPS, lost_after=3.0, aspect=1.0) == {3: two}


def test_both_ids_may_have_been_there_for_a_few_frames():
    lost = subject(1, {t / 10: (0.2 + t * 0.03, 0.5) for t in range(10)})
    heir = subject(2, {t / 10: (0.2 + t * 0.03, 0.5) for t in range(7, 16)})
    assert follows(heir, lost) is lost


def test_who_left_over_the_border_is_gone_and_who_stands_there_is_not():
    left = subject(1, {t / 10: (0.25 - t * 0.025, 0.5) for t in range(10)})
    stands = subject(1, {t / 10: (0.04, 0.5) for t in range(10)})
    heir = subject(2, {1.2: (0.04, 0.5)})
    assert follows(heir, left) is None
    assert follows(heir, stands) is stands
