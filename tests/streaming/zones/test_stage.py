"""The rule of docs/zones.md: by random walkers with ground truth, and by hand where a number is to be known."""

import gc
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcast.places import Places, Zone
from maskcast.result import Event, EventKind, Result, TrackState
from streaming.zones.subject import Subject
from tests.streaming.zones import simulator
from tests.streaming.zones.simulator import GROUPS, LOST_AFTER, scenario
from tests.streaming.zones.street import LEFT_HALF, MIDDLE, NOON, frame, stage, told, track, walk


def counted(case, of):
    entered, left, crossed = Counter(), Counter(), Counter()
    for result in map(of.apply, case.results):
        for event in result.events:
            if event.kind is EventKind.CROSSED:
                crossed[event.place, event.direction] += 1
            else:
                (entered if event.kind is EventKind.ENTERED else left)[event.place] += 1
    tally = result.tally
    assert {zone: sum(counts.values()) for zone, counts in tally.entered.items() if any(counts.values())} == entered
    assert not any(count for counts in tally.inside.values() for count in counts.values())
    totals = Counter(
        {
            (line, direction): sum(counts.values())
            for line, directions in tally.crossed.items()
            for direction, counts in directions.items()
        }
    )
    assert +totals == crossed
    return entered, left, crossed


@pytest.mark.long
@pytest.mark.parametrize("kind", simulator.KINDS)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**9))
def test_nothing_is_counted_wrong(kind, seed):
    case = scenario(seed, kind)
    assert counted(case, stage(case.places, GROUPS, LOST_AFTER)) == (+case.entered, +case.left, +case.crossed)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**9), share=st.floats(0.1, 0.9))
def test_nothing_is_counted_wrong_over_a_restart(seed, share):
    """The state goes through JSON, and the clock begins anew."""
    case = scenario(seed, "flicker")
    cut = int(share * len(case.results))
    first, second = stage(case.places, GROUPS, LOST_AFTER), stage(case.places, GROUPS, LOST_AFTER)
    events = [event for result in case.results[:cut] for event in first.apply(result).events]
    second.restore(json.loads(json.dumps(first.state())))
    assert second.tally == first.tally
    zero = case.results[cut].frame.pts - 0.001
    late = [replace(result, frame=replace(result.frame, pts=result.frame.pts - zero)) for result in case.results[cut:]]
    events += [event for result in late for event in second.apply(result).events]
    found = Counter((event.kind, event.place, event.direction) for event in events)
    wanted = Counter({(EventKind.ENTERED, zone, None): count for zone, count in case.entered.items()})
    wanted += Counter({(EventKind.LEFT, zone, None): count for zone, count in case.left.items()})
    wanted += Counter({(EventKind.CROSSED, *way): count for way, count in case.crossed.items()})
    assert found == +wanted


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**9), share=st.floats(0.1, 0.9), renamed=st.booleans())
def test_nothing_is_counted_wrong_over_a_kill(seed, share, renamed):
    """What was kept last is up to a second old, or as old as the last event; ids may be others afterwards."""
    case = scenario(seed, "plain")
    cut = int(share * len(case.results))
    first, second = stage(case.places, GROUPS, LOST_AFTER), stage(case.places, GROUPS, LOST_AFTER)
    events, kept, kept_at = [], first.state(), 0.0
    for result in case.results[:cut]:
        told = first.apply(result).events
        events += told
        if told or result.frame.pts - kept_at >= 1.0:
            kept, kept_at = first.state(), result.frame.pts
    second.restore(json.loads(json.dumps(kept)))
    for result in case.results[cut:]:
        zero, later = case.results[cut].frame.pts - 0.001, result.frame.captured_at + timedelta(seconds=4)
        tracks = tuple(replace(track, id=track.id + 100 * renamed) for track in result.tracks)
        late = replace(result.frame, pts=result.frame.pts - zero, captured_at=later)
        events += second.apply(replace(result, frame=late, tracks=tracks)).events
    found = Counter((event.kind, event.place, event.direction) for event in events)
    wanted = Counter({(EventKind.ENTERED, zone, None): count for zone, count in case.entered.items()})
    wanted += Counter({(EventKind.LEFT, zone, None): count for zone, count in case.left.items()})
    wanted += Counter({(EventKind.CROSSED, *way): count for way, count in case.crossed.items()})
    assert found == +wanted


