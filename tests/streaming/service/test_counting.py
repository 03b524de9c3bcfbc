"""What is counted goes on over attempts and restarts, and begins anew when it is asked for or due."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from maskcast.mask import Box
from maskcast.notices import Notice, PlacesChanged, TalliesChanged, TotalsReset
from maskcast.places import NOWHERE, Line, Places, Tally, Zone
from maskcast.result import Event, EventKind, Result
from sinks.mqtt.journal import Journal
from streaming.pipeline.controls import Controls
from streaming.service import counting
from streaming.service.counting import Counting
from tests.sinks_media import frame, grey

STEP = Line("step", ((0.0, 0.5), (1.0, 0.5)), directions=("in", "out"))
PICTURE = grey(8, 8)
AT_THE_STEP = Places((), (STEP,))
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Clicker:
    """In place of the rule: each event that is given to it is a crossing."""

    def __init__(self, places: Places, *, groups: Mapping[str, str | None], lost_after: float, since: datetime) -> None:
        self.places, self.names, self.lost_after = places, tuple(groups), lost_after
        self.since, self.crossed = since, 0

    @property
    def tally(self) -> Tally:
        return Tally(self.since, {}, {}, {"step": {"in": {"cat": self.crossed}}})

    def set_prompts(self, groups: Mapping[str, str | None]) -> None:
        self.names = tuple(groups)

    def set_places(self, places: Places, now: datetime) -> None:
        self.places, self.since = places, now

    def reset(self, now: datetime) -> None:
        self.since, self.crossed = now, 0

    def apply(self, result: Result) -> Result:
        self.crossed += len(result.events)
        return replace(result, tally=self.tally)

    def state(self) -> dict[str, object]:
        return {"crossed": self.crossed, "since": self.since.isoformat()}

    def restore(self, state: Mapping[str, object]) -> None:
        if set(state) != {"crossed", "since"}:
            raise ValueError("it is no such state")
        self.crossed, self.since = int(str(state["crossed"])), datetime.fromisoformat(str(state["since"]))


@pytest.fixture(autouse=True)
def clicker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "ZonesStage", Clicker)


def counter(journal: Journal, said: list[Notice], controls: Controls, reset: str | None = None) -> Counting:
    return Counting("door", controls, journal, said.append, lost_after=3.0, reset=reset)


def seen(index: int, *, crossings: int = 0, at: datetime = NOON) -> Result:
    happened = Event(EventKind.CROSSED, 1, "cat", 0.9, Box(1, 2, 3, 4), "step", "in")
    return Result(replace(frame(index, PICTURE), captured_at=at), (), (happened,) * crossings)


def crossed(one: Counting) -> int:
    assert one.tally is not None
    return one.tally.crossed["step"]["in"]["cat"]


async def test_a_state_travels_with_events_and_once_a_second_if_it_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    journal, said, clock = Journal(None), [], [0.0]
    monkeypatch.setattr(counting.time, "monotonic", lambda: clock[0])
    one = counter(journal, said, Controls(["cat"], AT_THE_STEP))
    await one.begin()
    assert one.apply(seen(0)).place_state is None, "nothing but what was kept at the start"
    first = one.apply(seen(1, crossings=2)).place_state
    assert first is not None
    assert json.loads(first)["crossed"] == 2
    assert one.apply(seen(2)).place_state is None
    clock[0] += 1.5
    assert one.apply(seen(3)).place_state is None, "it is the same"
    one._stage.crossed = 3  # as a track that goes on its way changes what is known of it
    assert one.apply(seen(4)).place_state is None
    clock[0] += 1.5
    assert one.apply(seen(5)).place_state is not None
    assert [notice.tally.crossed["step"]["in"]["cat"] for notice in said if isinstance(notice, TalliesChanged)] == [
        0,
        2,
        3,
    ]
    await journal.close()


async def test_it_goes_on_over_attempts_and_processes() -> None:
    journal, controls = Journal(None), Controls(["cat"], AT_THE_STEP)
    one = counter(journal, [], controls)
    await one.begin()
    one.stage().apply(seen(0, crossings=2))
    result = one.stage().apply(seen(0, crossings=3))
    assert crossed(one) == 5
    await journal.append("door", result)
    again = counter(journal, [], controls)
    await again.begin()
    assert (crossed(again), again.tally.since) == (5, one.tally.since)
    await journal.keep_places("door", '{"odd": 1}')
    odd = counter(journal, [], controls)
    await odd.begin()
    assert crossed(odd) == 0
    await journal.close()


async def test_prompts_that_change_are_followed() -> None:
    journal, controls = Journal(None), Controls(["cat"], AT_THE_STEP)
    one = counter(journal, [], controls)
    await one.begin()
    controls.set_prompts(["dog", "cat"])
    one.apply(seen(0))
    assert one._stage.names == ("dog", "cat")
    await journal.close()


async def test_a_reset_comes_between_two_frames_and_is_kept() -> None:
    journal, said, controls = Journal(None), [], Controls(["cat"], AT_THE_STEP)
    one = counter(journal, said, controls)
    await one.begin()
    await journal.append("door", one.apply(seen(0, crossings=2)))
    one.ask_reset()
    one.ask_reset()
    assert controls.changed.is_set()
    assert crossed(one) == 2, "frames may be on their way"
    (act,) = controls.acts()
    await act()
    assert crossed(one) == 0
    assert [type(notice) for notice in said][-1] is TotalsReset
    kept = await journal.place_state("door")
    assert kept is not None
    assert json.loads(kept)["crossed"] == 0
    assert controls.acts() == []
    await journal.close()


async def test_the_day_begins_with_the_first_frame_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    journal, controls = Journal(None), Controls(["cat"], AT_THE_STEP)
    one = counter(journal, [], controls, reset="00:00")
    await one.begin()
    due = one._due
    assert due is not None
    one.apply(seen(0, crossings=2, at=due - timedelta(seconds=1)))
    assert crossed(one) == 2
    result = one.apply(seen(1, crossings=1, at=due + timedelta(seconds=1)))
    assert (crossed(one), one.tally.since) == (1, due)
    assert result.place_state is not None
    assert one._due == due + timedelta(days=1) or one._due - due < timedelta(hours=26)
    await journal.close()


async def test_a_day_that_began_while_the_process_was_stopped_begins_once() -> None:
    journal, controls = Journal(None), Controls(["cat"], AT_THE_STEP)
    yesterday = datetime.now(UTC) - timedelta(days=3)
    await journal.keep_places("door", json.dumps({"crossed": 7, "since": yesterday.isoformat()}))
    one = counter(journal, [], controls, reset="00:00")
    await one.begin()
    assert crossed(one) == 0
    assert datetime.now(UTC) - one.tally.since < timedelta(hours=26)
    await journal.append("door", one.apply(seen(0, crossings=2)))
    again = counter(journal, [], controls, reset="00:00")
    await again.begin()
    assert (crossed(again), again.tally.since) == (2, one.tally.since)
    await journal.close()


async def test_the_day_begins_without_frames_too() -> None:
    journal, said, controls = Journal(None), [], Controls(["cat"], AT_THE_STEP)
    one = counter(journal, said, controls, reset="00:00")
    await one.begin()
    one.look()
    assert controls.acts() == [], "not yet"
    one._stage.since -= timedelta(days=2)
    one.look()
    one.look()
    (act,) = controls.acts()
    await asyncio.create_task(act())
    assert isinstance(said[-1], TotalsReset)
    await journal.close()


YARD = Places((Zone("yard", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))),))


async def between_frames(controls: Controls) -> None:
    for act in controls.acts():
        await act()


async def test_places_change_between_two_frames_and_that_is_kept() -> None:
    journal, said, controls = Journal(None), [], Controls(["cat"], AT_THE_STEP)
    one = counter(journal, said, controls)
    await one.begin()
    one.apply(seen(0, crossings=2))
    one.ask_places(YARD)
    both = Places(YARD.zones, AT_THE_STEP.lines)
    one.ask_places(both)
    assert controls.places == both, "wanted at once"
    assert one._stage.places == AT_THE_STEP, "frames may be on their way"
    said.clear()
    await between_frames(controls)
    assert said == [PlacesChanged(one.tally)], "once"
    assert (one._stage.places, crossed(one)) == (both, 2)
    kept = await journal.place_state("door")
    assert kept is not None
    assert json.loads(kept)["since"] == one.tally.since.isoformat()
    await journal.close()


async def test_a_stream_without_places_counts_nothing_until_it_has_some_and_when_it_has_none_any_more() -> None:
    journal, said, controls = Journal(None), [], Controls(["cat"])
    one = counter(journal, said, controls, reset="00:00")
    assert not await one.begin()
    result = seen(0, crossings=1)
    assert one.stage().apply(result) is result
    one.look()
    assert (one.tally, said, controls.acts()) == (None, [], [])
    controls.set_prompts(["dog"])
    one.ask_places(AT_THE_STEP)
    await between_frames(controls)
    assert one._stage.names == ("dog",)
    assert one.apply(seen(1, crossings=3)).tally is not None
    assert crossed(one) == 3
    one.ask_places(NOWHERE)
    one.ask_reset()
    await between_frames(controls)
    assert said[-1] == PlacesChanged(None)
    assert await journal.place_state("door") is None
    assert one.apply(result) is result
    one.ask_places(AT_THE_STEP)
    await between_frames(controls)
    assert crossed(one) == 0
    await journal.close()


async def test_places_that_were_asked_for_before_a_begin_or_an_attempt_are_those_of_it() -> None:
    journal, said, controls = Journal(None), [], Controls(["cat"], AT_THE_STEP)
    one = counter(journal, said, controls)
    await one.begin()
    one.ask_places(YARD)
    await one.begin()
    assert one._stage.places == YARD
    said.clear()
    await between_frames(controls)
    assert said == []
    controls.places = NOWHERE
    assert await one.begin(), "there were some"
    assert not await one.begin()
    assert await journal.place_state("door") is None
    await journal.close()
