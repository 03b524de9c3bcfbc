"""What all messages share. Each kind is in a file of its own beside this one.

The JSON Schemas under ``docs/schema/`` and the tables of ``docs/mqtt.md`` are generated from these classes by
``python -m docs.generate``. Any change of the fields asks for a new version, because the schemas admit no other fields.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from maskcast.mask import Box

Score = Annotated[float, Field(ge=0, le=1, description="Confidence of the detection that last supported the track.")]
TrackId = Annotated[int, Field(ge=1, description="Id of the track; never reused within a stream.")]
Prompt = Annotated[str, Field(min_length=1, description="The phrase that the object matches.")]
BoundingBox = Annotated[
    tuple[float, float, float, float],
    Field(description="Left, top, width and height in pixels of the frame, origin at the top left corner."),
]
StreamId = Annotated[str, Field(min_length=1, description="Id of the stream.")]
PlaceName = Annotated[str, Field(min_length=1, description="Name of a zone or a line.")]
FrameIndex = Annotated[int, Field(ge=0, description="0-based count of decoded frames; dropped frames leave gaps.")]
Seconds = Annotated[float, Field(description="Presentation time in seconds on the clock of the medium.")]
EventId = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{32}-\d+$",
        description="Unique: an origin and a number that goes up by one a message of the stream, also over restarts. "
        "The same id twice is the same message, sent again; missing numbers were dropped.",
    ),
]
Time = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        json_schema_extra={"format": "date-time"},
        description="UTC in ISO 8601, to the millisecond.",
    ),
]


class Message(BaseModel):
    """What all published objects share: nothing but the documented fields, and never NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_by_name=True)

    def json_bytes(self) -> bytes:
        """The message as one line of JSON in UTF-8, without the line end."""
        return self.model_dump_json(by_alias=True).encode()


def utc_time(moment: datetime) -> str:
    """As `Time` has it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rounded_score(score: float) -> float:
    """As `Score` has it."""
    # A score is for people and thresholds: four decimals say enough. NaN has no place in JSON; it means "no idea".
    return round(min(max(score, 0.0), 1.0), 4) if math.isfinite(score) else 0.0


def rounded_bbox(box: Box) -> tuple[float, float, float, float]:
    """As `BoundingBox` has it."""
    return (round(box.x, 1), round(box.y, 1), round(box.width, 1), round(box.height, 1))


def now() -> str:
    """The present moment, as `Time` has it."""
    return utc_time(datetime.now(UTC))
