"""How long tests wait for what should happen.

A limit says when something hangs, not how fast it is: it is written for a free machine with a test to itself, and
grows with what this machine has to spare. It costs nothing where all is well, because every wait ends with its event.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

# What `_work` takes on a free core of the machine that the limits were written on (one core of an AMD EPYC of 2024).
WORK_SECONDS = 0.004
# Enough for the other processes of a busy machine to have their turns meanwhile.
ROUNDS = 75
# A test that waits has a process of its own that it waits for.
PROCESSES_A_TEST = 2
# By which the workers of a session learn what was measured before they began.
MEASURED = "MASKCAST_TESTS_SLOWNESS"


def _work() -> int:
    return sum(number * number for number in range(100_000))


def measure() -> None:
    """Measure once for this process and all that it starts how slow the machine is, others' load included."""
    if MEASURED in os.environ:
        return
    began = time.monotonic()
    for _ in range(ROUNDS):
        _work()
    os.environ[MEASURED] = str((time.monotonic() - began) / ROUNDS / WORK_SECONDS)


def slowness() -> float:
    """How many times slower than a free one the machine was when the session began, at least 1."""
    measure()
    return max(1.0, float(os.environ[MEASURED]))


def patient(seconds: float) -> float:
    """A limit for this machine and the share of it that a test has; `seconds` is that for a free one."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = workers * PROCESSES_A_TEST / (os.cpu_count() or 1)
    return seconds * slowness() * max(1.0, share)


def eventually(true: Callable[[], Any], seconds: float = 60.0, what: str = "") -> Any:
    """Wait until `true` says something true, and return that; `seconds` as for `patient`."""
    deadline = time.monotonic() + patient(seconds)
    while not (answer := true()):
        assert time.monotonic() < deadline, f"not within {patient(seconds):.0f} s: {what or true}"
        time.sleep(0.02)
    return answer


async def eventually_async(true: Callable[[], Any], seconds: float = 60.0, what: str = "") -> Any:
    """`eventually` beside what else runs in the event loop."""
    deadline = time.monotonic() + patient(seconds)
    while not (answer := true()):
        assert time.monotonic() < deadline, f"not within {patient(seconds):.0f} s: {what or true}"
        await asyncio.sleep(0.01)
    return answer
