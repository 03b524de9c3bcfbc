"""What is drawn of a result, as a person has chosen it. Imports no encoder."""

from __future__ import annotations

from dataclasses import dataclass, field

from maskcast.places import Places
from sinks.video.style import OUTLINED, Styles


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn of a result.

    Attributes:
        styles: of the objects.
        places: zones and lines, which are drawn with what has been counted there.
    """

    styles: Styles = OUTLINED
    places: Places = field(default_factory=Places)


OBJECTS = Drawing()