def test_who_went_on_while_nobody_looked_is_the_same_under_another_id():
    """Killed twice, the second time before the new id was believed; it is a body's length further on."""
    first, second, third = stage(), stage(), stage()
    _, events = walk(first, [(t / 10, [track(0.2 + t * 0.01)]) for t in range(30)])
    second.restore(json.loads(json.dumps(first.state())))
    second.apply(Result(frame(0.1, 4.0), (track(0.65, number=2, state=TrackState.TENTATIVE),)))
    third.restore(json.loads(json.dumps(second.state())))
    for t in range(1, 20):
        events += [
            (t, event) for event in third.apply(Result(frame(t / 10, 5.0 + t / 10), (track(0.7, number=3),))).events
        ]
    assert [(event.kind.value, event.place) for _, event in events] == [
        ("entered", "left half"),
        ("dwelled", "left half"),
        ("crossed", "middle"),
        ("left", "left half"),
    ]


def test_the_nearest_of_two_goes_on_with_a_path():
    """Whatever their ids: two stood side by side while nobody looked, and both have others afterwards."""
    first, second = stage(), stage()
    walk(first, [(t / 10, [track(0.42), track(0.58, number=2)]) for t in range(20)])
    second.restore(json.loads(json.dumps(first.state())))
    events = []
    for t in range(1, 20):
        seen = (track(0.57, number=3), track(0.43, number=4))
        events += second.apply(Result(frame(t / 10, 5.0 + t / 10), seen)).events
    assert [event.kind.value for event in events] == ["dwelled"]


@pytest.mark.slow
def test_a_thousand_scenarios():
    wrong = []
    for seed in range(1000):
        case = scenario(seed)
        if counted(case, stage(case.places, GROUPS, LOST_AFTER)) != (+case.entered, +case.left, +case.crossed):
            wrong.append((seed, case.kind))
    assert not wrong


def test_a_walker_crosses_and_is_told_of_with_all_that_is_known():
    moments = [(t / 10, [track(0.2 + t * 0.01)]) for t in range(60)]
    results, events = walk(stage(), moments)
    assert told(events) == [
        ("entered", 1, "left half", None),
        ("dwelled", 1, "left half", None),
        ("crossed", 1, "middle", "to the right"),
        ("left", 1, "left half", None),
    ]
    _, (_, dwelled), _, (at, left) = events
    assert 2.0 <= dwelled.seconds < 2.2
    assert left.seconds == pytest.approx(3.0, abs=0.2)
    assert left.bbox == next(result for result in results if result.frame.pts == at).tracks[0].mask.bbox
    assert results[20].tracks[0].zones == ("left half",)
    assert results[-1].tracks[0].zones == ()
    assert results[20].tally.inside == {"left half": {"person": 1}}
    assert results[-1].tally.inside == {"left half": {"person": 0}}
    assert results[-1].tally.crossed == {"middle": {"to the left": {"person": 0}, "to the right": {"person": 1}}}


def test_events_follow_those_of_the_life_cycle():
    of = stage()
    for t in range(3):
        of.apply(Result(frame(t / 10), (track(0.2),)))
    started = Event(EventKind.STARTED, 1, "person", 0.9, track(0.2).mask.bbox)
    result = of.apply(Result(frame(0.3), (track(0.2),), (started,)))
    assert [event.kind for event in result.events] == [EventKind.STARTED, EventKind.ENTERED]


def test_a_tentative_track_counts_from_when_it_is_confirmed_and_for_all_it_did():
    moments = [(t, [track(0.3 + 0.1 * t, state=TrackState.TENTATIVE)]) for t in range(4)]
    results, events = walk(of := stage(), moments)
    assert not events
    assert all(not result.tracks[0].zones for result in results)
    _, events = walk(of, [(4, [track(0.7)]), (5, [track(0.75)])])
    assert ("crossed", 1, "middle", "to the right") in told(events)


