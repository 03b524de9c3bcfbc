"""How a stream is, as the page is told: from what happens to it, and what is wanted of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from maskcast.notices import (
    Notice,
    PauseChanged,
    PlacesChanged,
    SourceStatus,
    StreamBegan,
    TalliesChanged,
    TotalsReset,
    TrackedFrame,
)
from maskcast.places import Tally
from maskcast.prompts import Prompt
from maskcast.redaction import redact
from sinks.messages.message import utc_time
from sinks.messages.places import place_tables
from streaming.pipeline.controls import Controls
from streaming.rates import Rates, is_overloaded

# Rates and latencies are those of a second or a little more; of one without frames that long they are told, too.
WINDOW_SECONDS, SILENCE_SECONDS = 1.0, 10.0


class StreamState:
    """Hears what happens to a stream over all attempts, and says how it is. For the pipeline's event loop.

    Attributes:
        recording: says whether it is recorded now.
    """

    def __init__(
        self,
        controls: Controls,
        *,
        max_rate: float | None = None,
        live: bool = True,
        actions: Sequence[str] = (),
        recording: Callable[[], bool] = lambda: False,
        worker: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Begin: the stream is starting, and what is wanted of it is what its settings say.

        Args:
            controls: what is wanted of it, and may change.
            max_rate: most frames a second that are to be tracked; None for all.
            live: whether it cannot wait; said anew when it begins.
            actions: what may be asked for on the page.
            recording: says whether it is recorded now.
            worker: says which worker of a cluster has it now; None if none has.
        """
        self.recording, self._worker = recording, worker
        self._controls, self._prompts, self._places = controls, controls.prompts, controls.places
        self._live, self._actions = live, tuple(actions)
        self._source, self._since = SourceStatus(False, "starting"), datetime.now(UTC)
        self._tally: Tally | None = None
        self._rates, self._rate = Rates(controls, max_rate), (0.0, 0.0)
        self._latencies, self._frames = 0.0, 0
        self._latency: float | None = None

    def notify(self, notice: Notice) -> None:
        """Hear what happens."""
        self._rates.notify(notice)
        match notice:
            case SourceStatus() if notice != self._source:
                self._source, self._since = notice, datetime.now(UTC)
            case StreamBegan(info):
                self._live = info.live
            case PauseChanged():
                self._since = datetime.now(UTC)
            case TalliesChanged(tally) | TotalsReset(tally) | PlacesChanged(tally):
                self._tally = tally
            case TrackedFrame(frame, _, _, done):
                self._latencies, self._frames = self._latencies + done - frame.decoded_at, self._frames + 1
                if self._rates.seconds >= WINDOW_SECONDS:
                    self._measure()

    def _measure(self) -> None:
        self._rate = self._rates.look()
        self._latency = self._latencies / self._frames if self._frames else None
        self._latencies, self._frames = 0.0, 0

    def describe(self) -> dict[str, Any]:
        """How the stream is, as JSON without credentials."""
        if self._rates.seconds >= SILENCE_SECONDS:
            self._measure()
        wanted, tracked = self._rate
        zones, lines = place_tables(self._controls.places)
        worker = self._worker()
        return {
            "online": self._source.online,
            "reason": redact(self._source.reason) if self._source.reason else None,
            "since": utc_time(self._since),
            "paused": self._controls.paused,
            "live": self._live,
            "prompts": [_conditions(prompt) for prompt in self._controls.prompts],
            "control": list(self._actions),
            "rate": {"wanted": round(wanted, 1), "tracked": round(tracked, 1)},
            "overloaded": is_overloaded(wanted, tracked),
            # One that can wait is decoded ahead: that a frame did wait says nothing.
            "latency": round(self._latency, 3) if self._live and self._latency is not None else None,
            "zones": zones,
            "lines": lines,
            "tally": None if self._tally is None else _tally(self._tally),
            "recording": self.recording(),
            "changed": self._controls.prompts != self._prompts or self._controls.places != self._places,
            **({"worker": worker} if worker else {}),
        }


def _conditions(prompt: Prompt) -> dict[str, Any]:
    """What a settings file would say of it: without conditions that are so by default."""
    said = ((field, getattr(prompt, field.name)) for field in fields(prompt))
    return {field.name: given for field, given in said if field.name in {"name", "text"} or given != field.default}


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "since": utc_time(tally.since),
        "inside": {zone: dict(by) for zone, by in tally.inside.items()},
        "entered": {zone: dict(by) for zone, by in tally.entered.items()},
        "crossed": {line: {way: dict(by) for way, by in ways.items()} for line, ways in tally.crossed.items()},
    }
