"""What is published of a frame: version 1, 2 for frames that are a file of their own, 3 for streams with places."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from maskcast.result import Result, Track, TrackState
from sinks.messages import rle
from sinks.messages.downscale import downscaled
from sinks.messages.message import (
    BoundingBox,
    FrameIndex,
    Message,
    PlaceName,
    Prompt,
    Score,
    Seconds,
    StreamId,
    Time,
    TrackId,
    rounded_bbox,
    rounded_score,
    utc_time,
)


class Segmentation(Message):
    """A mask in COCO's compressed run-length encoding; ``pycocotools.mask.decode`` reads it as it is."""

    size: Annotated[
        tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]],
        Field(description="Height and width of the mask: the frame's, divided by `downscale`, rounded up."),
    ]
    counts: Annotated[str, Field(min_length=1, description="Compressed run lengths, column by column.")]


class TrackMessage(Message):
    """One object in one frame."""

    id: TrackId
    prompt: Prompt
    state: Annotated[
        Literal[TrackState.TENTATIVE, TrackState.CONFIRMED],
        Field(description="A tentative track may still prove to be a mistake."),
    ]
    score: Score
    bbox: BoundingBox
    area: Annotated[int, Field(ge=0, description="Number of set pixels, at the size of the frame.")]
    segmentation: Annotated[Segmentation, Field(description="The mask in COCO's compressed run-length encoding.")]


class PlacedTrackMessage(TrackMessage):
    """One object in one frame, and the zones that it is in."""

    zones: Annotated[list[PlaceName], Field(description="The zones that it is in; a tentative track is in none.")]


_IN_ORDER = Field(description="In order of id; empty when nothing is visible.")


class _Frame(Message):
    """What the versions share."""

    schema_: Annotated[str, Field(alias="schema", description="Format and version.")]
    stream: StreamId
    frame: FrameIndex
    pts: Seconds
    time: Annotated[Time, Field(description="When the frame was decoded (live) or is shown (offline), UTC.")]
    width: Annotated[int, Field(ge=1, description="Width of the frame in pixels.")]
    height: Annotated[int, Field(ge=1, description="Height of the frame in pixels.")]
    downscale: Annotated[
        int,
        Field(
            ge=1,
            description="Pixels of the frame, in each direction, that one pixel of the masks stands for: 1 unless the "
            "message would be too large. A mask's pixel is set where any of them is.",
        ),
    ]


class FrameMessage(_Frame):
    """All objects that are visible in one frame: a line of JSON Lines, a message on ``<prefix>/<stream>/tracks``."""

    schema_: Annotated[Literal["maskcast.frame/1"], Field(alias="schema", description="Format and version.")]
    tracks: Annotated[list[TrackMessage], _IN_ORDER]


class FileFrameMessage(_Frame):
    """`maskcast.frame/1` with the name of the file that the frame is: for pictures of a folder or a glob."""

    schema_: Annotated[Literal["maskcast.frame/2"], Field(alias="schema", description="Format and version.")]
    file_name: Annotated[
        str,
        Field(
            min_length=1,
            description="Name of the picture's file, as in COCO: relative to the folder that was given, with `/`.",
        ),
    ]
    tracks: Annotated[list[TrackMessage], _IN_ORDER]


class PlacesFrameMessage(_Frame):
    """What is visible in one frame, with the zones that each object is in: of a stream that has zones or lines."""

    schema_: Annotated[Literal["maskcast.frame/3"], Field(alias="schema", description="Format and version.")]
    file_name: Annotated[
        str | None,
        Field(
            description="Name of the picture's file as in `maskcast.frame/2`; null for a frame that has no file of "
            "its own."
        ),
    ]
    tracks: Annotated[list[PlacedTrackMessage], _IN_ORDER]


AnyFrameMessage: TypeAlias = FrameMessage | FileFrameMessage | PlacesFrameMessage


def frame_message(result: Result, downscale: int = 1) -> AnyFrameMessage:
    """The published form of one frame's result, its masks reduced by `downscale` (see `sinks.messages.downscale`).

    Boxes and areas stay those of the masks at the frame's size. A result with a tally is of a stream with places.
    """
    frame = result.frame
    shared: dict[str, Any] = {
        "stream": frame.stream,
        "frame": frame.index,
        "pts": round(frame.pts, 6),
        "time": utc_time(frame.captured_at),
        "width": frame.picture.width,
        "height": frame.picture.height,
        "downscale": downscale,
    }
    if result.tally is not None:
        placed = [PlacedTrackMessage(**_track(track, downscale), zones=list(track.zones)) for track in result.tracks]
        return PlacesFrameMessage(schema_="maskcast.frame/3", file_name=frame.file_name, tracks=placed, **shared)
    tracks = [TrackMessage(**_track(track, downscale)) for track in result.tracks]
    if frame.file_name is None:
        return FrameMessage(schema_="maskcast.frame/1", tracks=tracks, **shared)
    return FileFrameMessage(schema_="maskcast.frame/2", file_name=frame.file_name, tracks=tracks, **shared)


def _track(track: Track, downscale: int) -> dict[str, Any]:
    """What all versions say of a track."""
    mask = downscaled(track.mask, downscale)
    return {
        "id": track.id,
        "prompt": track.prompt,
        "state": TrackState.CONFIRMED if track.state is TrackState.CONFIRMED else TrackState.TENTATIVE,
        "score": rounded_score(track.score),
        "bbox": rounded_bbox(track.mask.bbox),
        "area": track.mask.area,
        "segmentation": Segmentation(size=mask.size, counts=rle.encode(mask)),
    }
