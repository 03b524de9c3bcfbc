"""Zones and lines in a settings file, and in a file of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskcast.errors import UsageError
from maskcast.places import Line, Places, Zone
from sinks.messages.places import MOST_ZONES
from streaming.settings.places import load_places
from tests.settings_files import load, refusal, stream

TRIANGLE = "points = [[0, 0], [1, 0.0], [0.5, 1]]\n"
STEP = "points = [[0.1, 0.6], [0.9, 0.6]]\n"


def zone(more: str = "", points: str = TRIANGLE) -> str:
    return f"[streams.door.zones.gate]\n{points}{more}\n"


def line(more: str = "", points: str = STEP) -> str:
    return f"[streams.door.lines.step]\n{points}{more}\n"


def test_tables_become_places(tmp_path: Path) -> None:
    text = stream('reset = "23:59"', prompts='["person", "dog"]') + zone(
        'prompts = ["dog "]\nanchor = "overlap"\nshare = 0.3\ndwell = 5'
    )
    door = load(tmp_path, text + line('directions = ["in", "out"]\nanchor = "centre"')).streams["door"]
    assert door.places() == Places(
        (Zone("gate", ((0.0, 0.0), (1.0, 0.0), (0.5, 1.0)), ("dog",), "overlap", 0.3, 5.0),),
        (Line("step", ((0.1, 0.6), (0.9, 0.6)), (), "centre", ("in", "out")),),
    )
    assert door.reset == "23:59"


def test_without_tables_there_are_none(tmp_path: Path) -> None:
    door = load(tmp_path, stream()).streams["door"]
    assert (door.places(), bool(door.places()), door.reset) == (Places(), False, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (zone(points="points = [[0, 0], [1, 1]]\n"), "zones.gate.points: has 2 points: a zone needs 3 or more"),
        (
            zone(points="points = [[0, 0], [1, 1], [1, 0], [0, 1]]\n"),
            "zones.gate.points: the outline crosses",
        ),
        (zone(points="points = [[0, 0], [0, 0], [0, 0]]\n"), "zones.gate.points: enclose no area"),
        (line(points="points = [[0, 0], [0, 0]]\n"), "lines.step.points: the same point twice in a row"),
        (line(points="points = [[0, 0]]\n"), "lines.step.points: has 1 point: a line needs 2 or more"),
        (zone(points="points = [[0, 0], [1.5, 0], [1, 1]]\n"), "zones.gate.points[1][0] = 1.5: must be from 0 to 1"),
        (line(points="points = [[0, 0], [1, 1, 1]]\n"), "lines.step.points[1]: must have at most 2 entries"),
        (line(points="points = [[0, 0], [nan, 1]]\n"), "lines.step.points[1][0] = nan: must be a finite number"),
        (line(points=""), "lines.step.points is missing"),
        (zone('prompts = ["cat"]'), "zones.gate.prompts: no prompt is named 'cat'; there are 'person'"),
        (line('prompts = ["cat"]'), "lines.step.prompts: no prompt is named 'cat'; there are 'person'"),
        (zone('anchor = "top"'), 'zones.gate.anchor = "top": must be bottom or centre or overlap'),
        (line('anchor = "overlap"'), 'lines.step.anchor = "overlap": must be bottom or centre'),
        (zone("share = 0.5"), 'zones.gate: share needs anchor = "overlap"'),
        (zone('anchor = "overlap"\nshare = 0'), "zones.gate.share = 0: must be from 0.01 to 1"),
        (zone("dwell = -1"), "zones.gate.dwell = -1: must be from 0.1 to 86400"),
        (line('directions = ["in", "in"]'), "lines.step.directions: both are 'in'"),
        (line('direction = ["in", "in"]'), "unknown key direction; did you mean directions?"),
        (zone() + f"[streams.door.lines.gate]\n{STEP}", "lines.gate: there is another zone or line of this name"),
        (f'[streams.door.zones." gate"]\n{TRIANGLE}', "begins or ends with a blank"),
        (f'[streams.door.zones.""]\n{TRIANGLE}', "is empty"),
        (f"[streams.door.zones.{'x' * 65}]\n{TRIANGLE}", "at most 64 characters"),
        (
            "".join(f"[streams.door.zones.z{n}]\n{TRIANGLE}" for n in range(MOST_ZONES + 1)),
            "zones: must have at most 32",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    found = refusal(tmp_path, stream() + text)
    assert said in found
    assert "streams.door" in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (stream('reset = "24:00"') + zone(), 'streams.door.reset = "24:00": must be a time of day such as "00:00"'),
        (stream('reset = "00:00"'), "streams.door: reset needs a zone or a line"),
        (stream('reset = "00:00"', source="a.mp4") + zone(), "streams.door: reset needs a source that never ends"),
    ],
)
def test_totals_begin_anew_at_a_time_of_day_of_what_never_ends(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_a_file_of_places(tmp_path: Path) -> None:
    file = tmp_path / "places.toml"
    file.write_text(f"[zones.gate]\n{TRIANGLE}[lines.step]\n{STEP}")
    found = load_places(file, ["person"])
    assert ([one.name for one in found.zones], [one.name for one in found.lines]) == (["gate"], ["step"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "places.toml: no zone and no line; add a table such as [zones.gate]"),
        ("[zones.gate]\npoints = [[0, 0], [1, 1]]\n", "places.toml: zones.gate.points: has 2 points"),
        (f'[lines.step]\n{STEP}prompts = ["cat"]\n', "places.toml: lines.step.prompts: no prompt is named 'cat'"),
        ("[zone.gate]\n", "places.toml: unknown key zone; did you mean zones?"),
        ("[zones.gate\n", "places.toml: line 1"),
    ],
)
def test_what_is_wrong_with_a_file_of_places(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "places.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_places(file, ["person"])
    assert str(caught.value).startswith(said)
    assert caught.value.exit_code == 2


def test_a_file_of_places_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_places(tmp_path / "places.toml", ["person"])
    assert str(caught.value) == f"{tmp_path / 'places.toml'}: no such file"  # `maskcast run` has nothing to do with it
