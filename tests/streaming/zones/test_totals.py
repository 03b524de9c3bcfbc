"""Totals by place and name: zeros for what is expected, a bound for what is not, and a new beginning."""

from datetime import UTC, datetime

from maskcast.places import Line, Places, Zone
from streaming.zones.totals import MOST_FORMER_NAMES, Totals

SQUARE = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))
DOOR, DOGS = Zone("door", SQUARE), Zone("dogs", SQUARE, prompts=("dog",))
GATE = Line("gate", SQUARE[:2], directions=("in", "out"))
NOON, LATER = datetime(2026, 11, 26, 12, tzinfo=UTC), datetime(2026, 11, 26, 13, tzinfo=UTC)


def totals():
    return Totals(Places((DOOR, DOGS), (GATE,)), ["person", "dog"], NOON)


def test_every_expected_name_has_a_total_from_the_start():
    tally = totals().tally({"door": {"dog": 2}})
    assert tally.since == NOON
    assert tally.places == Places((DOOR, DOGS), (GATE,))
    assert tally.inside == {"door": {"person": 0, "dog": 2}, "dogs": {"dog": 0}}
    assert tally.entered == {"door": {"person": 0, "dog": 0}, "dogs": {"dog": 0}}
    assert tally.crossed == {"gate": {"in": {"person": 0, "dog": 0}, "out": {"person": 0, "dog": 0}}}


def test_counts_and_begins_anew():
    counted = totals()
    counted.enter(DOGS, "dog")
    counted.cross(GATE, "out", "person")
    before = counted.tally({})
    counted.reset(LATER)
    assert before.entered["dogs"] == {"dog": 1}
    assert before.crossed["gate"]["out"] == {"person": 1, "dog": 0}
    assert counted.tally({}) == Totals(Places((DOOR, DOGS), (GATE,)), ["person", "dog"], LATER).tally({})


def test_totals_of_former_prompts_stay_up_to_a_bound():
    counted = totals()
    for number in range(MOST_FORMER_NAMES + 5):
        counted.enter(DOOR, f"thing {number}")
    kept = counted.tally({}).entered["door"]
    assert len(kept) == MOST_FORMER_NAMES + 2
    assert {"person", "dog", "thing 5"} <= kept.keys()
    assert "thing 4" not in kept
    counted.set_names(["cat"])
    assert "cat" in counted.tally({}).entered["door"]
    assert len(counted.tally({}).entered["door"]) == MOST_FORMER_NAMES + 1
