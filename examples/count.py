"""How many different objects match a phrase in a video: `python examples/count.py VIDEO PHRASE [MODEL]`."""

import sys

from maskcast import EventKind, track

video, phrase, *model = sys.argv[1:]
seen: set[int] = set()
for result in track(video, [phrase], model=model[0] if model else None):
    seen |= {event.track_id for event in result.events if event.kind is EventKind.STARTED}
print(f"{len(seen)} × {phrase}")  # noqa: RUF001
