"""What a long video is taken up from in its middle: all results so far, and the state of the tracker behind them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from maskcast.errors import MaskcastError, SinkError, SourceError, TrackStateError, reason_of
from maskcast.files import partial_name
from maskcast.frame import Frame
from maskcast.prompts import Prompt, names
from maskcast.result import Result
from maskcast.threads import SerialThread
from streaming.pipeline.fair_queue import Lane
from streaming.pipeline.spool_file import Mark, SpoolFile
from streaming.pipeline.spooled_result import line_of, read_line
from streaming.pipeline.worker import SAVE_TIMEOUT_SECONDS, Worker

if TYPE_CHECKING:
    from trackers.engine import TrackedStream

T = TypeVar("T")

logger = logging.getLogger(__name__)

FORMAT = "maskcast.spool/1"


@dataclass(frozen=True)
class Spool:
    """Where it is kept what a video that ends is taken up from by the next run.

    Whoever takes it up decodes the video from its start, gives what is spooled without the model, and goes on behind it
    as if nothing had been: every output is made anew, and is the same as without the break. Only of sources that can
    wait, and where the model `goes_on_midway`; else a video begins anew.

    Attributes:
        state: file of the tracker's state, which says how far the results count.
        results: file of the results.
        about: what they are of: source, model, prompts, all that results depend on. Others are not taken up.
        seconds: between two savings, see `TrackStateFile.seconds`; the first is after as many.
    """

    state: Path
    results: Path
    about: str
    seconds: float

    def remove(self) -> None:
        """Delete both files: the video is done.

        Raises:
            OSError: the disk refuses.
        """
        for file in (self.state, partial_name(self.state), self.results):  # without a state the results are nothing
            file.unlink(missing_ok=True)


class Spooling:
    """The spool of one stream that is being tracked; made by `begin`."""

    def __init__(self, spool: Spool, file: SpoolFile, worker: Worker, prompts: tuple[str, ...]) -> None:
        """Prepare; nothing is there to be given."""
        self._spool, self._file, self._worker, self._prompts = spool, file, worker, prompts
        self._thread = SerialThread(f"spool {spool.results.name}")
        self._stored = self._saved = 0  # results that were found, and that the last state has seen
        self._sound = True  # whether lines still come to the file

    @classmethod
    async def begin(
        cls, spool: Spool, worker: Worker, prompts: Sequence[Prompt], weight: float
    ) -> tuple[Spooling, Lane[TrackedStream]] | None:
        """Open the spool, and the stream behind what it holds. What is damaged or of something else is thrown away.

        Returns:
            None if the model cannot go on midway.

        Raises:
            SinkError: the spool cannot be opened.
            UsageError, ModelError: see `Worker.open_stream`.
        """
        if not await worker.goes_on_midway():
            logger.info("%s: no spool, as with this tracker or a hot start a video always begins anew", spool.results)
            return None
        thread = SerialThread(f"open spool {spool.results.name}")
        file = await thread.run(lambda: SpoolFile(spool.results))
        thread.close()
        spooling = cls(spool, file, worker, names(prompts))
        try:
            lane = await spooling._take_up(prompts, weight)
            if lane is None:
                await spooling._on_disk(spooling._empty)
                lane, _ = await worker.open_stream(prompts, weight=weight)
        except BaseException:
            spooling.close()
            raise
        return spooling, lane

    async def _take_up(self, prompts: Sequence[Prompt], weight: float) -> Lane[TrackedStream] | None:
        """The stream behind what is spooled; None if there is nothing, or nothing of use, which is said."""
        spool = self._spool
        try:
            about = await self._worker.midway_about(spool.state)
            if about is None:
                return None
            if (about.get("format"), about.get("about")) != (FORMAT, spool.about):
                raise ValueError("of another video, or tracked otherwise")  # noqa: TRY301
            mark = Mark.read(about)
            if not await self._on_disk(lambda: self._file.cut(mark)):
                raise ValueError("damaged")  # noqa: TRY301
            lane = await self._worker.open_midway(prompts, spool.state, mark.results, weight=weight)
        except (TrackStateError, FileNotFoundError, ValueError, KeyError) as error:
            logger.warning("%s: not taken up, the video begins anew: %s", spool.results, error)
            return None
        self._stored = self._saved = mark.results
        logger.info("%s: goes on behind %d frames that are tracked already", spool.results, mark.results)
        return lane

    def _empty(self) -> None:
        self._spool.state.unlink(missing_ok=True)  # first: without it the results are nothing
        self._file.cut(Mark())

    @property
    def gives(self) -> bool:
        """Whether there is a result left to be given without the model."""
        return self._file.end.results < self._stored

    async def result_of(self, frame: Frame) -> Result:
        """The spooled result of the next frame.

        Raises:
            SourceError: it is of another one; the spool is removed.
            SinkError: it cannot be read.
        """

        def read() -> Result | None:
            found = read_line(self._file.read())
            return found.of(frame, self._prompts) if found.fits(frame) else None

        try:
            result = await self._on_disk(read)
        except (ValueError, TypeError):
            result = None
        if result is None:
            self._sound = False
            await self._on_disk(self._spool.remove)
            what = f"frame {frame.index} is not the one that was tracked before"
            raise SourceError(what, where=frame.stream, advice="run it again: it begins anew")
        return result

    async def add(self, results: Sequence[Result]) -> None:
        """Keep results that the model has found. Must be awaited before the stream is saved.

        If the disk refuses them, no more are kept: what was saved before stays of use.
        """
        if not self._sound:
            return

        def write() -> None:
            for result in results:
                self._file.add(line_of(result))

        try:
            await self._on_disk(write)
        except SinkError as error:
            self._sound = False
            self.complain(error)

    def complain(self, error: MaskcastError) -> None:
        """Say why nothing can be kept, which is no failure of the video: its next run begins earlier, that is all."""
        logger.warning("%s", error)

    async def save_stream(self, lane: Lane[TrackedStream], file: Path, *, final: bool) -> float:
        """Write the state behind all that was added, if that is more than before; see `Worker.save_stream`."""
        del final  # what comes behind the state is done again, in any case
        if not self._sound or self.gives or self._file.end.results == self._saved:
            return 0.0
        mark = await self._on_disk(self._file.sync)
        about = json.dumps({"format": FORMAT, "about": self._spool.about} | asdict(mark))
        taken = await self._worker.save_midway(lane, file, about)
        self._saved = mark.results
        return taken

    def close(self) -> None:
        """Let go of the file, which stays; does not wait."""
        self._thread.submit(self._file.close)
        self._thread.close()

    async def _on_disk(self, call: Callable[[], T]) -> T:
        """Do something on the spool's thread.

        Raises:
            SinkError: the disk fails, or does not answer.
        """
        where = f"spool {self._spool.results}"
        doing = self._thread.run(call)
        await asyncio.wait([doing], timeout=SAVE_TIMEOUT_SECONDS)
        if not doing.done():
            doing.add_done_callback(lambda late: late.cancelled() or late.exception())
            self._sound = False
            raise SinkError(f"the disk has not answered in {SAVE_TIMEOUT_SECONDS:.0f} s: given up", where=where)
        try:
            return doing.result()
        except OSError as error:
            raise SinkError(f"the disk fails: {reason_of(error)}", where=where) from error
