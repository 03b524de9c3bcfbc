"""Which streams may be what their workers die of, such as a camera whose video crashes the decoder.

Moved from worker to worker, such a stream would take down one after the other, with all that they have. So whoever has
lost `MOST_DEATHS` workers within `WITHIN_SECONDS` is suspected: one suspect a worker goes on trial at a time. If that
worker dies, it was the suspect, and nobody else is blamed; it is held back for a time that doubles. If it lives, it was
merely beside the culprit, and is a stream as all others.

A state machine without a clock of its own, as `streaming.cluster.cameras.placement`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

# In a large fleet a dead worker's streams part, so only the culprit is there each time. Two deaths may be bad luck.
MOST_DEATHS, WITHIN_SECONDS = 3, 600.0
# A decoder dies of the first frames; ten times what it takes to connect.
TRIAL_SECONDS = 30.0
FIRST_HOLD_SECONDS, LONGEST_HOLD_SECONDS = 600.0, 3600.0


@dataclass
class _Record:
    """What is known of a stream."""

    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_DEATHS))
    suspected: bool = False
    trial: tuple[str, float] | None = None  # on which worker, since when
    held: float = -math.inf  # until when
    convictions: int = 0


class Suspicion:
    """Whom workers die of. All times are seconds of one clock that only goes on."""

    def __init__(self) -> None:
        """Begin without suspicion."""
        self._records: dict[str, _Record] = {}

    def died(self, worker: str, streams: Iterable[str], now: float) -> None:
        """A worker has died, with these streams."""
        self._acquit(now)
        records = [self._records.setdefault(stream, _Record()) for stream in streams]
        tried = [record for record in records if record.trial and record.trial[0] == worker]
        for record in tried:
            record.trial = None
            hold = min(FIRST_HOLD_SECONDS * 2**record.convictions, LONGEST_HOLD_SECONDS)
            record.held, record.convictions = now + hold, record.convictions + 1
        for record in records if not tried else ():
            record.deaths.append(now)
            record.suspected |= len(record.deaths) == MOST_DEATHS and now - record.deaths[0] <= WITHIN_SECONDS

    def suspected(self, stream: str) -> bool:
        """Whether a stream may be what its workers died of."""
        record = self._records.get(stream)
        return record is not None and record.suspected

    def admits(self, stream: str, worker: str, now: float) -> bool:
        """Whether a stream may be placed on a worker now: a suspect not while another is on trial there."""
        record = self._records.get(stream)
        if record is None or not record.suspected:
            return True
        self._acquit(now)
        trials = (one.trial[0] for one in self._records.values() if one.trial)
        return now >= record.held and worker not in trials

    def placed(self, stream: str, worker: str, now: float) -> None:
        """A stream has been placed; a suspect is on trial from now on."""
        record = self._records.get(stream)
        if record and record.suspected:
            record.trial = worker, now

    def forget(self, stream: str) -> None:
        """A stream is not to run any more."""
        self._records.pop(stream, None)

    def _acquit(self, now: float) -> None:
        for stream, record in list(self._records.items()):
            over = record.trial is not None and now - record.trial[1] >= TRIAL_SECONDS
            long_ago = not record.suspected and record.deaths and now - record.deaths[-1] > WITHIN_SECONDS
            if over or long_ago:
                del self._records[stream]
