"""The model as the streams see it: each opens its state there, has frames tracked, and changes its prompts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskcast.errors import SinkError, UsageError, reason_of
from maskcast.frame import Frame
from maskcast.notices import TrackedFrame
from maskcast.prompts import Prompt, as_prompts, phrases
from maskcast.result import Event, KnownTracks, Result
from maskcast.threads import in_daemon_thread
from streaming.defaults import BATCH_WAIT_SECONDS, MAX_BATCH
from streaming.lean_imports import import_lean
from streaming.pipeline.fair_queue import Lane
from streaming.pipeline.model_thread import ModelThread
from trackers.options import EngineOptions

if TYPE_CHECKING:  # torch takes seconds to import: only the model's thread pays for it
    from trackers.engine import Engine, TrackedStream
    from trackers.memory.track_state import SavedState

# Seconds that a stream waits until its track state is written; the largest, of some 500 MB, takes ten on a slow disk.
SAVE_TIMEOUT_SECONDS = 30.0


class Worker:
    """An `Engine` on threads of its own.

    Attributes:
        thread: which says how it is.
    """

    def __init__(
        self,
        load: Callable[[], Engine],
        *,
        max_batch: int = MAX_BATCH,
        batch_wait: float = BATCH_WAIT_SECONDS,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare.

        Args:
            load: builds the engine, on the worker's thread, when `start` is awaited.
            max_batch: most frames in one pass.
            batch_wait: seconds that a frame waits for others to share its pass.
            beat: called on the worker's threads whenever the model has got on, at least once in `BEAT_SECONDS` while
                it is idle.
        """
        self.thread = ModelThread(load, max_batch=max_batch, batch_wait=batch_wait, beat=beat)
        self._late: set[asyncio.Future[None]] = set()  # track states for which the disk hangs

    async def start(self) -> None:
        """Load the model.

        Raises:
            MaskcastError: as `Engine` does.
        """
        await self.thread.start()

    async def open_stream(
        self,
        prompts: Sequence[str | Prompt],
        track_state: Path | None = None,
        known: KnownTracks | None = None,
        *,
        live: bool = False,
        weight: float = 1.0,
    ) -> tuple[Lane[TrackedStream], list[Event]]:
        """Begin a stream, or go on with the one in `track_state` if that file exists and its disk does not hang.

        Args:
            prompts: what to look for.
            track_state: file that `save_stream` wrote.
            known: what subscribers know of earlier tracks of the stream, if it had any.
            live: whether it goes before streams that can wait.
            weight: its share of the model when there is not enough for all.

        Returns:
            The stream's lane, and the events of tracks that end because their prompt or their memory is gone.

        Raises:
            UsageError, TrackStateError, ModelError: see `Engine.open_stream` and `Engine.resume_stream`.
        """

        def open_or_resume() -> tuple[TrackedStream, list[Event]]:
            engine = self._engine
            if track_state is not None and not self._late:  # all streams would wait for the disk
                engine.require_track_state()
                with suppress(FileNotFoundError):
                    return engine.resume_stream(track_state, prompts, known)
            return engine.reopen_stream(prompts, known) if known else (engine.open_stream(prompts), [])

        def enter() -> tuple[Lane[TrackedStream], list[Event]]:
            stream, events = open_or_resume()
            return self._enter(stream, prompts, live=live, weight=weight), events

        return await self.thread.call(enter)

    async def open_midway(
        self, prompts: Sequence[str | Prompt], state: Path, frames: int, *, weight: float = 1.0
    ) -> Lane[TrackedStream]:
        """Go on with a stream that can wait where `save_midway` left it, behind so many frames.

        Raises:
            FileNotFoundError, TrackStateError, UsageError, ModelError: see `Engine.resume_midway`.
        """

        def enter() -> Lane[TrackedStream]:
            return self._enter(self._engine.resume_midway(state, prompts, frames), prompts, live=False, weight=weight)

        return await self.thread.call(enter, vital=False)

    def _enter(
        self, stream: TrackedStream, prompts: Sequence[str | Prompt], *, live: bool, weight: float
    ) -> Lane[TrackedStream]:
        """On the worker's thread."""
        lane = Lane(stream, live, weight, phrases(as_prompts(prompts)))
        self.thread.queue.lanes.append(lane)
        return lane

    async def goes_on_midway(self) -> bool:
        """See `Engine.goes_on_midway`."""
        return await self.thread.call(lambda: self._engine.goes_on_midway)

    async def midway_about(self, state: Path) -> dict[str, Any] | None:
        """What `save_midway` was given with a state; None if there is none.

        Raises:
            TrackStateError: it is damaged.
        """

        def read() -> dict[str, Any] | None:
            from trackers.memory.track_state import read_about

            with suppress(FileNotFoundError):
                return read_about(state)
            return None

        return await self.thread.call(read, vital=False)

    async def check_prompts(self, prompts: Sequence[str | Prompt]) -> tuple[Prompt, ...]:
        """See `Engine.check_prompts`."""
        return await self.thread.call(lambda: self._engine.check_prompts(prompts), vital=False)

    async def has_track_state(self) -> bool:
        """Whether streams can be saved and resumed."""

        def ask() -> bool:
            try:
                self._engine.require_track_state()
            except UsageError:
                return False
            return True

        return await self.thread.call(ask)

    async def set_prompts(self, lane: Lane[TrackedStream], prompts: Sequence[str | Prompt]) -> list[Event]:
        """Change a stream's prompts between two frames, if it looks for others.

        Returns:
            The events of the tracks that end.

        Raises:
            UsageError: see `Engine.set_prompts`; nothing is changed.
        """
        if as_prompts(prompts) == lane.stream.prompts:
            return []

        def change() -> list[Event]:
            events = self._engine.set_prompts(lane.stream, prompts)
            lane.prompts = phrases(as_prompts(prompts))
            return events

        return await self.thread.call(change)

    async def save_stream(self, lane: Lane[TrackedStream], file: Path, *, final: bool) -> float:
        """Write a stream's track state between two frames; `final` if none follows.

        Returns:
            Seconds that copying and writing it took, without the wait for the model.

        Raises:
            SinkError: it cannot be written, or the disk does not answer, and is left to itself until it does; an older
                track state is unharmed.
        """
        return await self._save(
            lambda: self._engine.save_stream(lane.stream, final=final), lambda state: state.write(file), file
        )

    async def save_midway(self, lane: Lane[TrackedStream], file: Path, about: str) -> float:
        """As `save_stream`, for `open_midway`; with a JSON object for `midway_about`. After the first frame."""
        return await self._save(
            lambda: self._engine.save_midway(lane.stream), lambda state: state.write(file, about), file
        )

    async def _save(self, take: Callable[[], SavedState], write: Callable[[SavedState], None], file: Path) -> float:
        where = f"track state {file}"
        what = f"the disk has not taken it in {SAVE_TIMEOUT_SECONDS:.0f} s: no longer waited for"
        hangs = SinkError(what, where=where)
        if self._late:
            raise hangs

        def copy() -> tuple[SavedState, float]:
            began = time.monotonic()
            return take(), time.monotonic() - began

        state, copying = await self.thread.call(copy)
        began = time.monotonic()
        # On another thread: a slow disk keeps only this stream waiting.
        writing = in_daemon_thread(lambda: write(state), "write track state")
        await asyncio.wait([writing], timeout=SAVE_TIMEOUT_SECONDS)
        if not writing.done():
            self._late.add(writing)
            writing.add_done_callback(self._came)
            raise hangs
        try:
            writing.result()
        except OSError as error:
            raise SinkError(f"cannot be written: {reason_of(error)}", where=where) from error
        return copying + time.monotonic() - began

    def _came(self, writing: asyncio.Future[None]) -> None:
        writing.exception()  # seen, though nobody waits
        self._late.discard(writing)

    async def take(self, lane: Lane[TrackedStream], begin: Callable[[], Future[Frame]]) -> Future[TrackedFrame]:
        """Hand in one frame of one stream; see `ModelThread.take`."""
        return await self.thread.take(lane, begin)

    async def close_stream(self, lane: Lane[TrackedStream]) -> list[Result]:
        """See `Engine.close_stream`."""

        def leave() -> list[Result]:
            self.thread.queue.lanes.remove(lane)
            return self._engine.close_stream(lane.stream)

        return await self.thread.call(leave)

    def close(self) -> None:
        """End the threads after the work that they have begun; does not wait."""
        self.thread.close()

    @property
    def _engine(self) -> Engine:
        return self.thread.engine


def engine_loader(
    options: EngineOptions, beat: Callable[[], None] | None = None, say: Callable[[str], None] | None = None
) -> Callable[[], Engine]:
    """What loads `Engine(options, beat=beat, say=say)`; only then comes torch."""

    def load() -> Engine:
        if not options.compile:
            import_lean()
        from trackers.engine import Engine

        return Engine(options, beat=beat, say=say)

    return load
