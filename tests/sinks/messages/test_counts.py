"""How many objects are visible."""

from __future__ import annotations

from sinks.messages.counts import counts_message
from tests.schemas import validate


def test_objects_are_counted_by_prompt() -> None:
    counts = validate("counts", counts_message("door", {"dog": 2, "行人": 0}))
    assert counts["counts"] == {"dog": 2, "行人": 0}


def test_objects_in_zones_are_counted_as_well() -> None:
    found = validate("counts2", counts_message("door", {"dog": 2}, {"gate": {"dog": 1}, "yard": {}}))
    assert (found["schema"], found["counts"]) == ("maskcast.counts/2", {"dog": 2})
    assert found["zones"] == {"gate": {"dog": 1}, "yard": {}}
