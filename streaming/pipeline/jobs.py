"""Run several streams with one model: offline ones in turn, live ones at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from maskcast.errors import MaskcastError
from streaming.pipeline.stream import Job, Report, run_stream
from streaming.pipeline.worker import Worker

T = TypeVar("T")

INTERRUPTED = 130


async def run_jobs(
    worker: Worker, at_once: Sequence[Job], one_by_one: Sequence[Job], stop: asyncio.Event
) -> list[Report]:
    """Run all jobs to their ends, or until `stop` is set. A stream that fails leaves the others alone."""

    async def safely(job: Job) -> Report:
        try:
            return await run_stream(job, worker, stop)
        except Exception as error:  # noqa: BLE001 - whatever happens to one stream is not the others' end
            failure = error if isinstance(error, MaskcastError) else MaskcastError(f"{type(error).__name__}: {error}")
            job.problem(failure)
            return Report(stream="", errors=[failure])

    async def queued() -> list[Report]:
        return [Report(stream="", interrupted=True) if stop.is_set() else await safely(job) for job in one_by_one]

    *reports, last = await asyncio.gather(*(safely(job) for job in at_once), queued())
    assert isinstance(last, list)
    return [*(report for report in reports if isinstance(report, Report)), *last]


class _Executor(ThreadPoolExecutor):
    """The event loop's, for name look-ups and the like: the end does not wait for a server or a disk that hangs."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """End without waiting; see `streaming.cli.leave`."""
        super().shutdown(wait=False, cancel_futures=True)


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> T:
    """Run `main` in a new event loop; SIGINT and SIGTERM set its stop event, a second one ends the process at once.

    Returns:
        What `main` returns.
    """

    async def run() -> T:
        stop = asyncio.Event()

        def interrupt() -> None:
            if stop.is_set():
                os._exit(INTERRUPTED)
            stop.set()

        loop = asyncio.get_running_loop()
        loop.set_default_executor(_Executor(thread_name_prefix="asyncio"))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
        return await main(stop)

    return asyncio.run(run())


def exit_code(reports: Sequence[Report]) -> int:
    """The first error's code; else 130 if anything was interrupted; else 0."""
    errors = [error for report in reports for error in report.errors]
    if errors:
        return errors[0].exit_code
    return INTERRUPTED if any(report.interrupted for report in reports) else 0
