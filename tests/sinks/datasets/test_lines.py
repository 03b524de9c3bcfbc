"""JSON Lines, MOTChallenge and COCO files, and the file that ends with a whole line."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE
from typing import Any

import jsonschema
import numpy as np
import pytest
from pycocotools import mask as coco

from maskcast.errors import SinkError, UsageError
from maskcast.result import Result
from sinks import open_sink
from sinks.datasets.mot import prompt_names
from sinks.messages.frame import FrameMessage
from sinks.sink import BlockingSink
from tests import processes
from tests.full_disk import largest_file
from tests.paths import ROOT
from tests.patience import eventually
from tests.sinks_media import feed, frame, grey, info, stream


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


@pytest.mark.parametrize("name", ["out.jsonl", "out.txt", "out.json", "out.mp4"])
async def test_targets_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / name, tmp_path / name):
        if path.parent == tmp_path:
            path.mkdir()
        with pytest.raises(SinkError) as caught:
            await feed(open_sink(str(path)), info(), stream())
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_folder_without_permission(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(SinkError, match="no permission"):
        await feed(open_sink(str(folder / "out.jsonl")), info(), stream())


@pytest.mark.parametrize("name", ["out.jsonl", "out.txt"])
async def test_full_disk_leaves_whole_lines(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with largest_file(1500), pytest.raises(SinkError, match="cannot write") as caught:
        await feed(open_sink(str(path)), info(), stream(100))
    assert "\n" not in str(caught.value)
    assert not path.exists()
    rest = (tmp_path / name.replace(".", ".partial.")).read_bytes()
    assert 0 < len(rest) <= 1500
    assert rest.endswith(b"\n")
    if name.endswith("jsonl"):
        assert [json.loads(line)["frame"] for line in rest.splitlines()] == list(range(rest.count(b"\n")))


async def test_full_disk_for_coco(tmp_path: Path) -> None:
    with largest_file(16_384), pytest.raises(SinkError, match="cannot write") as caught:
        await feed(open_sink(str(tmp_path / "out.json")), info(), stream(800))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.json").exists()


def test_killed_process_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    code = f"""
import asyncio, itertools, time
from sinks import open_sink
from tests.sinks_media import feed, frame, grey, info, results, stream
planes = grey(180, 320)
asyncio.run(feed(open_sink({str(path)!r}), info(), results(frame(index, planes) for index in itertools.count())))
"""
    partial = tmp_path / "out.partial.jsonl"
    with processes.running([sys.executable, "-c", code], cwd=ROOT):
        eventually(lambda: partial.exists() and partial.stat().st_size)
    lines = partial.read_bytes()
    assert lines.endswith(b"\n")
    assert [json.loads(line)["frame"] for line in lines.splitlines()] == list(range(lines.count(b"\n")))


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
        assert process.wait() == 4
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


@pytest.mark.parametrize("name", ["out.jsonl", "out.txt"])
def test_lines_do_not_wait_for_others(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet scene has no rows in MOTChallenge, but those before it are written within a second."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    sink = open_sink(str(tmp_path / name))
    assert isinstance(sink, BlockingSink)
    sink.start_blocking(info())
    sink.write_blocking(next(stream()))
    partial = tmp_path / name.replace(".", ".partial.")
    assert partial.stat().st_size == 0
    now += 1.1
    sink.write_blocking(Result(frame(1, grey(180, 320))))
    assert partial.stat().st_size > 0
    sink.finish_blocking(None)


async def test_mot(tmp_path: Path) -> None:
    """One class, as TrackEval wants it; of several prompts, each has a file of its own as well."""
    path = tmp_path / "out.txt"
    await feed(open_sink(str(path), prompts=["dog", "person", "red car"]), info(), stream(3))
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert [(row[0], row[1], row[7]) for row in rows[:4]] == [
        ("1", "1", "1"),  # the third track is tentative
        ("1", "2", "1"),
        ("2", "1", "1"),
        ("2", "2", "1"),
    ]
    assert all(len(row) == 9 for row in rows)
    assert [float(value) for value in rows[0][2:6]] == list(next(stream(1)).tracks[0].mask.bbox)
    files = {"out.txt", "out.dog.txt", "out.person.txt", "out.red-car.txt"}
    assert {entry.name for entry in tmp_path.iterdir()} == files
    apart = {name: (tmp_path / f"out.{name}.txt").read_text().splitlines() for name in ("dog", "person", "red-car")}
    assert apart == {
        "dog": [],
        "person": [",".join(row) for row in rows if row[1] == "1"],
        "red-car": [",".join(row) for row in rows if row[1] == "2"],
    }


async def test_mot_of_one_prompt_is_one_file(tmp_path: Path) -> None:
    await feed(open_sink(str(tmp_path / "out.txt"), prompts=["person"]), info(), stream(3))
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.txt"]


@pytest.mark.parametrize("file", ["out.txt", "out.person.txt"])
async def test_trackeval_reads_mot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    """As docs/mot.md says, with what was written as its own truth."""
    trackeval = pytest.importorskip("trackeval", reason="TrackEval is not installed")
    monkeypatch.setattr(np, "float", float, raising=False)  # TrackEval is older than NumPy 2
    monkeypatch.setattr(np, "int", int, raising=False)
    await feed(open_sink(str(tmp_path / "out.txt"), prompts=["person", "red car"]), info(), stream(3))
    rows = [line.split(",") for line in (tmp_path / file).read_text().splitlines()]
    truth, found = tmp_path / "gt/mine-train/street", tmp_path / "results/mine-train/maskcast/data"
    for folder in (truth / "gt", tmp_path / "gt/seqmaps", found):
        folder.mkdir(parents=True)
    (truth / "gt/gt.txt").write_text("".join(",".join([*row[:6], "1", "1", "1"]) + "\n" for row in rows))
    (truth / "seqinfo.ini").write_text("[Sequence]\nname=street\nseqLength=3\n")
    (tmp_path / "gt/seqmaps/mine-train.txt").write_text("name\nstreet\n")
    (found / "street.txt").write_bytes((tmp_path / file).read_bytes())
    quiet = {"PRINT_CONFIG": False}
    data = trackeval.datasets.MotChallenge2DBox(
        {
            "BENCHMARK": "mine",
            "SPLIT_TO_EVAL": "train",
            "DO_PREPROC": False,
            **quiet,
            "GT_FOLDER": str(tmp_path / "gt"),
            "TRACKERS_FOLDER": str(tmp_path / "results"),
        }
    )
    writing = dict.fromkeys(("PRINT_RESULTS", "OUTPUT_SUMMARY", "OUTPUT_DETAILED", "PLOT_CURVES"), False)
    evaluator = trackeval.Evaluator({"BREAK_ON_ERROR": True, "LOG_ON_ERROR": None, **quiet, **writing})
    results, _ = evaluator.evaluate([data], [trackeval.metrics.CLEAR(quiet)])
    scores = results["MotChallenge2DBox"]["maskcast"]["street"]["pedestrian"]["CLEAR"]
    assert (scores["CLR_TP"], scores["CLR_FP"], scores["IDSW"]) == (len(rows), 0, 0)


def test_names_of_files_made_from_prompts() -> None:
    names = prompt_names(["red car", "Red-Car", "a/../b", "行人", "…", "person on a bike" * 10])
    assert names == ["red-car", "red-car-2", "a-b", "行人", "prompt", names[-1]]
    assert len(names[-1]) <= 50


async def test_coco(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    await feed(open_sink(str(path), prompts=["dog", "person", "dog"]), info(), stream(6))
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.json"]
    found: Any = json.loads(path.read_text(encoding="utf-8"))
    assert [(category["id"], category["name"]) for category in found["categories"]] == [
        (1, "dog"),
        (2, "person"),
        (3, "red car"),
    ]
    (video,) = found["videos"]
    assert (video["length"], len(video["file_names"]), video["width"], video["height"]) == (6, 6, 320, 180)
    expected = list(stream(6))
    assert [annotation["id"] for annotation in found["annotations"]] == [1, 2]
    for annotation in found["annotations"]:
        assert annotation["video_id"] == video["id"]
        for index, segmentation in enumerate(annotation["segmentations"]):
            mask = expected[index].tracks[annotation["id"] - 1].mask
            assert np.array_equal(coco.decode(segmentation).astype(np.bool_), mask.full())
            assert annotation["areas"][index] == mask.area
            assert annotation["bboxes"][index] == list(mask.bbox)


async def test_coco_names_the_files_that_the_frames_are(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    frames = [replace(one, frame=replace(one.frame, index=2 * one.frame.index)) for one in stream(3)]
    frames[1] = replace(frames[1], frame=replace(frames[1].frame, file_name='b/strée "2".png'))
    await feed(open_sink(str(path)), info(), frames)
    [video] = json.loads(path.read_text(encoding="utf-8"))["videos"]
    assert video["file_names"] == ["test/000000.jpg", 'b/strée "2".png', "test/000004.jpg"]


async def test_coco_has_null_where_a_track_is_not_seen(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    seen = list(stream(3))
    seen[1] = Result(seen[1].frame)
    await feed(open_sink(str(path)), info(), seen)
    for annotation in json.loads(path.read_text())["annotations"]:
        assert [entry is None for entry in annotation["segmentations"]] == [False, True, False]


@pytest.mark.parametrize("spec", ["out.avi", "out", "http://host/x", "ftp://u:secret@host/x", "http://u:[secret@h", ""])
def test_unknown_sinks_list_the_known_ones(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_sink(spec)
    message = str(caught.value)
    for known in ("mp4", "jsonl", "json", "txt", "mqtt[s]://"):
        assert known in message
    assert "secret" not in message
    assert "\n" not in message
