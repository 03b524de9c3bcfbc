"""What has been counted at places."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from maskcast.places import Tally
from sinks.messages.totals import totals_message
from tests.schemas import validate


def test_totals_are_told_by_line_direction_and_prompt_and_by_zone_and_prompt() -> None:
    since = datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=1)))
    tally = Tally(since, {"gate": {"dog": 1}}, {"gate": {"dog": 3}}, {"step": {"in": {"dog": 2}, "out": {}}})
    found = validate("totals", totals_message("door", tally))
    assert found["lines"] == {"step": {"in": {"dog": 2}, "out": {}}}
    assert (found["zones"], found["since"]) == ({"gate": {"dog": 3}}, "2026-01-01T23:00:00.000Z")
