"""Where the model's time goes: one clock for the stages of a pass, cheap enough to run always.

A stage is marked where its work is done, with `measured`, as `torch.profiler.record_function` marks a range; whoever
runs the pass says with `StageTimes.running` where the times go. On CUDA a stage is two events in the device's queue,
which are read when the device has passed them: nothing waits for it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch

Stage = Literal["preprocess", "encode", "decode", "propagate", "associate", "remember", "publish"]
# What is counted in each: its time divided by it is what one more of them costs.
UNITS: dict[Stage, str] = {
    "preprocess": "frame",
    "encode": "frame",
    "decode": "prompt",
    "propagate": "object",
    "associate": "frame",
    "remember": "object",
    "publish": "object",
}
STAGES: tuple[Stage, ...] = get_args(Stage)
# A pass has some ten stages and ends by waiting for the device, so few are ever open; more are lost, not kept.
MOST_OPEN = 1024


@dataclass
class Spent:
    """What a stage has taken so far.

    Attributes:
        seconds: of the device; on a CPU those of the clock.
        units: how many frames, prompts or objects it has seen, see `UNITS`.
    """

    seconds: float = 0.0
    units: int = 0


class StageTimes:
    """Adds up the times of an engine's stages. Any thread may measure, and read `totals`."""

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        """Begin at zero.

        Args:
            device: where the stages run.
            clock: in seconds; not used on CUDA. On MPS, which has no such events here, it sees the work being queued.
        """
        self._device, self._clock = device, clock
        self._spent: dict[Stage, Spent] = {stage: Spent() for stage in STAGES}
        self._open: deque[tuple[Stage, int, Any, Any]] = deque(maxlen=MOST_OPEN)
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Take the times of all stages that this thread marks meanwhile."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)
            self._collect()

    def totals(self) -> dict[Stage, Spent]:
        """A copy of what each stage has taken so far, as far as the device has got."""
        with self._lock:
            return {stage: replace(spent) for stage, spent in self._spent.items()}

    def mark(self) -> Any:
        """A moment of the device."""
        if self._device.type != "cuda":
            return self._clock()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def add(self, stage: Stage, units: int, begin: Any, end: Any) -> None:
        """Count a stage between two moments."""
        with self._lock:
            if self._device.type == "cuda":
                self._open.append((stage, units, begin, end))
            else:
                self._count(stage, units, end - begin)

    def _collect(self) -> None:
        with self._lock:
            while self._open and self._open[0][3].query():
                stage, units, begin, end = self._open.popleft()
                self._count(stage, units, begin.elapsed_time(end) / 1e3)

    def _count(self, stage: Stage, units: int, seconds: float) -> None:
        spent = self._spent[stage]
        spent.seconds += seconds
        spent.units += units


_CURRENT: ContextVar[StageTimes | None] = ContextVar("stage times", default=None)


@contextmanager
def measured(stage: Stage, units: int) -> Iterator[None]:
    """Mark a stage; one that raises is not counted.

    Args:
        stage: which.
        units: how many frames, prompts or objects it sees, see `UNITS`.
    """
    times = _CURRENT.get()
    if times is None:
        yield
        return
    begin = times.mark()
    yield
    times.add(stage, units, begin, times.mark())
