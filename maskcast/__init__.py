"""Video into tracked masks from a phrase.

Example:
    from maskcast import EventKind, track

    for result in track("street.mp4", ["person", "red car"]):
        for seen in result.tracks:
            print(result.frame.pts, seen.id, seen.prompt, seen.score, seen.mask.bbox, seen.mask.area)
        for event in result.events:
            if event.kind is EventKind.STARTED:
                print(f"{event.prompt} {event.track_id} came into view")

A `Result` holds the `Frame` that it is about (with its `Picture`, as RGB or planar YUV), the `Track` of each object in
it (with its `Mask` and its id) and each `Event` that the frame caused. What goes wrong is a `MaskcastError`, whose
message is one line for a person.

Coordinates are pixels of the frame as displayed, from its top left corner; times are seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskcast.audio import AudioPacket
    from maskcast.errors import MaskcastError, ModelError, SinkError, SourceError, UsageError
    from maskcast.frame import Frame
    from maskcast.mask import Box, Mask
    from maskcast.picture import Colour, Image, Picture, Planes
    from maskcast.places import Line, Places, Tally, Zone
    from maskcast.prompts import Prompt
    from maskcast.result import Event, EventKind, Result, Track, TrackState
    from streaming.api import track
    from streaming.tracker import Tracker

    __version__: str

__all__ = [
    "AudioPacket",
    "Box",
    "Colour",
    "Event",
    "EventKind",
    "Frame",
    "Image",
    "Line",
    "Mask",
    "MaskcastError",
    "ModelError",
    "Picture",
    "Places",
    "Planes",
    "Prompt",
    "Result",
    "SinkError",
    "SourceError",
    "Tally",
    "Track",
    "TrackState",
    "Tracker",
    "UsageError",
    "Zone",
    "__version__",
    "track",
]


def __getattr__(name: str) -> Any:
    # Lazily (PEP 562): the process `maskcast` begins with this package and has more urgent things to do than to import
    # numpy, and what tracks stands on the floor above.
    if name in {"track", "Tracker"}:
        from maskcast.shadowing import refuse_shadows

        refuse_shadows()
        return getattr(import_module("streaming.api" if name == "track" else "streaming.tracker"), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("maskcast")
    if name in __all__:
        for file in ("errors", "mask", "picture", "prompts", "audio", "frame", "places", "result"):
            if (found := getattr(import_module(f"maskcast.{file}"), name, None)) is not None:
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
