"""A stage that says of each track in which zones it is, what it did there, and which lines it crossed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from maskcast.places import Places, Tally
from maskcast.result import Result
from streaming.zones.totals import Totals


class ZonesStage:
    """Sees the results of one stream in their order; has neither a clock nor a disk.

    It fills `Track.zones` and `Result.tally`, and adds events behind those of the life cycle. It needs nothing of a
    result but tracks and times, so it works on stored ones as well.
    """

    def __init__(self, places: Places, *, groups: Mapping[str, str | None], lost_after: float, since: datetime) -> None:
        """Begin without tracks, and with totals of 0.

        Args:
            places: checked (see `streaming.zones.checks`).
            groups: the group of each prompt in force by its name; None for none.
            lost_after: seconds for which a track that is not seen is where it was; the tracker's own.
            since: when the totals begin, UTC.
        """
        self._groups, self._lost_after = dict(groups), lost_after
        self._totals = Totals(places, groups, since)
        self._tally = self._totals.tally({})

    @property
    def tally(self) -> Tally:
        """What has been counted up to the last result."""
        return self._tally

    def set_prompts(self, groups: Mapping[str, str | None]) -> None:
        """Other prompts are in force; as in the constructor."""
        self._groups = dict(groups)
        self._totals.set_names(groups)
        self._tally = self._totals.tally({})

    def reset(self, now: datetime) -> None:
        """Begin the totals at 0 again, at `now` (UTC); who is inside stays there."""
        self._totals.reset(now)
        self._tally = self._totals.tally({})

    def apply(self, result: Result) -> Result:
        """See `streaming.pipeline.stage.Stage`."""
        return replace(result, tally=self._tally)

    def state(self) -> dict[str, object]:
        """What `restore` takes, as a JSON value: totals, and what is known of living tracks."""
        return {}

    def restore(self, state: Mapping[str, object]) -> None:
        """Go on where another stage stood; places and prompts that are unknown here are left out.

        The first result that follows may have a clock of its own.

        Raises:
            ValueError: it is no such state.
        """
