"""Tables of zones and lines, and the way back."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from maskcast.places import NOWHERE, Line, Places, Zone
from sinks.messages.places import Lines, Zones, place_tables, places_of

SQUARE = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5))
ALL = Places(
    (
        Zone("plain", SQUARE),
        Zone("part", SQUARE, ("dog", "cat"), "overlap", 0.25, 3.5),
        Zone("<b>odd</b> \u884c", SQUARE, anchor="centre", dwell=1.0),
    ),
    (Line("step", SQUARE), Line("gate", SQUARE[:2], ("dog",), "centre", ("in", "out"))),
)


def read(zones: object, lines: object) -> Places:
    return places_of(TypeAdapter(Zones).validate_python(zones), TypeAdapter(Lines).validate_python(lines))


@pytest.mark.parametrize("places", [NOWHERE, ALL])
def test_tables_tell_what_places_are_and_no_more(places: Places) -> None:
    zones, lines = json.loads(json.dumps(place_tables(places)))
    assert read(zones, lines) == places


def test_what_is_so_by_default_is_left_out() -> None:
    zones, lines = place_tables(Places((Zone("door", SQUARE, share=0.3),), (Line("step", SQUARE),)))
    points = [[0.0, 0.0], [1.0, 0.0], [1.0, 0.5]]
    assert (zones, lines) == ({"door": {"points": points}}, {"step": {"points": points}}), "a share is for overlaps"


@pytest.mark.parametrize("points", [True, "0", [[True, 0]], [["0", 0]], [[0, 0, 0]], [[0]], [0, 0], [[-0.1, 0]]])
def test_points_are_pairs_of_numbers(points: object) -> None:
    with pytest.raises(ValidationError):
        read({"door": {"points": points}}, {})
