"""All videos, in rounds: each is one execution of Ray Data under a foreman, over what no earlier round has done.

Nothing here waits for Ray without a bound. A round in which nothing moves any more is given up, its workers are killed,
and the next one begins over what is missing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from maskcast.errors import UsageError
from streaming.cluster.failures import in_one_line
from streaming.cluster.videos.inputs import named_source
from streaming.cluster.videos.plan import Outcome, Video, VideosPlan, View
from streaming.cluster.videos.video_tracker import ANSWER_SECONDS, LEAVE_SECONDS, SILENT_SECONDS
from streaming.pipeline.stopping import unless

T = TypeVar("T")

LOOK_SECONDS = 0.5
# For the foreman's process, on a machine that is busy.
START_SECONDS = 120.0
# Rounds in a row in which no video came to its end. What is left after them are error rows.
MOST_IDLE_ROUNDS = 3
# Nothing moves: no video ended, no frame was tracked, no worker spoke of another phase. A worker gives a silent video
# up before, so then something is wrong between the workers and us; and a worker that died has begun anew before.
STALL_SECONDS = SILENT_SECONDS + LEAVE_SECONDS + 45.0
# No worker has begun yet: the cluster may have to start machines first. That takes minutes in a cloud.
BEGIN_SECONDS = 900.0
# A worker loads its model: compiling the first time takes up to 15 minutes, see `trackers.compilation`.
LOAD_SECONDS = 1800.0
# After Ctrl-C workers come to the end of a frame, save what they know, and finish their files.
STOP_SECONDS = 60.0


class Execution:
    """Has videos tracked by the workers of a Ray that is connected."""

    def __init__(
        self,
        plan: VideosPlan,
        workers: int,
        needs: Mapping[str, Any],
        ended: Callable[[Outcome], None],
        seen: Callable[[View], None],
    ) -> None:
        """Prepare.

        Args:
            plan: what is done with each.
            workers: how many.
            needs: of each worker, as Ray names them.
            ended: is told what became of each video, once.
            seen: is told twice a second how all stands.
        """
        self._plan, self._workers, self._needs = plan, workers, needs
        self._ended, self._seen = ended, seen
        self._attempts: dict[str, int] = {}
        self._began = False  # whether a worker was ever ready
        self._missing: dict[str, Video] = {}

    async def run(self, videos: Sequence[Video], stop: asyncio.Event) -> None:
        """Track all, or those that can be until `stop` is set.

        Raises:
            MaskcastError: no worker can begin.
        """
        self._missing = {video.stream: video for video in videos}
        idle, reason = 0, ""
        while self._missing and not stop.is_set() and idle < MOST_IDLE_ROUNDS:
            before = len(self._missing)
            reason = await self._round(stop) or reason
            idle = idle + 1 if len(self._missing) == before else 0
        for video in list(self._missing.values()):
            if stop.is_set():
                self._take(Outcome(video.stream, interrupted=True))
            else:
                what = f"{named_source(video.source)}: not tracked: {reason or 'the workers died'}"
                self._take(Outcome(video.stream, error=what))

    async def _round(self, stop: asyncio.Event) -> str | None:
        """One execution over what is missing.

        Returns:
            Why it ended before all was done; None if nobody knows.

        Raises:
            MaskcastError: no worker can begin.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from streaming.cluster.videos.foreman import Foreman

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        actor: Any = ray.remote(Foreman)
        workers = min(self._workers, len(self._missing))
        foreman = actor.options(num_cpus=0, scheduling_strategy=here).remote(self._attempts)
        try:
            videos = list(self._missing.values())
            await _answer(foreman.run.remote(self._plan, videos, workers, self._needs), START_SECONDS)
            return await self._follow(foreman, stop)
        except (TimeoutError, ray.exceptions.RayError) as error:
            failure = in_one_line(error)
            if isinstance(failure, UsageError) and not self._began:
                raise failure from None
            return f"the foreman of the workers: {failure}"
        finally:
            with suppress(ray.exceptions.RayError):
                ray.kill(foreman)

    async def _follow(self, foreman: Any, stop: asyncio.Event) -> str | None:
        taken, moved, state, stopped = 0, time.monotonic(), None, 0.0
        while True:
            view: View = await _answer(foreman.look.remote(taken))
            now = time.monotonic()
            taken += len(view.outcomes)
            self._attempts |= view.attempts
            for outcome in view.outcomes:
                # A worker that heard of nobody for long has stopped by itself: its videos are missing still.
                if stop.is_set() or not outcome.interrupted:
                    self._take(outcome)
            self._seen(view)
            if view.failures:
                if not self._began:
                    raise view.failures[0]
                # One machine of many: the others do it.
                self._workers = max(self._workers - len(view.failures), 1)
                return str(view.failures[0])
            self._began = self._began or any(beat.phase == "ready" for beat in view.beats)
            if not self._missing or view.ended:
                return view.error
            state, last = _moving(view), state
            if state != last or view.outcomes:
                moved = now
            if now - moved > _patience(view):
                return f"nothing moved for {now - moved:.0f} s"
            if stop.is_set():
                if not stopped:
                    stopped = now
                    await _answer(foreman.stop.remote())
                if now - stopped > STOP_SECONDS:
                    return None
                await asyncio.sleep(LOOK_SECONDS)
            else:
                await unless(stop, asyncio.sleep(LOOK_SECONDS))

    def _take(self, outcome: Outcome) -> None:
        """Take what became of a video; one that was only stopped is missing still."""
        if outcome.stream in self._missing:
            del self._missing[outcome.stream]
            self._ended(outcome)


def _moving(view: View) -> object:
    """What changes while anything moves."""
    return sorted((beat.worker, beat.phase, beat.frames, beat.transferred) for beat in view.beats)


def _patience(view: View) -> float:
    """Seconds after which a round in which nothing moves is given up."""
    if not view.beats:
        return STALL_SECONDS if view.attempts or view.outcomes else BEGIN_SECONDS
    return LOAD_SECONDS if any(beat.phase == "loading" for beat in view.beats) else STALL_SECONDS


async def _answer(reference: Any, seconds: float = ANSWER_SECONDS) -> Any:
    """What an actor answers.

    Raises:
        TimeoutError: it does not, for long.
    """
    async with asyncio.timeout(seconds):
        return await reference