def test_a_crossing_between_two_frames_a_second_apart_before_the_end_of_a_track():
    _, events = walk(stage(), [(t, [track(0.2 + 0.12 * t)]) for t in range(4)] + [(9.0, [])])
    assert told(events) == [
        ("entered", 1, "left half", None),
        ("dwelled", 1, "left half", None),
        ("crossed", 1, "middle", "to the right"),
        ("left", 1, "left half", None),
    ]


def test_who_ends_inside_leaves_then_and_was_there_until_it_was_seen_last():
    _, events = walk(stage(), [(t / 10, [track(0.2)]) for t in range(11)] + [(3.9, []), (4.1, [])])
    assert [(at, event.kind.value) for at, event in events] == [(0.3, "entered"), (4.1, "left")]
    assert events[-1][1].seconds == pytest.approx(1.0)


def test_another_id_goes_on_with_a_stay():
    _, events = walk(
        stage(),
        [(t / 10, [track(0.2)]) for t in range(11)]
        + [(t / 10, [track(0.21, number=2)]) for t in range(20, 40)]
        + [(9.0, [])],
    )
    assert [(event.kind.value, event.track_id) for _, event in events] == [("entered", 1), ("dwelled", 2), ("left", 2)]
    assert events[-1][1].seconds == pytest.approx(3.9)


def test_two_objects_after_all_are_counted_as_two():
    """Somebody appears where another was lost, who then comes back."""
    before = [(t / 10, [track(0.2)]) for t in range(11)]
    alone = [(t / 10, [track(0.21, number=2)]) for t in range(12, 20)]
    both = [(t / 10, [track(0.1), track(0.3, number=2)]) for t in range(20, 26)]
    results, events = walk(stage(), before + alone + both)
    assert [(event.kind.value, event.track_id) for _, event in events[:2]] == [("entered", 1), ("entered", 2)]
    assert results[-1].tally.inside["left half"]["person"] == 2


def test_one_object_under_a_hundred_ids_is_one_and_of_its_ids_only_the_last_is_remembered():
    def subjects():
        return sum(type(one) is Subject for one in gc.get_objects())

    others, of = subjects(), stage()
    moments = [(number + t / 10, [track(0.25, number=number + 1)]) for number in range(100) for t in range(8)]
    _, events = walk(of, moments)
    assert [event.kind.value for _, event in events] == ["entered", "dwelled"]
    assert subjects() - others <= 2


def test_who_left_over_the_border_of_the_picture_is_not_who_comes_in_there():
    out = [(t / 10, [track(0.2 - 0.02 * t, size=(20, 40))]) for t in range(11)]
    back = [(t / 10, [track(-0.1 + 0.02 * (t - 10), number=2)]) for t in range(14, 30)]
    _, events = walk(stage(), out + back)
    assert [(event.kind.value, event.track_id) for _, event in events][:2] == [("entered", 1), ("entered", 2)]


def test_names_of_a_group_are_counted_once_under_the_name_of_the_moment():
    groups = {"with": "head", "without": "head"}
    names = ["with", "with", "without", "with"] * 20
    moments = [(t / 10, [track(0.2 + 0.01 * t, name=names[t])]) for t in range(60)]
    results, events = walk(stage(groups=groups), moments)
    assert [event.kind.value for _, event in events] == ["entered", "dwelled", "crossed", "left"]
    at, crossed = events[2]
    assert crossed.prompt == next(result for result in results if result.frame.pts == at).tracks[0].prompt
    assert sum(results[-1].tally.entered["left half"].values()) == 1


def test_places_for_some_prompts_ignore_others():
    places = Places((replace(LEFT_HALF, prompts=("dog",)),), (replace(MIDDLE, prompts=("dog",)),))
    moments = [(t / 10, [track(0.2 + 0.01 * t), track(0.2 + 0.01 * t, number=2, name="dog")]) for t in range(60)]
    results, events = walk(stage(places, {"person": None, "dog": None}), moments)
    assert {event.track_id for _, event in events} == {2}
    assert results[10].tracks[0].zones == ()
    assert results[10].tally.inside == {"left half": {"dog": 1}}


