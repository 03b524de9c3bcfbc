"""How many objects are visible."""

from __future__ import annotations

from sinks.messages.counts import counts_message
from tests.schemas import validate


def test_objects_are_counted_by_prompt() -> None:
    counts = validate("counts", counts_message("door", {"dog": 2, "行人": 0}))
    assert counts["counts"] == {"dog": 2, "行人": 0}
