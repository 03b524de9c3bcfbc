"""Whether a new track is an object that had another id a moment ago."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import hypot

from streaming.zones.sighting import MIDDLE, SIZE
from streaming.zones.subject import Subject

# How far from where it was last seen, or would have gone on to, an object may come back: in its own lengths, at once
# and for each second that it was away. Half a length is less than two people side by side; two seconds of a walker.
LENGTHS, LENGTHS_A_SECOND = 0.5, 0.5
# It may have gone on faster than it did.
FASTER = 1.5
# Its mask may be cut off on one side or the other, but is hardly a fifth of it.
MOST_AREA_RATIO = 5.0
# A box as near to the border of the picture, in shares of it, is cut off there.
BORDER = 0.005
# Lengths a second at which an object moves.
LEAST_SPEED = 0.1


def ancestor(
    heir: Subject,
    candidates: Iterable[Subject],
    *,
    groups: Mapping[str, str | None],
    lost_after: float,
    aspect: float,
) -> Subject | None:
    """The track whose object a new one most likely is.

    Args:
        heir: new.
        candidates: tracks that are not seen in this frame, and whose objects nobody else claims.
        groups: of each prompt by its name; a prompt without a group is one of its own.
        lost_after: seconds after which nobody is waited for.
        aspect: width of the frame by its height.
    """
    best, least = None, 1.0
    for other in candidates:
        group = groups.get(other.name)
        if other.name != heir.name and (group is None or group != groups.get(heir.name)):
            continue
        if other.point is None or not other.path.times or not heir.path.times:
            continue
        # The one of the heir's sightings that followed: both ids may have been there for a few frames.
        index = min(range(len(heir.path.times)), key=lambda index: abs(heir.path.times[index] - other.last_seen))
        gap = max(heir.path.times[index] - other.last_seen, 0.0)
        if gap > lost_after or _gone(other):
            continue
        far = _distance(heir, index, other, gap, aspect)
        if far < least:
            best, least = other, far
    return best


def _distance(heir: Subject, index: int, other: Subject, gap: float, aspect: float) -> float:
    """How far from where the other may be, as a share of what is believed; infinite for another size."""
    there, here = other.path.sightings[-1], heir.path.sightings[index]
    (width, height), (heir_width, heir_height) = there[SIZE].tolist(), here[SIZE].tolist()
    ratio = (heir_width * heir_height) / max(width * height, 1e-12)
    if not 1 / MOST_AREA_RATIO <= ratio <= MOST_AREA_RATIO:
        return float("inf")
    dx, dy = ((here - there)[MIDDLE] * (aspect, 1)).tolist()
    ahead_x, ahead_y = other.velocity[0] * aspect * FASTER * gap, other.velocity[1] * FASTER * gap
    along = ahead_x * ahead_x + ahead_y * ahead_y
    share = min(max((dx * ahead_x + dy * ahead_y) / along, 0.0), 1.0) if along else 0.0
    length = max(width * aspect, height)
    return hypot(dx - share * ahead_x, dy - share * ahead_y) / float(length * (LENGTHS + LENGTHS_A_SECOND * gap))


def _gone(other: Subject) -> bool:
    """Whether it left over the picture's border: who appears there later is somebody else."""
    last = other.path.sightings[-1]
    for middle, size, velocity in zip(last[MIDDLE].tolist(), last[SIZE].tolist(), other.velocity, strict=True):
        least = LEAST_SPEED * size
        if (middle - size / 2 <= BORDER and velocity < -least) or (
            middle + size / 2 >= 1 - BORDER and velocity > least
        ):
            return True
    return False
