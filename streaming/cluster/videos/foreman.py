"""The actor that leads one round: it has Ray Data hand the videos out, and hears how far each worker is.

Ray Data may wait for ever when an actor dies (ray#62746), and its waits have no bound. So it runs here and not in the
command: whoever asks the foreman waits for a bounded time, and to kill the foreman is to kill its workers with it,
because Ray ends actors whose owner is gone.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from maskcast.errors import MaskcastError
from streaming.cluster.failures import in_one_line
from streaming.cluster.videos.plan import Answer, Beat, Outcome, Sealed, Video, VideosPlan, View

# A video is begun so often in one command: two deaths of its worker may be bad luck, three are its doing.
MOST_ATTEMPTS = 3
# A worker that was silent for so long is not shown any more; they speak every second.
SPOKEN_SECONDS = 30.0


class Foreman:
    """See above. All methods answer at once."""

    def __init__(self, attempts: Mapping[str, int]) -> None:
        """Begin a round.

        Args:
            attempts: how often each video was begun in the rounds before.
        """
        self._lock = threading.Lock()
        self._attempts = Counter(attempts)
        self._outcomes: list[Outcome] = []
        self._beats: dict[str, tuple[float, Beat]] = {}
        self._failures: list[MaskcastError] = []
        self._stop = self._ended = False
        self._error: str | None = None

    def run(self, plan: VideosPlan, videos: Sequence[Video], workers: int, needs: Mapping[str, Any]) -> None:
        """Have these videos tracked, in their order, on a thread.

        Args:
            plan: what is done with them.
            videos: the longest first, so that none of the long ones is the last.
            workers: how many.
            needs: of each, as Ray names them: `num_cpus`, `num_gpus`, …
        """
        import ray

        me = ray.get_runtime_context().current_actor

        def work() -> None:
            try:
                self._work(plan, videos, workers, needs, me)
            except Exception as error:  # noqa: BLE001 - whatever it is, the round is over
                self._error = str(in_one_line(error))
            self._ended = True

        threading.Thread(target=work, name="Ray Data", daemon=True).start()

    def _work(self, plan: VideosPlan, videos: Sequence[Video], workers: int, needs: Mapping[str, Any], me: Any) -> None:
        import ray.data

        from streaming.cluster.videos.video_tracker import COLUMN, VideoTracker

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        # A block a video: it is what Ray Data hands out, and gives to another worker when one dies.
        rows = ray.data.from_items([{COLUMN: video} for video in videos], override_num_blocks=len(videos))
        outcomes = rows.map_batches(
            VideoTracker,
            fn_constructor_args=(Sealed(plan), me),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(
                min_size=workers,
                max_size=workers,
                # None waits behind a long one.
                max_tasks_in_flight_per_actor=plan.at_once,
                max_concurrent_calls_per_actor=plan.at_once,
                enable_true_multi_threading=True,
            ),
            **needs,
        )
        for row in outcomes.iter_rows():
            outcome: Outcome = row[COLUMN]
            with self._lock:
                self._outcomes.append(outcome)
                if not outcome.interrupted:  # nobody will begin it again
                    self._attempts.pop(outcome.stream, None)

    def begin(self, stream: str) -> Answer:
        """Whether a worker may begin this video, and whether beside others: not if its worker has died before."""
        with self._lock:
            if self._stop:
                return "stop"
            if self._attempts[stream] >= MOST_ATTEMPTS:
                return "too often"
            self._attempts[stream] += 1
            return "go on" if self._attempts[stream] == 1 else "alone"

    def beat(self, beat: Beat) -> Answer:
        """Hear from a worker, and tell it whether to go on."""
        self._beats[beat.worker] = time.monotonic(), beat
        return "stop" if self._stop else "go on"

    def failed(self, error: MaskcastError) -> None:
        """Hear that a worker cannot begin."""
        self._failures.append(error)

    def stop(self) -> None:
        """Begin no other video, and let those that are under way end at their next frame."""
        with self._lock:
            self._stop = True

    def look(self, seen: int) -> View:
        """How the round stands, for somebody who has seen so many outcomes."""
        now = time.monotonic()
        with self._lock:
            return View(
                tuple(self._outcomes[seen:]),
                tuple(beat for at, beat in self._beats.values() if now - at < SPOKEN_SECONDS),
                dict(self._attempts),
                tuple(self._failures),
                self._ended,
                self._error,
            )
