"""Signs of life: who makes progress, and telling systemd of it (`sd_notify(3)`)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

EVENT_LOOP = "event loop"
# How often `watch` beats for the event loop.
TICK_SECONDS = 1.0


class Notifier:
    """Tells systemd how the service is. Without systemd, or with a socket that is gone, it does nothing.

    Args:
        address: path of the socket, or ``@name`` of an abstract one; by default what systemd put into
            ``NOTIFY_SOCKET``.
    """

    def __init__(self, address: str | None = None) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    def ready(self) -> None:
        """Starting, or a reload, is done."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={' '.join(text.split())}")

    def alive(self) -> None:
        """Due at least once in every ``WatchdogSec``."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The end begins."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, state: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(state.encode(), self._address)
        except OSError as error:  # systemd is busy or gone: nothing to stop the cameras for
            logger.debug("systemd was not told %s: %s", state, error)


def watchdog_seconds() -> float | None:
    """What systemd's ``WatchdogSec`` is for this process; None if it does not watch."""
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not microseconds.isdecimal() or int(microseconds) == 0 or pid not in {None, str(os.getpid())}:
        return None
    return int(microseconds) / 1e6


class Heartbeat:
    """When each part of the process last made progress. Its methods may be called from any thread.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beats: dict[str, tuple[float, float]] = {}  # last beat, and until when its silence means nothing

    def beat(self, name: str) -> None:
        """A part made progress, and goes on."""
        self._beats[name] = (self._clock(), 0.0)

    def busy(self, name: str, seconds: float) -> None:
        """A part begins something that may take so long in one piece, such as loading the model."""
        now = self._clock()
        self._beats[name] = (now, now + seconds)

    def stalled(self, max_age: float) -> list[str]:
        """Names of the parts that are at work and have made no progress for `max_age` seconds."""
        now = self._clock()
        return sorted(name for name, (last, until) in self._beats.copy().items() if now > max(last + max_age, until))


async def watch(heartbeat: Heartbeat, notifier: Notifier, max_age: float) -> None:
    """Beat for the event loop, and while nothing is stalled tell systemd so at half of its time-out; until cancelled.

    Args:
        heartbeat: where all parts beat.
        notifier: where to say so.
        max_age: seconds without progress after which a part counts as stalled.
    """
    timeout = watchdog_seconds()
    pause = TICK_SECONDS if timeout is None else min(TICK_SECONDS, timeout / 2)
    due = 0.0
    known: list[str] = []
    while True:
        heartbeat.beat(EVENT_LOOP)
        stalled = heartbeat.stalled(max_age)
        if stalled != known:
            text = f"no progress for {max_age:.0f} s: {', '.join(stalled)}" if stalled else "progress again"
            logger.log(logging.ERROR if stalled else logging.INFO, "%s", text)
            notifier.status(text)
            known = stalled
        now = time.monotonic()
        if timeout is not None and not stalled and now >= due:
            notifier.alive()
            due = now + timeout / 2 - pause / 2  # not a tick too late for the clocks' sake
        await asyncio.sleep(pause)
