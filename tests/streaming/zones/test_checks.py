"""Places that cannot be meant are refused in one line that names the key."""

import math

import pytest

from maskcast.places import Line, Places, Zone
from streaming.zones.checks import check_places

SQUARE = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))
BOW_TIE = ((0.1, 0.1), (0.9, 0.9), (0.9, 0.1), (0.1, 0.9))
ZONES = {
    "zones.door.points: has 2 points: a zone needs 3 or more": Zone("door", SQUARE[:2]),
    "zones.door.points: the outline crosses or touches itself (self-intersection[0.5 0.5])": Zone("door", BOW_TIE),
    "zones.door.points: enclose no area": Zone("door", ((0.1, 0.1), (0.5, 0.5), (0.9, 0.9))),
    "zones.door.points: [1.2, 0.5] is outside the picture": Zone("door", (*SQUARE[:2], (1.2, 0.5))),
    "zones.door.points: [nan, 0.5] is outside the picture": Zone("door", (*SQUARE[:2], (math.nan, 0.5))),
    "zones.door.share: 0 is not above 0 and at most 1": Zone("door", SQUARE, share=0.0),
    "zones.door.share: 1.5 is not above 0 and at most 1": Zone("door", SQUARE, share=1.5),
    "zones.door.dwell: 0 is no number of seconds above 0": Zone("door", SQUARE, dwell=0.0),
    "zones.door.dwell: inf is no number": Zone("door", SQUARE, dwell=math.inf),
    "zones.door.prompts: no prompt is named 'cat'; there are 'dog', 'person'": Zone("door", SQUARE, prompts=("cat",)),
}
LINES = {
    "lines.gate.points: has 1 point: a line needs 2 or more": Line("gate", SQUARE[:1]),
    "lines.gate.points: the same point twice in a row": Line("gate", (SQUARE[0], SQUARE[0])),
    "lines.gate.points: [-0.1, 0.5] is outside the picture": Line("gate", ((-0.1, 0.5), (0.5, 0.5))),
    "lines.gate.directions: both are 'in'": Line("gate", SQUARE[:2], directions=("in", "in")),
    "lines.gate.prompts: no prompt is named 'cat'": Line("gate", SQUARE[:2], prompts=("cat",)),
}


@pytest.mark.parametrize("problem", [*ZONES, *LINES])
def test_refuses(problem):
    places = Places((ZONES[problem],)) if problem in ZONES else Places(lines=(LINES[problem],))
    with pytest.raises(ValueError) as refused:
        check_places(places, ["dog", "person"])
    assert str(refused.value).startswith(problem)
    assert "\n" not in str(refused.value)


def test_names_are_unique_among_zones_and_lines():
    with pytest.raises(ValueError, match=r"^lines\.door: there is another zone or line of this name$"):
        check_places(Places((Zone("door", SQUARE),), (Line("door", SQUARE[:2]),)), None)


def test_accepts_what_can_be_meant():
    zones = (Zone("all", SQUARE, prompts=("dog",), anchor="overlap", share=1.0, dwell=0.5), Zone("l", SQUARE[:3]))
    check_places(Places(zones, (Line("gate", SQUARE, prompts=("dog",)),)), ["dog"])
    check_places(Places((Zone("all", SQUARE, prompts=("nobody knows yet",)),)), None)
