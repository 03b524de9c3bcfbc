"""Messages of frames read back: from a line of JSON Lines to what the tracker said."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from maskcast.result import Track
from sinks.messages import rle
from sinks.messages.downscale import upscaled
from sinks.messages.frame import AnyFrameMessage, PlacedTrackMessage

_ANY_VERSION: TypeAdapter[AnyFrameMessage] = TypeAdapter(Annotated[AnyFrameMessage, Field(discriminator="schema_")])


def read_frame(line: bytes) -> AnyFrameMessage:
    """The message in a line, of any version of `maskcast.frame`. Its masks are not looked at.

    Raises:
        ValueError: it is none; the message names the first field that is wrong.
    """
    try:
        message = _ANY_VERSION.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        # The discriminator's value stands before the name of a field.
        field = ".".join(str(part) for part in first["loc"][1:])
        said = f"{field}: {first['msg']}" if field else first["msg"]
        raise ValueError(f"no message of maskcast.frame: {said}") from None
    ids = [track.id for track in message.tracks]
    if len(set(ids)) < len(ids):
        raise ValueError("two tracks have the same id")
    return message


def tracks_of(message: AnyFrameMessage) -> tuple[Track, ...]:
    """The tracks of a frame, in order of id, masks at the frame's size.

    With a `downscale` each pixel of a mask is repeated, so that it covers what it was made of.

    Raises:
        ValueError: a mask is damaged, or is not of the frame's size.
    """
    size = (message.height, message.width)
    reduced = tuple(-(-side // message.downscale) for side in size)
    tracks = []
    for told in sorted(message.tracks, key=lambda told: told.id):
        if told.segmentation.size != reduced:
            height, width = told.segmentation.size
            what = f"{width} x {height} pixels at 1/{message.downscale} of a frame of {size[1]} x {size[0]}"
            raise ValueError(f"track {told.id}: its mask has {what}")
        try:
            mask = rle.decode(told.segmentation.counts, told.segmentation.size)
        except ValueError as error:
            raise ValueError(f"track {told.id}: {error}") from None
        mask = upscaled(mask, message.downscale, size)
        zones = tuple(told.zones) if isinstance(told, PlacedTrackMessage) else ()
        tracks.append(Track(told.id, told.prompt, told.state, told.score, mask, zones))
    return tuple(tracks)
