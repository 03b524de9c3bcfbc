"""Requests that replace zones and lines: read as the settings are, and never harmful."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maskcast.places import NOWHERE, Line, Places, Zone
from sinks.messages.control import ControlMessage3, reply_message
from sinks.messages.places import MOST_LINES, MOST_ZONES, place_tables
from sinks.mqtt.control import MAX_REQUEST_BYTES, ControlError, parse_control
from streaming.zones.checks import check_places
from tests.schemas import VALIDATORS

SQUARE = [[0, 0], [1, 0.0], [1, 1], [0, 1]]
GATE = {"points": SQUARE, "prompts": ["dog "], "anchor": "overlap", "share": 0.25, "dwell": 3}
STEP = {"points": SQUARE[:2], "anchor": "centre", "directions": ["in", "out"]}


def request(**other: Any) -> dict[str, Any]:
    return {"schema": "maskcast.control/3", "action": "places", **other}


def judged(value: Any) -> ControlMessage3 | str:
    """The request, or why not; fails on any other outcome and on an error that is not fit to be published."""
    try:
        found = parse_control(value if isinstance(value, bytes) else json.dumps(value).encode())
    except ControlError as error:
        text = str(error)
        assert text.isascii()
        assert text.isprintable()
        assert len(text) < 300
        return text
    assert isinstance(found, ControlMessage3)
    return found


def test_tables_are_those_of_the_settings() -> None:
    asked = request(zones={"gate": GATE}, lines={"door step": STEP}, id="x")
    VALIDATORS["control3"].validate(asked)
    found = judged(asked)
    assert isinstance(found, ControlMessage3)
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    assert found.places() == Places(
        (Zone("gate", corners, ("dog",), "overlap", 0.25, 3.0),),
        (Line("door step", corners[:2], (), "centre", ("in", "out")),),
    )
    answer = json.loads(reply_message("door", found, None, ["dog"]).json_bytes())
    VALIDATORS["reply3"].validate(answer)
    assert (answer["schema"], answer["action"], answer["id"]) == ("maskcast.reply/3", "places", "x")


@pytest.mark.parametrize("empty", [{"zones": {}}, {"lines": {}}, {"zones": {}, "lines": {}}])
def test_none_at_all_has_to_be_said(empty: dict[str, Any]) -> None:
    VALIDATORS["control3"].validate(request(**empty))
    found = judged(request(**empty))
    assert isinstance(found, ControlMessage3)
    assert found.places() == NOWHERE


@pytest.mark.parametrize("action", ["set", "pause", "reset"])
def test_it_takes_what_version_2_takes(action: str) -> None:
    asked = {"schema": "maskcast.control/3", "action": action}
    asked |= {"prompts": ["cat", {"text": "tabby", "min_area": 0.1}]} if action == "set" else {}
    VALIDATORS["control3"].validate(asked)
    found = judged(asked)
    assert isinstance(found, ControlMessage3)
    assert [prompt.name for prompt in found.wanted()] == ["cat", "tabby"][: len(found.prompts)]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (request(), "places needs zones or lines, {} for none"),
        (request(zones=[]), "zones: must be an object"),
        (request(zones=None), "zones: must be an object"),
        (request(zones={"gate": []}), "zones.gate: must be an object"),
        (request(zones={"gate": {}}), "zones.gate.points: is missing"),
        (request(zones={"gate": {"points": 5}}), "zones.gate.points: must be an array"),
        (request(zones={"gate": {"points": [[0, 1], [1, 1.5]]}}), "zones.gate.points[1][1]: is too large"),
        (request(zones={"gate": {"points": [[0, 1], [-1, 1]]}}), "zones.gate.points[1][0]: is too small"),
        (request(zones={"gate": {"points": [[True, 1]]}}), "zones.gate.points[0][0]: must be a number"),
        (request(zones={"gate": {"points": [[0, 1, 1]]}}), "zones.gate.points[0]: has too many items"),
        (request(zones={"gate": {"points": [[0]]}}), "zones.gate.points[0][1]: is missing"),
        (request(zones={"gate": {"points": SQUARE * 26}}), "zones.gate.points: has too many items"),
        (request(zones={"gate": {**GATE, "dwell": 0}}), "zones.gate.dwell: is too small"),
        (request(zones={"gate": {**GATE, "anchor": "x"}}), "zones.gate.anchor: must be 'bottom'"),
        (request(zones={"gate": {"points": SQUARE, "share": 1}}), 'zones.gate: share needs anchor = "overlap"'),
        (request(zones={"gate": {"points": SQUARE, "colour": 1}}), "unknown field 'colour'"),
        (request(zones={" gate": GATE}), "zones.' gate': begins or ends with a blank"),
        (request(zones={"": GATE}), "zones.'': is empty"),
        (request(zones={"a\n\u202e": GATE}), "zones.'a\\n\\u202e': holds the control character U+000A"),
        (request(lines={"<b>" * 30: STEP}), f"lines.'{'<b>' * 13}<'...: is too long"),
        (request(lines={"step": {**STEP, "directions": ["in"]}}), "lines.step.directions[1]: is missing"),
        (request(zones={f"z{n}": GATE for n in range(MOST_ZONES + 1)}), "zones: has too many items"),
        (request(zones={}, prompts=["dog"]), "places takes no prompts"),
        ({"schema": "maskcast.control/3", "action": "reset", "zones": {}}, "reset takes no zones and no lines"),
        ({"schema": "maskcast.control/2", "action": "places", "zones": {}}, "action: must be 'set', 'add', 'remove'"),
        (b'{"schema": "maskcast.control/3", "action": "places", "zones": {"a": {}, "a": {}}}', "field 'a' is given"),
        (request(zones={"gate": {"points": [[[0, 0], 0]]}}), "brackets are nested more than 5 deep"),
        (b'{"schema": "maskcast.control/3", "action": "places", "zones": {"a": {"points": [[1e999, 0]]}}}', "zones.a."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_key(asked: Any, reason: str) -> None:
    found = judged(asked)
    assert isinstance(found, str)
    assert found.startswith(reason)


def test_the_largest_sensible_request_fits_and_takes_little_time() -> None:
    points = [[round(n / 7919 % 1, 4), round(n * n / 7919 % 1, 4)] for n in range(1000, 1025)]
    zones, lines = ({f"{kind}{n}": {"points": points} for n in range(MOST_ZONES)} for kind in ("zone", "line"))
    assert MOST_ZONES == MOST_LINES
    payload = json.dumps(request(zones=zones, lines=lines, id="i" * 64), separators=(",", ":")).encode()
    assert len(payload) > 0.7 * MAX_REQUEST_BYTES
    began = time.process_time()
    assert isinstance(judged(payload), ControlMessage3)
    assert time.process_time() - began < 0.25


@pytest.mark.parametrize("filler", [b'"', b'\\"', b"[", b'{"":', b"\\", b'"\\', b'","'])
def test_the_largest_request_that_is_none_takes_little_time(filler: bytes) -> None:
    head = b'{"schema": "maskcast.control/3", "action": "places", "zones": "'
    began = time.process_time()
    judged(head + filler * ((MAX_REQUEST_BYTES - len(head)) // len(filler)))
    assert time.process_time() - began < 0.25


# Fuzzing

SCALARS = (
    st.none() | st.booleans() | st.integers(-2, 200) | st.floats(allow_nan=False) | st.text(max_size=6)
    | st.sampled_from(["bottom", "overlap", "dog", "gate"])
)  # fmt: skip
NUMBERS = st.floats(0, 1) | st.sampled_from([0, 1, 0.5]) | SCALARS
POINTS = st.lists(st.lists(NUMBERS, min_size=1, max_size=3), max_size=6) | SCALARS
TABLES = st.fixed_dictionaries(
    {"points": st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=5) | POINTS},
    optional={
        "prompts": st.lists(SCALARS, max_size=2) | SCALARS,
        "anchor": st.sampled_from(["bottom", "centre", "overlap"]) | SCALARS,
        "share": SCALARS,
        "dwell": SCALARS,
        "directions": st.lists(st.text(max_size=3), min_size=1, max_size=3) | SCALARS,
        "odd": SCALARS,
    },
)
BY_NAME = st.dictionaries(st.sampled_from(["gate", "step"]) | st.text(max_size=4), TABLES, max_size=2) | SCALARS
ASKED = st.fixed_dictionaries(
    {"schema": st.just("maskcast.control/3"), "action": st.just("places")},
    optional={"zones": BY_NAME, "lines": BY_NAME, "prompts": SCALARS, "id": SCALARS},
)


def problem_of(places: Places) -> str | None:
    try:
        check_places(places, ["dog"])
    except ValueError as error:
        return str(error)
    return None


@settings(deadline=None, max_examples=80)
@given(ASKED)
@example(request(zones={"a": {"points": [[0, 0], [1, 0], [1, 1]], "prompts": ["a\n"]}}))
def test_what_is_read_follows_the_schema_and_is_checked_or_refused(asked: Any) -> None:
    found = judged(asked)
    if isinstance(found, str):
        return
    assert VALIDATORS["control3"].is_valid(json.loads(json.dumps(asked)))
    places = found.places()
    zones, lines = place_tables(places)
    again = judged(request(zones=zones, lines=lines))
    assert isinstance(again, ControlMessage3)
    assert again.places() == places
    problem = problem_of(places)
    assert problem is None or (problem.isprintable() and problem.startswith(("zones.", "lines.")))
