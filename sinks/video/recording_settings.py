"""What a recording may be told. Imports no encoder, so that settings are read without one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ByteSize, ConfigDict, Field, model_validator

from sinks.video.container import HIGHEST_CRF

_DAY_SECONDS = 86_400.0
_MOST_BYTES = 10**15
Size: TypeAlias = Annotated[ByteSize, Field(ge=1_000_000, le=_MOST_BYTES)]


class RecordingSettings(BaseModel):
    """What is recorded, where, and how much of it is kept.

    A file ends with the first key frame past its limits; `sinks.video.recording.KEY_SECONDS` says how often there is
    one. What overlaps around events becomes one recording. The newest finished file is always kept.
    """

    model_config = ConfigDict(frozen=True)

    folder: Path
    when: Literal["always", "events"] = Field(default="always", description="All the time, or around events only.")
    before: float = Field(default=5.0, ge=0.0, le=60.0, description="Seconds recorded before an event.")
    after: float = Field(default=10.0, ge=0.0, le=3600.0, description="Seconds recorded after an event.")
    segment_seconds: float = Field(default=600.0, ge=1.0, le=_DAY_SECONDS, description="Longest segment, in seconds.")
    segment_bytes: Size = Field(default=ByteSize(500_000_000), description="Largest segment.")
    keep_files: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Segments to keep; the oldest are deleted. Either this or `keep_bytes` is needed.",
    )
    keep_bytes: Size | None = Field(
        default=None,
        description="Space to keep them in; the oldest are deleted. Either this or `keep_files` is needed.",
    )
    min_free_bytes: Annotated[ByteSize, Field(ge=0, le=_MOST_BYTES)] = Field(
        default=ByteSize(500_000_000),
        description="Left free on the disk: first the oldest segments are deleted, then recording waits for room.",
    )
    codec: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        default=None, description="Video encoder; by default H.264, on hardware if it works."
    )
    quality: int | None = Field(
        default=None, ge=0, le=HIGHEST_CRF, description="The encoder's CRF; lower is better and larger."
    )

    @model_validator(mode="after")
    def _bounded(self) -> RecordingSettings:
        if self.keep_files is None and self.keep_bytes is None:
            raise ValueError("keep_files or keep_bytes is missing: without one of them the disk would fill up")
        if self.keep_bytes is not None and self.keep_bytes < self.segment_bytes:
            raise ValueError("keep_bytes must not be less than segment_bytes")
        return self
