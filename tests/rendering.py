"""`maskcast render` with the arguments of a test, and stored results for it."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from maskcast.result import Result
from sinks.messages.frame import frame_message
from streaming.cli.app import app
from tests import sinks_media

SIZE = (90, 160)


def render(*arguments):
    """In this process."""
    return CliRunner().invoke(app, ["render", *map(str, arguments)])


def stored(path, indices, *, size=SIZE, shift=0.0, names=None, stream="clip", tracks=sinks_media.tracks):
    """Results of frames of a video with 25 a second, or of a folder's pictures, as `maskcast track` writes them."""
    lines = []
    for index in indices:
        one = sinks_media.frame(index, sinks_media.grey(*size), index / 25 + shift, stream)
        line = json.loads(frame_message(Result(one, tracks(size, index))).json_bytes())
        if names:
            line |= {"schema": "maskcast.frame/2", "file_name": names[index]}
        lines.append(json.dumps(line, separators=(",", ":")))
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def read(path):
    """The lines of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]
