"""What became of a stream."""

from __future__ import annotations

from dataclasses import dataclass, field

from maskcast.errors import MaskcastError


@dataclass
class Report:
    """What became of a stream.

    Attributes:
        stream: its id.
        live: whether it could not wait.
        frames: results delivered.
        dropped_before_model: frames of a live stream that the model never saw.
        dropped_by_sinks: results of a live stream that a slow sink never saw.
        tracks: tracks that were confirmed.
        seconds: from the first frame to the end.
        source_seconds: of these, those in which the source decoded, or waited for its camera.
        model_seconds: those that the longer of the model's two stages took; the other one works beside it.
        sink_seconds: those in which each sink wrote, by its name. All three work beside each other.
        sink_frames: results that each sink took, by its name.
        failed_sinks: names of those that failed.
        interrupted: whether it was stopped from outside.
        errors: what went wrong, in order; empty after a clean run.
    """

    stream: str
    live: bool = False
    frames: int = 0
    dropped_before_model: int = 0
    dropped_by_sinks: int = 0
    tracks: int = 0
    seconds: float = 0.0
    source_seconds: float = 0.0
    model_seconds: float = 0.0
    sink_seconds: dict[str, float] = field(default_factory=dict)
    sink_frames: dict[str, int] = field(default_factory=dict)
    failed_sinks: frozenset[str] = frozenset()
    interrupted: bool = False
    errors: list[MaskcastError] = field(default_factory=list)

    @property
    def dropped(self) -> int:
        """Frames that a live stream dropped, before the model or after it."""
        return self.dropped_before_model + self.dropped_by_sinks

    def summary(self) -> str:
        """One line for a person."""
        rate = self.frames / self.seconds if self.seconds else 0.0
        parts = [f"{self.frames} frames", f"{self.tracks} tracks", f"{rate:.1f} frames/s"]
        if self.dropped:
            parts.insert(1, f"{self.dropped} dropped")
        return f"{self.stream}: {', '.join(parts)}{' (interrupted)' if self.interrupted else ''}"
