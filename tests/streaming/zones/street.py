"""A street whose left half is a zone: tracks on it, and what a stage says of them."""

from datetime import UTC, datetime, timedelta

import numpy as np

from maskcast.frame import Frame
from maskcast.mask import Mask
from maskcast.places import Line, Places, Zone
from maskcast.result import Result, Track, TrackState
from streaming.zones.stage import ZonesStage

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
LEFT_HALF = Zone("left half", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)), dwell=2.0)
MIDDLE = Line("middle", ((0.5, 0.0), (0.5, 1.0)), directions=("to the left", "to the right"))
PLACES = Places((LEFT_HALF,), (MIDDLE,))
PERSON = {"person": None}


def stage(places=PLACES, groups=PERSON, lost_after=3.0):
    return ZonesStage(places, groups=groups, lost_after=lost_after, since=NOON)


def track(x, y=0.5, *, number=1, name="person", state=TrackState.CONFIRMED, size=(20, 40)):
    """One whose feet are at shares of a picture of 200 x 100 pixels."""
    width, height = size
    left, top = round(x * 200 - width / 2), round(y * 100 - height)
    array = np.ones((height, width), np.bool_)[max(-top, 0) :, max(-left, 0) : max(200 - left, 0)]
    return Track(number, name, state, 0.9, Mask.from_array(array, (100, 200), max(left, 0), max(top, 0)))


def frame(pts, captured=None):
    return Frame("street", round(pts * 100), pts, NOON + timedelta(seconds=pts if captured is None else captured), None)


def walk(of, moments):
    """What a stage says of tracks at moments: results, and events of places with their times."""
    results = [of.apply(Result(frame(pts), tuple(tracks))) for pts, tracks in moments]
    return results, [(result.frame.pts, event) for result in results for event in result.events]


def told(events):
    return [(event.kind.value, event.track_id, event.place, event.direction) for _, event in events]
