from __future__ import annotations

import json
import sys
from pathlib import Path
from subprocess import PIPE

import jsonschema

from sinks import open_sink
from sinks.messages.frame import FrameMessage
from tests import processes
from tests.paths import ROOT
from tests.sinks_media import feed, info, stream


async def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    await feed(open_sink(str(path)), info(), stream())
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4]
    schema = FrameMessage.model_json_schema()
    for line in lines:
        jsonschema.validate(line, schema)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.jsonl"]


async def test_interrupted_stream_is_kept_and_an_empty_one_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    await feed(open_sink(str(path)), info(), stream(2), "interrupted")
    assert len(path.read_text().splitlines()) == 2
    await feed(open_sink(str(path)), info(), stream(0), "the camera did not answer")
    assert len(path.read_text().splitlines()) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.jsonl"]


def test_standard_output_and_a_reader_that_leaves() -> None:
    code = """
import asyncio, itertools, sys
from sinks import open_sink
from maskcast.errors import SinkError
from tests.sinks_media import feed, frame, grey, info, results, stream
planes = grey(180, 320)
try:
    asyncio.run(feed(open_sink("-"), info(), results(frame(index, planes) for index in itertools.count())))
except SinkError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""
    with processes.running([sys.executable, "-c", code], cwd=ROOT, stdout=PIPE, stderr=PIPE) as process:
        assert json.loads(process.stdout.readline())["frame"] == 0
        process.stdout.close()
        errors = process.stderr.read().decode().splitlines()
        assert process.wait() == 0, "as `head` does it"
    assert errors == ["standard output: its reader closed the pipe"]


def test_all_streams_learn_that_the_reader_has_left() -> None:
    code = """
import asyncio, itertools, sys
from sinks import open_sink
from maskcast.errors import SinkError
from tests.sinks_media import feed, frame, grey, info, results, stream
planes = grey(180, 320)
for count in (itertools.count(), range(1)):
    try:
        asyncio.run(feed(open_sink("-"), info(), results(frame(index, planes) for index in count)))
    except SinkError as error:
        print(error, file=sys.stderr)
"""
    with processes.running([sys.executable, "-c", code], cwd=ROOT, stdout=PIPE, stderr=PIPE) as process:
        process.stdout.close()
        errors = process.stderr.read().decode().splitlines()
    assert errors == ["standard output: its reader closed the pipe"] * 2
