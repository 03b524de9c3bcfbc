from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from maskcast.errors import SinkError
from maskcast.result import Result
from sinks import open_sink
from tests.full_disk import largest_file
from tests.sinks_media import feed, info, stream


async def test_full_disk_for_coco(tmp_path: Path) -> None:
    with largest_file(16_384), pytest.raises(SinkError, match="cannot write") as caught:
        await feed(open_sink(str(tmp_path / "out.json")), info(), stream(800))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.json").exists()


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
