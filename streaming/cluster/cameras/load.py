"""How much of a worker's model its streams want, and get."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path

from maskcast.errors import MaskcastError
from maskcast.notices import Notice, TrackedFrame
from streaming.cluster.cameras.messages import StreamLoad, WorkerLoad
from streaming.pipeline.controls import Controls
from streaming.rates import Rates


class LoadCounter:
    """Counts the frames of all streams of a worker, and whose the model's time was."""

    def __init__(self) -> None:
        """Begin to count."""
        self._rates: dict[int, Rates] = {}
        self._passes: list[tuple[int, float, float]] = []  # attempt, when its pass began, what it took
        self._since = time.monotonic()

    def begin(self, attempt: int, controls: Controls, max_rate: float | None) -> None:
        """Count a stream's frames, until `end`."""
        self._rates[attempt] = Rates(controls, max_rate)

    def end(self, attempt: int) -> None:
        """Count them no more."""
        self._rates.pop(attempt, None)

    def notify(self, attempt: int, notice: Notice) -> None:
        """Hear what has happened to a stream."""
        if rates := self._rates.get(attempt):
            rates.notify(notice)
        if isinstance(notice, TrackedFrame):
            self._passes.append((attempt, notice.taken, notice.pace))

    @property
    def seconds(self) -> float:
        """How long it has counted since the last look."""
        return time.monotonic() - self._since

    def look(self, failures: int, death: MaskcastError | None) -> WorkerLoad:
        """How the worker is, since the last look.

        Args:
            failures: of the model, in a row.
            death: why the model's thread has ended, if it has.
        """
        now = time.monotonic()
        seconds, self._since = max(now - self._since, 1e-3), now
        sharing = Counter(taken for _, taken, _ in self._passes)  # frames of one pass were taken at one moment
        spent: dict[int, float] = defaultdict(float)
        for attempt, taken, pace in self._passes:
            spent[attempt] += pace / sharing[taken]
        self._passes.clear()
        streams = {}
        for attempt, rates in self._rates.items():
            wanted, tracked = rates.look()
            streams[attempt] = StreamLoad(wanted, tracked, min(spent[attempt] / seconds, 1.0))
        used, total = _gpu_memory()
        return WorkerLoad(seconds, streams, failures, death, used, total, _rss_bytes())


def _gpu_memory() -> tuple[int, int] | tuple[None, None]:
    """In use on the GPU of this process, and all there is."""
    import torch

    if torch.cuda.is_available():
        with suppress(RuntimeError):  # a GPU that has fallen off the bus is the model's to tell of
            free, total = torch.cuda.mem_get_info()
            return total - free, total
    return None, None


def _rss_bytes() -> int:
    """Resident memory of the process; 0 where nobody tells."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