def test_a_zone_asks_how_much_of_a_mask_is_in_it():
    places = Places((Zone("door", LEFT_HALF.points, anchor="overlap", share=0.75),))
    moments = [(t / 10, [track(0.7 - 0.01 * t)]) for t in range(40)]
    _, events = walk(stage(places), moments)
    ((at, event),) = events
    assert event.kind is EventKind.ENTERED
    # Its middle is a quarter of its width, or 0.025, within the zone at 0.475; half a window later that is known.
    assert at == pytest.approx(2.25 + 0.25, abs=0.11)


def test_a_zone_is_entered_through_the_border_of_the_picture():
    places = Places((Zone("mat", ((0.3, 0.8), (0.7, 0.8), (0.7, 1.0), (0.3, 1.0))),))
    moments = [(t / 10, [track(0.5, 1.3 - 0.02 * t)]) for t in range(10)] + [
        (t / 10, [track(0.5, 1.1)]) for t in range(10, 20)
    ]
    _, events = walk(stage(places), moments)
    assert [event.kind.value for _, event in events] == ["entered"]


def test_a_restart_adds_the_time_that_has_passed_to_a_stay_and_waits_for_nobody_longer():
    first, second = stage(), stage()
    walk(first, [(t / 10, [track(0.2)]) for t in range(11)])
    second.restore(json.loads(json.dumps(first.state())))
    events = []
    for t in range(60):  # it comes back after more than `lost_after` seconds, on another clock
        seen = (track(0.2 if t < 5 else 0.8),)
        events += second.apply(Result(frame(t / 10, 11.0 + t / 10), seen)).events
    assert [event.kind.value for event in events] == ["dwelled", "crossed", "left"]
    assert events[-1].seconds == pytest.approx(11.4, abs=0.2)


def test_a_reset_begins_the_totals_anew_and_leaves_who_is_inside():
    of = stage()
    walk(of, [(t / 10, [track(0.2)]) for t in range(11)])
    assert of.tally.entered["left half"]["person"] == 1
    of.reset(NOON + timedelta(hours=1))
    assert of.tally.since == NOON + timedelta(hours=1)
    assert of.tally.entered["left half"]["person"] == 0
    assert of.tally.inside["left half"]["person"] == 1


def test_other_prompts_have_totals_at_once():
    of = stage()
    of.set_prompts({"cat": None})
    assert of.tally.inside == {"left half": {"cat": 0}}
    assert of.tally.crossed["middle"]["to the left"] == {"person": 0, "cat": 0}


def test_a_state_of_other_places_loses_only_what_is_not_there():
    first = stage(Places((LEFT_HALF, replace(LEFT_HALF, name="other", anchor="overlap")), (MIDDLE,)))
    walk(first, [(t / 10, [track(0.2)]) for t in range(11)])
    second = stage()
    second.restore(first.state())
    assert second.tally.inside == {"left half": {"person": 1}}
    _, events = walk(second, [(1.1 + t / 10, [track(0.2)]) for t in range(20)])
    assert told(events) == [("dwelled", 1, "left half", None)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.clear(),
        lambda state: state.update(since="noon"),
        lambda state: state.update(entered={"left half": {"person": -1}}),
        lambda state: state["subjects"][0].update(times=[0.1]),
        lambda state: state["subjects"][0].update(point=[0.1, 0.2]),
        lambda state: state["subjects"][0].update(away=-1.0),
        lambda state: state["subjects"][0].update(velocity=[float("nan"), 0.0]),
        lambda state: state.update(subjects=[{}]),
        lambda state: state.update(more=1),
    ],
)
def test_what_is_no_state_is_refused_and_changes_nothing(damage):
    first, second = stage(), stage()
    walk(first, [(t / 10, [track(0.2)]) for t in range(11)])
    state = json.loads(json.dumps(first.state()))
    damage(state)
    with pytest.raises(ValueError):
        second.restore(state)
    assert second.state() == stage().state()
