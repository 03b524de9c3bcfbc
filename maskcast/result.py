"""What a tracker says of a frame: the objects in it, and what happened to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from maskcast.errors import UsageError
from maskcast.frame import Frame
from maskcast.mask import Box, Mask
from maskcast.places import Tally

if TYPE_CHECKING:
    from supervision import Detections


class TrackState(StrEnum):
    """Where a track stands in its life: tentative, then confirmed and lost by turns, then ended."""

    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    LOST = "lost"
    ENDED = "ended"


class EventKind(StrEnum):
    """What happened to a track: a change in its life, or something at a place."""

    STARTED = "started"
    LOST = "lost"
    RECOVERED = "recovered"
    ENDED = "ended"
    ENTERED = "entered"
    LEFT = "left"
    DWELLED = "dwelled"
    CROSSED = "crossed"


# Those of the life cycle, and those about a zone or a line.
LIFE_EVENTS = (EventKind.STARTED, EventKind.LOST, EventKind.RECOVERED, EventKind.ENDED)
PLACE_EVENTS = (EventKind.ENTERED, EventKind.LEFT, EventKind.DWELLED, EventKind.CROSSED)


@dataclass(frozen=True, slots=True)
class Track:
    """One object in one frame.

    Attributes:
        id: positive, never reused within a stream.
        prompt: name of the prompt that the object matches.
        state: tentative or confirmed; other states have no mask in this frame and are not listed.
        score: confidence in [0, 1] of the detection that last supported the track.
        mask: at the frame's size.
        zones: names of those that it is in.
    """

    id: int
    prompt: str
    state: TrackState
    score: float
    mask: Mask
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """A confirmed track started, was lost, was recovered or ended at a frame, or it did something at a place.

    Attributes:
        kind: what happened.
        track_id, prompt: of which track.
        score: the track's last score, in [0, 1].
        bbox: where it was last seen, in pixels of the frame.
        place: name of the zone or the line; None for the life cycle.
        direction: in which a line was crossed; None for others.
        seconds: in the zone so far, when it dwelled or left; None for others.
    """

    kind: EventKind
    track_id: int
    prompt: str
    score: float
    bbox: Box
    place: str | None = None
    direction: str | None = None
    seconds: float | None = None

    @property
    def appears(self) -> bool:
        """Whether the object comes into view: it is new, or was lost."""
        return self.kind in {EventKind.STARTED, EventKind.RECOVERED}


@dataclass(frozen=True, slots=True)
class KnownTracks:
    """What subscribers know of a stream's tracks, whatever the process that told them has forgotten since.

    Attributes:
        alive: the last event of each track that has started and not ended, by id.
        highest: the highest id that they ever heard of; 0 for none.
    """

    alive: Mapping[int, Event] = field(default_factory=dict)
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What a tracker says of one frame.

    Attributes:
        frame: which one.
        tracks: the objects that are visible in it, in order of id.
        events: what happened to tracks at this frame.
        lost: tracks that are lost in it, where they were seen last; only where sinks hide objects.
        tally: what has been counted up to it; None without zones and lines.
        place_state: what counting must know after a restart to go on from this frame, as JSON, where it is to be kept:
            together with the events, whatever happens to the process.
        prompts: names of those that were looked for, in their order.
    """

    frame: Frame
    tracks: tuple[Track, ...] = ()
    events: tuple[Event, ...] = ()
    lost: tuple[Track, ...] = ()
    tally: Tally | None = None
    place_state: str | None = None
    prompts: tuple[str, ...] = ()

    def to_supervision(self) -> Detections:
        """The tracks, tentative ones too, as the package `supervision` draws, counts and evaluates them.

        Returns:
            Of N tracks in a frame of H by W pixels: ``xyxy`` ``(N, 4)`` float32, left, top, right and bottom border in
            pixels; ``mask`` ``(N, H, W)`` bool; ``confidence`` ``(N,)`` float32 in [0, 1]; ``tracker_id`` ``(N,)``
            int64; ``class_id`` ``(N,)`` int64, the place of the track's prompt among `prompts`, from 0; and
            ``data["class_name"]`` ``(N,)`` str, its name.

        Raises:
            UsageError: the package is not installed.
        """
        try:
            from supervision import Detections
        except ImportError as error:
            advice = "pip install supervision"
            raise UsageError(f"supervision cannot be imported: {error}", advice=advice) from error

        names = list(dict.fromkeys((*self.prompts, *(track.prompt for track in self.tracks))))
        boxes = np.array([track.mask.bbox for track in self.tracks], np.float32).reshape(-1, 4)
        size = (self.frame.picture.height, self.frame.picture.width)
        return Detections(
            xyxy=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
            mask=np.array([track.mask.full() for track in self.tracks], np.bool_).reshape(-1, *size),
            confidence=np.array([track.score for track in self.tracks], np.float32),
            class_id=np.array([names.index(track.prompt) for track in self.tracks], np.int64),
            tracker_id=np.array([track.id for track in self.tracks], np.int64),
            data={"class_name": np.array([track.prompt for track in self.tracks], np.str_)},
        )
