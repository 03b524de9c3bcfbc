"""Counting at the zones and lines of one stream of `maskcast run`: over all attempts at it, and over restarts."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime

from maskcast.notices import Notify, PlacesChanged, TalliesChanged, TotalsReset
from maskcast.places import Places, Tally
from maskcast.prompts import groups
from maskcast.result import Result
from sinks.mqtt.journal import Journal
from streaming.pipeline.controls import Controls
from streaming.service.daily import last_time, next_time
from streaming.zones.stage import ZonesStage

logger = logging.getLogger(__name__)

# What a killed process forgets of where tracks were; what was counted it does not forget.
KEEP_SECONDS = 1.0


class Counting:
    """A stage that counts, and says with each result what has to be kept so that a restart goes on from there.

    Without places it passes results on as they are, and nothing is kept.

    Whatever changes a total comes with an event, and the journal takes both in one transaction. So the totals are the
    events, however the process ends.
    """

    def __init__(
        self,
        name: str,
        controls: Controls,
        journal: Journal,
        notify: Notify,
        *,
        lost_after: float,
        reset: str | None = None,
    ) -> None:
        """Prepare; `begin` comes first.

        Args:
            name: id of the stream.
            controls: its prompts, and its zones and lines.
            journal: where is kept what a restart needs.
            notify: is told what has been counted.
            lost_after: seconds for which a track that is not seen is where it was.
            reset: local time of day at which the totals begin anew, ``HH:MM``; None for never.
        """
        self._name, self._controls, self._journal, self._notify = name, controls, journal, notify
        self._lost_after, self._daily = lost_after, reset
        self._prompts, self._places = controls.prompts, controls.places
        self._stage = self._new_stage()
        self._due: datetime | None = None  # the next reset of the day
        self._asked: datetime | None = None  # a reset that is to come between two frames
        self._told: Tally | None = None
        self._kept = ""
        self._kept_at = float("-inf")

    def _new_stage(self) -> ZonesStage:
        return ZonesStage(
            self._places, groups=groups(self._prompts), lost_after=self._lost_after, since=datetime.now(UTC)
        )

    @property
    def tally(self) -> Tally | None:
        """What has been counted; None without places."""
        return self._stage.tally if self._places else None

    async def begin(self) -> bool:
        """Take up what an earlier process, or an earlier stream of that name in this one, has kept.

        Returns:
            Whether there were places then and are none any more.
        """
        self._follow_prompts()
        self._places = self._controls.places
        self._stage = self._new_stage()
        kept = await self._journal.place_state(self._name)
        if not self._places:
            if kept:
                await self._journal.keep_places(self._name, None)
            return bool(kept)
        if kept:
            try:
                self._stage.restore(json.loads(kept))
            except ValueError as error:
                what = "%s: what was counted is lost: %s"
                logger.error(what, self._name, str(error).splitlines()[0], extra={"stream": self._name})  # noqa: TRY400 - one line says it
                self._stage = self._new_stage()
        now = datetime.now(UTC)
        if self._daily and self._stage.tally.since < (boundary := last_time(self._daily, now)):
            self._stage.reset(boundary)
        self._due = next_time(self._daily, now) if self._daily else None
        await self._keep()
        self._tell()
        return False

    def stage(self) -> Counting:
        """The stage of an attempt: it goes on where the one before stood, with a clock of its own."""
        before, self._stage = self._stage, self._new_stage()
        self._stage.restore(before.state())
        return self

    def apply(self, result: Result) -> Result:
        """See `streaming.pipeline.stage.Stage`."""
        if not self._places:
            return result
        self._follow_prompts()
        if anew := self._due is not None and result.frame.captured_at >= self._due:
            self._begin_the_day(result.frame.captured_at)
        counted = self._stage.apply(result)
        self._tell()
        now = time.monotonic()
        if counted.events or anew or now - self._kept_at >= KEEP_SECONDS:
            self._kept_at = now
            if (state := self._state()) != self._kept:
                self._kept = state
                counted = replace(counted, place_state=state)
        return counted

    def ask_places(self, places: Places) -> None:
        """Count at these as soon as no frame is on its way."""
        self._controls.places = places
        self._controls.between_frames(self._follow_places)

    async def _follow_places(self) -> None:
        """Places that stay count on; see `ZonesStage.set_places`."""
        if self._places == self._controls.places:
            return
        self._follow_prompts()
        before, self._places = self._places, self._controls.places
        if before and self._places:
            self._stage.set_places(self._places, datetime.now(UTC))
        else:
            self._stage = self._new_stage()
        self._told = self.tally
        await self._keep()
        self._notify(PlacesChanged(self.tally))
        said = "%s: zones and lines are as asked for, until it begins anew"
        logger.info(said, self._name, extra={"stream": self._name})

    def _follow_prompts(self) -> None:
        if self._prompts is not self._controls.prompts:
            self._prompts = self._controls.prompts
            self._stage.set_prompts(groups(self._prompts))

    def ask_reset(self) -> None:
        """Begin the totals anew as soon as no frame is on its way."""
        self._reset_at(datetime.now(UTC))

    def look(self) -> None:
        """See whether it is time for the reset of the day, though no frame comes; call every some seconds."""
        if self._places and self._daily and self._tally_before(boundary := last_time(self._daily, datetime.now(UTC))):
            self._reset_at(boundary)

    def _tally_before(self, boundary: datetime) -> bool:
        return self._stage.tally.since < boundary

    def _reset_at(self, moment: datetime) -> None:
        waiting, self._asked = self._asked, moment
        if waiting is None:
            self._controls.between_frames(self._reset)

    async def _reset(self) -> None:
        moment, self._asked = self._asked, None
        if moment is None or not (self._places and self._tally_before(moment)):  # as when the day began with a frame
            return
        self._stage.reset(moment)
        self._due = next_time(self._daily, datetime.now(UTC)) if self._daily else None
        await self._keep()
        self._notify(TotalsReset(self._stage.tally))
        logger.info("%s: totals begin anew", self._name, extra={"stream": self._name})

    def _begin_the_day(self, now: datetime) -> None:
        assert self._daily
        self._stage.reset(last_time(self._daily, now))
        self._due = next_time(self._daily, now)

    async def _keep(self) -> None:
        self._kept = self._state()
        await self._journal.keep_places(self._name, self._kept if self._places else None)

    def _state(self) -> str:
        return json.dumps(self._stage.state(), separators=(",", ":"))

    def _tell(self) -> None:
        if (tally := self._stage.tally) != self._told:
            self._told = tally
            self._notify(TalliesChanged(tally))
