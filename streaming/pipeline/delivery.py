"""The results of one attempt at a stream, wherever its model is: through the stages to the sinks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

from maskcast.errors import MaskcastError
from maskcast.notices import FramesDropped, Notify, Problem
from maskcast.result import Event, EventKind, Result
from maskcast.stream_info import StreamInfo
from sinks.sink import Sink
from streaming.pipeline.outlet import Outlet
from streaming.pipeline.report import Report
from streaming.pipeline.stage import LateEvents, Stage, staged


class Delivery:
    """Brings results through the stages to an outlet a sink.

    Attributes:
        info: of the source.
        report: what has become of the stream so far.
        reason: why the stream stopped early; None if it did not.
    """

    def __init__(
        self,
        info: StreamInfo,
        sinks: Iterable[Sink],
        stages: Sequence[Stage],
        notify: Notify,
        pending: Iterable[Event] = (),
    ) -> None:
        """Prepare; nothing is opened before `start`.

        Args:
            info: of the source.
            sinks: not yet started.
            stages: what results pass through before the sinks, in this order.
            notify: is told what happens, each problem as soon as it comes; those are in the report, too.
            pending: events that travel with the first result.
        """
        self.info = info
        self.report = Report(info.stream, info.live)
        self.reason: str | None = None
        self._notify = notify
        self._outlets = [Outlet(sink, info, self.record) for sink in sinks]
        self._late = LateEvents(pending)
        self._stages = (self._late, *stages)
        self._started = time.monotonic()

    @property
    def wanted(self) -> bool:
        """Whether results still go anywhere: without sinks the metrics tell what is seen."""
        needed = [outlet for outlet in self._outlets if not outlet.sink.optional]
        return not needed or any(outlet.error is None for outlet in needed)

    async def start(self) -> None:
        """Open the sinks; those that fail are left out, and told of."""
        await _together(f"start {self.info.stream}", [outlet.start() for outlet in self._outlets])

    def add(self, events: Iterable[Event]) -> None:
        """Let events that happened between two frames travel with the next result."""
        self._late.add(events)

    async def deliver(self, results: Iterable[Result], *, wait: bool = False) -> None:
        """Hand results out; offline, or with `wait`, this waits for the sinks.

        Raises:
            StageError: a stage failed; what came before is delivered.
        """
        for result in staged(results, self._stages):
            for outlet in self._outlets:  # all of them have to take it: in turns is as fast, and cheaper, than together
                await outlet.put(result, wait=wait)
            self.report.frames += 1
            self.report.tracks += sum(event.kind is EventKind.STARTED for event in result.events)

    def count_dropped(self) -> None:
        """Tell how many results slow sinks have cost, if there are more."""
        if more := sum(outlet.dropped for outlet in self._outlets) - self.report.dropped_by_sinks:
            self.report.dropped_by_sinks += more
            self._notify(FramesDropped("sink", more))

    async def hurry(self, stop: asyncio.Event) -> None:
        """When `stop` is set, wait not much longer for sinks, such as one whose broker is away."""
        await stop.wait()
        for outlet in self._outlets:
            outlet.hurry()

    async def finish(self) -> None:
        """Deliver what waits, then close the sinks properly."""
        await _together(f"finish {self.info.stream}", [outlet.finish(self.reason) for outlet in self._outlets])

    def interrupt(self) -> None:
        """The stream ends because it was told to."""
        self.report.interrupted, self.reason = True, "interrupted"

    def fail(self, error: MaskcastError) -> None:
        """The stream ends because of this, unless there was a reason before."""
        self.reason = self.reason or str(error)
        self.record(error)

    def record(self, error: MaskcastError) -> None:
        """Something went wrong, and the stream goes on."""
        self.report.errors.append(error)
        self._notify(Problem(error))

    def final_report(self) -> Report:
        """What has become of the stream, once it is over."""
        report, outlets = self.report, self._outlets
        report.seconds = time.monotonic() - self._started
        report.sink_seconds = {outlet.sink.name: outlet.seconds for outlet in outlets}
        report.sink_frames = {outlet.sink.name: outlet.frames for outlet in outlets}
        report.failed_sinks = frozenset(outlet.sink.name for outlet in outlets if outlet.error)
        self.count_dropped()
        return report


async def _together(name: str, calls: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Await calls at the same time, each on a task called `name`; one that fails does not end the others."""
    failures = await asyncio.gather(*(asyncio.create_task(call, name=name) for call in calls), return_exceptions=True)
    for failure in failures:
        if failure is not None:
            raise failure
