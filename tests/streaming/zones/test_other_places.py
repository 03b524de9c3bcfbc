"""Places that change while a stream runs, or over a restart: what stays counts on, and nothing is told that was not."""

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcast.places import NOWHERE, Line, Places, Zone
from maskcast.result import EventKind
from tests.streaming.zones.simulator import GROUPS, LOST_AFTER, scenario
from tests.streaming.zones.street import LEFT_HALF, MIDDLE, NOON, PLACES, stage, told, track, walk

LATER = NOON + timedelta(hours=1)
RIGHT = ((0.6, 0.0), (1.0, 0.0), (1.0, 1.0), (0.6, 1.0))
RIGHT_HALF = Zone("right half", RIGHT)
MORE = Places(
    (RIGHT_HALF, Zone("some", LEFT_HALF.points, anchor="overlap"), Zone("centre", RIGHT, anchor="centre")),
    (Line("more", ((0.3, 0.0), (0.7, 1.0))),),
)


def moments(*xs, since=0.0):
    """One walker at these places, ten times a second."""
    return [(since + index / 10, [track(x)]) for index, x in enumerate(xs)]


@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**9), shares=st.lists(st.floats(0.05, 0.95), min_size=2, max_size=2).map(sorted))
def test_nothing_is_counted_wrong_at_places_that_stay(seed, shares):
    """Others come, in front of and behind them, and go."""
    case = scenario(seed, "all at once")
    of, found = stage(case.places, GROUPS, LOST_AFTER), Counter()
    more = Places((*MORE.zones, *case.places.zones), (*case.places.lines, *MORE.lines))
    changes = dict(zip([int(share * len(case.results)) for share in shares], (more, case.places), strict=True))
    own = {place.name for place in (*case.places.zones, *case.places.lines)}
    for index, result in enumerate(case.results):
        if index in changes:
            of.set_places(changes[index], LATER)
        seen = of.apply(result)
        found += Counter((one.kind, one.place, one.direction) for one in seen.events if one.place in own)
    wanted = Counter({(EventKind.ENTERED, zone, None): count for zone, count in case.entered.items()})
    wanted += Counter({(EventKind.LEFT, zone, None): count for zone, count in case.left.items()})
    wanted += Counter({(EventKind.CROSSED, *way): count for way, count in case.crossed.items()})
    assert {key: count for key, count in found.items() if key[0] is not EventKind.DWELLED} == +wanted
    assert seen.tally.places == of.tally.places == case.places
    assert seen.tally.since == NOON


@pytest.mark.parametrize("restarted", [False, True])
def test_whoever_is_in_a_new_zone_enters_it_and_leaves_it_once(restarted):
    of, both = stage(), Places((*PLACES.zones, RIGHT_HALF), PLACES.lines)
    walk(of, moments(*[0.8] * 11))
    if restarted:
        kept, of = json.loads(json.dumps(of.state())), stage(both)
        of.restore(kept)
    else:
        of.set_places(both, LATER)
    assert of.tally.entered["right half"] == {"person": 0}
    results, events = walk(of, moments(*[0.8] * 10, *[0.8 - 0.02 * t for t in range(20)], since=1.1))
    assert [one for one in told(events) if one[2] == "right half"] == [
        ("entered", 1, "right half", None),
        ("left", 1, "right half", None),
    ]
    assert results[5].tracks[0].zones == ("right half",)
    assert of.tally.inside["right half"] == {"person": 0}


@pytest.mark.parametrize("anchor", ["bottom", "overlap"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_place_that_is_another_under_its_name_begins_anew(anchor, restarted):
    first = Places((replace(LEFT_HALF, anchor=anchor), RIGHT_HALF), (MIDDLE,))
    other = Places((Zone("left half", RIGHT, anchor=anchor), RIGHT_HALF), (replace(MIDDLE, directions=("a", "b")),))
    of = stage(first)
    walk(of, moments(*[0.3 + 0.02 * t for t in range(20)], *[0.7] * 10, *[0.7 - 0.02 * t for t in range(20)]))
    assert of.tally.entered == {"left half": {"person": 2}, "right half": {"person": 1}}
    assert sum(way["person"] for way in of.tally.crossed["middle"].values()) == 2
    if restarted:
        kept, of = json.loads(json.dumps(of.state())), stage(other)
        of.restore(kept)
    else:
        of.set_places(other, LATER)
    assert of.tally.entered == {"left half": {"person": 0}, "right half": {"person": 1}}
    assert of.tally.inside == {"left half": {"person": 0}, "right half": {"person": 0}}
    assert of.tally.crossed == {"middle": {"a": {"person": 0}, "b": {"person": 0}}}
    assert of.tally.since == NOON, "that of those that stay"
    _, events = walk(of, moments(*[0.3] * 10, *[0.3 + 0.02 * t for t in range(25)], *[0.8] * 9, since=5.0))
    assert set(told(events)) == {
        ("crossed", 1, "middle", "b"),
        ("entered", 1, "left half", None),
        ("entered", 1, "right half", None),
    }
    assert len(events) == 3


def test_where_nothing_stays_totals_begin_at_that_moment():
    of = stage()
    walk(of, moments(*[0.2] * 11))
    of.set_places(Places((RIGHT_HALF,)), LATER)
    assert (of.tally.since, of.tally.entered) == (LATER, {"right half": {"person": 0}})
    of.set_places(NOWHERE, LATER)
    assert (of.tally.inside, of.tally.entered, of.tally.crossed) == ({}, {}, {})
    results, events = walk(of, moments(*[0.2 + 0.02 * t for t in range(30)], since=1.1))
    assert (events, results[-1].tracks[0].zones) == ([], ())


def test_another_id_that_is_given_back_knows_the_places_of_today():
    of = stage()
    walk(of, moments(*[0.2] * 11))
    walk(of, [(1.1 + t / 10, [track(0.22, number=2)]) for t in range(5)])
    of.set_places(Places((RIGHT_HALF,), (MIDDLE,)), LATER)
    back = [(1.6 + t / 10, [track(0.2), track(0.3 + 0.02 * t, number=2)]) for t in range(25)]
    _, events = walk(of, back)
    assert {one[2] for one in told(events)} == {"middle", "right half"}


def test_a_state_of_before_definitions_were_noted_goes_by_names():
    of, second = stage(), stage()
    walk(of, moments(*[0.2] * 11))
    state = json.loads(json.dumps(of.state()))
    del state["places"]
    second.restore(state)
    assert second.tally == of.tally
