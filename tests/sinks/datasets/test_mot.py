from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sinks import open_sink
from sinks.datasets.mot import prompt_names
from tests.sinks_media import feed, info, stream


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
