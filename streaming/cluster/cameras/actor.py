"""A worker's process as the head calls it: every call has a bound, and whatever goes wrong with one says the same."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from maskcast.errors import MaskcastError, WorkerLeftError, unforeseen
from maskcast.threads import in_daemon_thread
from streaming.cluster.failures import in_one_line
from streaming.cluster.origin import Origin
from streaming.cluster.resources import Workers
from streaming.settings.tables import Settings

logger = logging.getLogger(__name__)

# To tell Ray of an actor, or that it is to be killed, takes milliseconds; a cluster whose head is away holds it up.
BEGIN_SECONDS, KILL_SECONDS = 60.0, 5.0


class Actor(Protocol):
    """A `streaming.cluster.cameras.camera_worker.CameraWorker` in another process."""

    async def call(self, method: str, *arguments: object, seconds: float) -> Any:
        """What a method answers.

        Args:
            method: its name.
            arguments: its arguments.
            seconds: to wait at most.

        Raises:
            TimeoutError: it has not answered by then.
            WorkerLeftError: it will not answer any more, and why.
        """

    async def kill(self) -> None:
        """End the process, whatever it does; waits not long."""


class RayActor:
    """One that Ray runs."""

    def __init__(self, handle: Any) -> None:
        """Take the handle that Ray gave."""
        self._handle = handle

    async def call(self, method: str, *arguments: object, seconds: float) -> Any:
        """See `Actor`."""
        try:
            answer = asyncio.wrap_future(getattr(self._handle, method).remote(*arguments).future())
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, if nobody waits
            # Not cancelled when that is too late: Ray would settle it all the same.
            await asyncio.wait([answer], timeout=seconds)
            if answer.done():
                return answer.result()
        except Exception as error:
            raise WorkerLeftError(in_one_line(error).reason) from error
        raise TimeoutError

    async def kill(self) -> None:
        """See `Actor`."""
        import ray

        killing = in_daemon_thread(lambda: ray.kill(self._handle), "kill a worker")
        await asyncio.wait([killing], timeout=KILL_SECONDS)
        if not killing.done():
            logger.warning(
                "Ray has not killed a worker within %g s; without the head it ends its streams itself", KILL_SECONDS
            )
        elif error := killing.exception():
            logger.debug("a worker cannot be killed: %s", unforeseen(error))


def camera_actor(settings: Settings, workers: Workers, origin: Origin) -> Any:
    """Have Ray begin a worker; blocking.

    Args:
        settings: of the process, for the model and the log.
        workers: what each takes.
        origin: of this process.

    Returns:
        Its handle.
    """
    import ray

    from streaming.cluster.cameras.camera_worker import CameraWorker

    options = settings.model.options
    if options.device.startswith("cuda"):  # Ray shows each worker but the one that it has given it
        options = replace(options, device="cuda")
    # One that dies is begun anew by the head, which knows what it had: Ray is not to do so behind its back.
    worker = ray.remote(max_restarts=0, max_task_retries=0, **workers.options)(CameraWorker)
    return worker.remote(
        options,
        max_batch=settings.worker.max_batch,
        batch_wait=settings.worker.batch_wait,
        log_level=settings.log.level,
        log_format=settings.log.format,
        origin=origin,
    )


async def begin_actor(make: Callable[[], Any]) -> RayActor:
    """Begin an actor; Ray looks for a place for it meanwhile.

    Args:
        make: creates it with Ray and returns its handle; blocking.

    Raises:
        MaskcastError: Ray refuses, or does not answer.
    """
    making = in_daemon_thread(make, "begin a worker")
    await asyncio.wait([making], timeout=BEGIN_SECONDS)
    if not making.done():
        raise MaskcastError(f"Ray has not taken it within {BEGIN_SECONDS:g} s")
    try:
        return RayActor(making.result())
    except Exception as error:
        raise in_one_line(error) from error
