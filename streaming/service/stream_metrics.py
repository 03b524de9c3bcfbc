"""What is measured of one stream of `maskcast run`, from what happens to it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

from maskcast.errors import MaskcastError, ModelError, SinkError, SourceError, UsageError
from maskcast.notices import (
    FramePublished,
    FramesDropped,
    Notice,
    PlacesChanged,
    Problem,
    PromptsChanged,
    RequestsAnswered,
    SourceStatus,
    TalliesChanged,
    TotalsReset,
    TrackedFrame,
)
from maskcast.places import Tally
from sinks.mqtt.journal import Journal
from sinks.mqtt.publisher import Publisher
from sinks.video.recording import RecordingSink
from streaming.pipeline.controls import Controls
from streaming.rates import Rates
from streaming.service.metrics import Metrics


class StreamMetrics:
    """Brings the metrics of one stream up to date."""

    def __init__(self, name: str, metrics: Metrics, controls: Controls, max_rate: float | None) -> None:
        """Prepare.

        Args:
            name: id of the stream.
            metrics: of the process.
            controls: what is wanted of the stream.
            max_rate: most frames a second that are to be tracked; None for all.
        """
        self._name, self._metrics, self._controls = name, metrics, controls
        self._rates = Rates(controls, max_rate)
        self._tally: Tally | None = None  # as it was told last
        self._online: bool | None = None  # None until it has been for the first time
        self._last = time.monotonic()  # of a tracked frame

    def begin(self) -> None:
        """Show the stream, with nothing counted yet."""
        self._metrics.stream_up(self._name, False)
        self._metrics.prompts(self._name, self._controls.names)

    def end(self) -> None:
        """Forget the stream."""
        self._metrics.remove_stream(self._name)

    def notify(self, notice: Notice) -> None:
        """Count what has happened."""
        metrics, name = self._metrics, self._name
        self._rates.notify(notice)
        match notice:
            case SourceStatus(online):
                if online and self._online is False:
                    metrics.reconnected(name)
                if online or self._online is not None:
                    self._online = online
                metrics.stream_up(name, online)
            case TrackedFrame(frame, results, taken, done):
                self._last = done
                metrics.frame_tracked(name)
                metrics.observe("queue", taken - frame.decoded_at)
                metrics.observe("model", done - taken)
                if results:
                    self._show(Counter(track.prompt for track in results[-1].tracks))
            case FramesDropped(where, count):
                metrics.frames_dropped(name, where, count)
            case FramePublished(frame, seconds):
                metrics.observe("publish", seconds)
                metrics.observe("total", time.monotonic() - frame.decoded_at)
            case RequestsAnswered(accepted, count):
                metrics.control(name, "accepted" if accepted else "rejected", count)
            case PromptsChanged(prompts):
                metrics.prompts(name, prompts)
            case TalliesChanged(tally) | TotalsReset(tally):
                self._tally = tally
                metrics.places(name, tally, self._controls.names)
            case PlacesChanged(tally):
                self._tally = tally
                metrics.forget_places(name)
                if tally:
                    metrics.places(name, tally, self._controls.names)
            case Problem(error):
                metrics.errors(name, _kind(error))

    def look(self, publisher: Publisher | None, journal: Journal, recording: RecordingSink | None) -> None:
        """Take what nobody tells, as it is now; call every some seconds."""
        metrics, name = self._metrics, self._name
        if publisher:
            metrics.journal(name, journal.depth(name), journal.dropped(name))
            metrics.broker(name, publisher.connected, publisher.dropped_frames)
        if recording:
            metrics.recording(name, recording.recording, recording.failures)

    def nothing_visible(self) -> None:
        """What was seen last is gone."""
        self._show(Counter())
        if tally := self._tally:
            nobody = {zone: dict.fromkeys(inside, 0) for zone, inside in tally.inside.items()}
            self._metrics.places(self._name, replace(tally, inside=nobody), self._controls.names)

    def _show(self, visible: Counter[str]) -> None:
        for prompt in self._controls.names:
            self._metrics.tracks(self._name, prompt, visible[prompt])

    def idle(self) -> float:
        """Seconds since the last frame was tracked."""
        return time.monotonic() - self._last

    def rates(self) -> tuple[float, float]:
        """Frames a second that were wanted of the model since the last call, and that it tracked."""
        wanted, got = self._rates.look()
        self._metrics.rate(self._name, wanted, got)
        return wanted, got


def _kind(error: MaskcastError) -> str:
    kinds = {SourceError: "source", SinkError: "sink", ModelError: "model", UsageError: "settings"}
    return next((word for known, word in kinds.items() if isinstance(error, known)), "other")
