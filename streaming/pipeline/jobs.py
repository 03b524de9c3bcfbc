"""Run several streams with one model: offline ones one by one, live ones at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from maskcast.errors import MaskcastError, ReaderLeftError
from maskcast.notices import Problem
from streaming.pipeline.job import Job
from streaming.pipeline.report import Report
from streaming.pipeline.stream import run_stream
from streaming.pipeline.worker import Worker
from streaming.process import INTERRUPTED


async def run_jobs(
    worker: Worker, at_once: Sequence[Job], one_by_one: Sequence[Job], stop: asyncio.Event
) -> list[Report]:
    """Run all jobs to their ends, or until `stop` is set. A stream that fails leaves the others alone."""

    async def safely(job: Job) -> Report:
        try:
            return await run_stream(job, worker, stop)
        except Exception as error:  # noqa: BLE001 - whatever happens to one stream is not the others' end
            failure = MaskcastError.wrap(error)
            job.notify(Problem(failure))
            return Report(stream="", errors=[failure])

    async def queued() -> list[Report]:
        return [Report(stream="", interrupted=True) if stop.is_set() else await safely(job) for job in one_by_one]

    async with asyncio.TaskGroup() as group:
        live = [group.create_task(safely(job), name=f"live stream {n}") for n, job in enumerate(at_once, 1)]
        others = group.create_task(queued(), name="streams one by one")
    return [*(task.result() for task in live), *others.result()]


def exit_code(reports: Sequence[Report]) -> int:
    """The first failure's code; else 130 if anything was interrupted; else 0."""
    errors = [error for report in reports for error in report.errors if not isinstance(error, ReaderLeftError)]
    if errors:
        return errors[0].exit_code
    return INTERRUPTED if any(report.interrupted for report in reports) else 0
