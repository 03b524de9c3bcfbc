"""Whether a new track is an object that had another id a moment ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot

from streaming.zones.sighting import MIDDLE, SIZE
from streaming.zones.subject import Subject

# How far from where it was last seen, or would have gone on to, an object may come back: in its own lengths, at once
# and for each second that it was away or nobody looked. Half a length is less than two people side by side; two seconds
# of a walker.
LENGTHS, LENGTHS_A_SECOND = 0.5, 0.5
# It may have gone on faster than it did.
FASTER = 1.5
# Its mask may be cut off on one side or the other, but is hardly a fifth of it.
MOST_AREA_RATIO = 5.0
# A box as near to the border of the picture, in shares of it, is cut off there.
BORDER = 0.005
# Lengths a second at which an object moves.
LEAST_SPEED = 0.1


def ancestors(
    heirs: Sequence[Subject],
    candidates: Sequence[Subject],
    *,
    groups: Mapping[str, str | None],
    lost_after: float,
    aspect: float,
) -> dict[int, Subject]:
    """The tracks whose objects new ones most likely are, the likeliest first; each of one at most.

    Args:
        heirs: new tracks.
        candidates: tracks that are not seen in this frame.
        groups: of each prompt by its name; a prompt without a group is one of its own.
        lost_after: seconds after which nobody is waited for.
        aspect: width of the frame by its height.

    Returns:
        By the id of the heir.
    """
    pairs = []
    for heir in heirs:
        for other in candidates:
            far = _distance(heir, other, lost_after, aspect) if _alike(heir, other, groups) else 1.0
            if far < 1:
                pairs.append((far, heir.id, other))
    found: dict[int, Subject] = {}
    taken: set[int] = set()
    for _, heir_id, other in sorted(pairs, key=lambda pair: pair[0]):
        if heir_id not in found and other.id not in taken:
            found[heir_id] = other
            taken.add(other.id)
    return found


def _alike(heir: Subject, other: Subject, groups: Mapping[str, str | None]) -> bool:
    """Whether both may be one object, wherever they are."""
    group = groups.get(other.name)
    if other.name != heir.name and (group is None or group != groups.get(heir.name)):
        return False
    return other.point is not None and bool(other.path.times and heir.path.times) and not _gone(other)


def _distance(heir: Subject, other: Subject, lost_after: float, aspect: float) -> float:
    """How far from where the other may be, as a share of what is believed; infinite if too late or of another size."""
    # The one of the heir's sightings that followed: both ids may have been there for a few frames.
    index = min(range(len(heir.path.times)), key=lambda index: abs(heir.path.times[index] - other.last_seen))
    gap = max(heir.path.times[index] - other.last_seen, 0.0)
    if gap > lost_after:
        return float("inf")
    gap = min(gap + other.away, lost_after)
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
