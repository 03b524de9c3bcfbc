"""How many different objects match a phrase in a video: `python examples/count.py VIDEO PHRASE [MODEL]`."""

import argparse
import sys

from maskcast import EventKind, MaskcastError, track

parser = argparse.ArgumentParser(description="How many different objects match a phrase in a video.")
parser.add_argument("video")
parser.add_argument("phrase")
parser.add_argument("model", nargs="?", help="as --model of maskcast track")
given = parser.parse_args()
seen: set[int] = set()
try:
    for result in track(given.video, [given.phrase], model=given.model):
        seen |= {event.track_id for event in result.events if event.kind is EventKind.STARTED}
except MaskcastError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
except KeyboardInterrupt:
    sys.exit(130)
print(f"{len(seen)} × {given.phrase}")  # noqa: RUF001
