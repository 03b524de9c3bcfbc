"""What stands under a command's options in its help: examples that can be copied, and the exit codes.

An installed Maskcast has no other documentation beside it.
"""

from __future__ import annotations

from maskcast.errors import ModelError, SinkError, SourceError, UsageError
from streaming.process import INTERRUPTED

EXIT_CODES = (
    f"Exit codes: 0 done; {UsageError.exit_code} usage or settings; {SourceError.exit_code} a source failed; "
    f"{SinkError.exit_code} a sink failed; {ModelError.exit_code} the model failed; {INTERRUPTED} interrupted, with "
    "outputs finished and playable."
)

# The settings file that `maskcast run` needs at least, as a person would begin it.
LEAST_SETTINGS = """\
[mqtt]
url = "mqtt://broker.local/maskcast"

[streams.door]
source = "rtsp://192.168.1.20/stream1"
prompts = ["person", "parcel"]
"""


def _as_it_is(text: str) -> str:
    """Paragraphs whose lines are kept, in Click's notation, indented as examples are."""
    return "\n\n".join(
        "\b\n" + "\n".join(f"  {line}" for line in part.split("\n")) for part in text.strip().split("\n\n")
    )


def _examples(*lines: str) -> str:
    return f"Examples:\n\n{_as_it_is(chr(10).join(lines))}\n\n{EXIT_CODES}"


TRACK = _examples(
    'maskcast track street.mp4 -p person -p "red car" -o masks.mp4',
    "maskcast track recordings/*.mp4 -p forklift -o 'out/{stream}.json'",
    "maskcast track recordings/ -p forklift -o 'out/{stream}.json' --workers auto",
    "maskcast track rtsp://192.168.1.20/stream1 -p person -o mqtt://broker/home",
)
RENDER = _examples(
    "maskcast render street.mp4 street.jsonl -o masks.mp4",
    "maskcast render pictures/ pictures.jsonl -o coco.json -o mot.txt",
)
CONVERT = _examples(
    "maskcast convert street.json --to cvat --out street-cvat",
    "maskcast convert pictures.json --to voc --images pictures/ --out voc",
)
DEMO = f"Needs the broker that is installed with Maskcast's extra [demo].\n\n{EXIT_CODES}"
RUN = f"A settings file begins like this:\n\n{_as_it_is(LEAST_SETTINGS)}\n\n{EXIT_CODES}"
CHECK = _examples("maskcast check", "maskcast check cameras.toml", "maskcast check --model vil-uob/sam3-litetext-s0")
BENCH = _examples(
    "maskcast bench --model nano --prompt star", "maskcast bench --objects 20 --streams 16 --seconds 60 --json"
)
FETCH = _examples(
    "maskcast fetch",
    "maskcast fetch cameras.toml",
    "maskcast fetch facebook/sam3@main --update",
    "maskcast fetch --verify vil-uob/sam3-litetext-s1",
)
