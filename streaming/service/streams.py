"""The streams of a process come and go: with the settings, at their own end, and at the end of the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from maskcast.errors import MaskcastError
from streaming.service.removal import Removal
from streaming.service.resources import Resources
from streaming.service.supervisor import Supervisor
from streaming.settings.tables import StreamSettings

logger = logging.getLogger(__name__)

# A little more than a publisher takes to deliver what waits. With what follows it is less than systemd grants.
CLOSING_SECONDS = 12.0


class Streams:
    """Those that run, and those that finish what they have begun or are being removed.

    The tasks of a stream are in no group: one whose disk hangs is left behind, and nobody waits for it but the next
    stream of the same name.

    Attributes:
        given_up: those whose supervisor has failed for good, which is a bug.
    """

    def __init__(self, resources: Resources, removal: Removal) -> None:
        """Begin without any.

        Args:
            resources: what the process has once.
            removal: takes back what one leaves that is not in the settings any more.
        """
        self.given_up: set[str] = set()
        self._resources, self._removal = resources, removal
        self._running: dict[str, tuple[Supervisor, asyncio.Task[None]]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._recalls: dict[str, asyncio.Event] = {}  # what ends the removal of a stream

    def supervisors(self) -> dict[str, Supervisor]:
        """Those in the settings, by name, whether they still run or have come to an end of their own."""
        return {name: supervisor for name, (supervisor, _) in list(self._running.items())}

    def unfinished(self) -> list[asyncio.Task[None]]:
        """Those in the settings that have not come to an end."""
        return [task for _, task in self._running.values() if not task.done()]

    def failures(self) -> list[MaskcastError]:
        """What ended those in the settings that did not come to their end."""
        found = ((name, supervisor.failure) for name, supervisor in self.supervisors().items())
        return [failure.at(name) for name, failure in found if failure]

    def measure(self) -> tuple[float, float]:
        """Bring their metrics up to date: frames a second that they want of the model, and that it tracks."""
        rates = [supervisor.stream.measure() for supervisor, task in self._running.values() if not task.done()]
        return sum(wanted for wanted, _ in rates), sum(got for _, got in rates)

    def apply(self, wanted: Mapping[str, StreamSettings]) -> None:
        """Bring the running streams in line with the settings; those that are the same are not touched.

        Nothing here waits for a stream that ends: its disk or its broker may hang.
        """
        for name, supervisor in self.supervisors().items():
            if name not in wanted:
                self.remove(name, self._end(name, removed=True))
                logger.info("%s: removed", name, extra={"stream": name})
            elif supervisor.settings != wanted[name]:
                self._end(name)
        for name, settings in wanted.items():
            if name not in self._running:
                self._begin(name, settings)

    def _begin(self, name: str, settings: StreamSettings) -> None:
        if recall := self._recalls.pop(name, None):
            recall.set()
        supervisor = Supervisor(name, settings, self._resources)
        task = asyncio.create_task(self._supervise(supervisor, self._ending.get(name)), name=f"stream {name}")
        self._running[name] = (supervisor, task)

    async def _supervise(self, supervisor: Supervisor, before: asyncio.Task[None] | None) -> None:
        """Run a stream, but not before the one of the same name has ended: they share topics and files."""
        if before:
            await asyncio.wait([before])
        try:
            await supervisor.run()
        except asyncio.CancelledError:
            raise
        except BaseException:  # a bug in one stream must not take the others down
            logger.exception("%s: given up", supervisor.name, extra={"stream": supervisor.name})
            if self.supervisors().get(supervisor.name) is supervisor:
                self.given_up.add(supervisor.name)

    def _end(self, name: str, *, removed: bool = False) -> asyncio.Task[None]:
        """Tell a stream to end; its task."""
        supervisor, task = self._running.pop(name)
        self.given_up.discard(name)
        supervisor.stop(removed=removed)
        self._leave(name, task)
        return task

    def remove(self, name: str, ending: asyncio.Task[None] | None = None) -> None:
        """Remove what a stream has left, once its task has ended."""
        recall = self._recalls[name] = asyncio.Event()

        async def remove() -> None:
            if ending:
                await asyncio.wait([ending])
            try:
                await self._removal.run(name, recall)
            except Exception:  # a bug; at the next start it is tried again
                logger.exception("%s: cannot be removed", name, extra={"stream": name})
            if self._recalls.get(name) is recall:
                del self._recalls[name]

        self._leave(name, asyncio.create_task(remove(), name=f"removal of {name}"))

    def _leave(self, name: str, task: asyncio.Task[None]) -> None:
        """Let a stream of that name begin only when `task` is done."""
        self._ending[name] = task

        def gone(_: asyncio.Task[None]) -> None:
            if self._ending.get(name) is task:
                del self._ending[name]

        task.add_done_callback(gone)

    async def close(self) -> None:
        """End all streams; one whose disk hangs must not keep the others from saying goodbye."""
        for recall in self._recalls.values():
            recall.set()
        for name in list(self._running):
            self._end(name)
        if self._ending:
            _, late = await asyncio.wait(self._ending.values(), timeout=CLOSING_SECONDS)
            for task in late:
                logger.error("%s has not ended in %.0f s and is left behind", task.get_name(), CLOSING_SECONDS)
