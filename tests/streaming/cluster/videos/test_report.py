"""The table at the end of many videos, and the file of the same rows."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from maskcast.errors import SinkError, UsageError
from streaming.cluster.videos.report import COLUMNS, MOST_ROWS, ReportFile, Row, table
from tests.full_disk import largest_file

DONE = Row("door", "/videos/door.mp4", 60, 3, 1.25, ("/out/door.jsonl", "/out/a;b, \"c'.mp4"), worker="node/7")
FAILED = Row("gate", "/videos/[bold]gate.mp4", error="[bold]gate.mp4: is a text, not a video", worker="node/8")
LEFT = Row("yard", "s3://bucket/yard.mp4", 7, 1, 0.5, interrupted=True)
ROWS = [DONE, FAILED, LEFT]


def read(path: Path) -> list[dict[str, object]]:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        rows: list[dict[str, object]] = parquet.read_table(path).to_pylist()
        return rows
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = {"frames": int, "tracks": int, "seconds": float, "outputs": json.loads}
    return [{name: numbers.get(name, lambda text: text or None)(text) for name, text in row.items()} for row in rows]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_the_file_holds_all_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"report{suffix}"
    report = ReportFile(path)
    report.write(ROWS)
    done, failed, left = read(path)
    assert {name: done[name] for name in COLUMNS} == {
        "id": "door",
        "path": "/videos/door.mp4",
        "status": "done",
        "frames": 60,
        "tracks": 3,
        "seconds": 1.25,
        "outputs": list(DONE.outputs),
        "error": None,
        "worker": "node/7",
    }
    assert (failed["status"], failed["error"], failed["outputs"]) == ("failed", FAILED.error, [])
    assert (left["status"], left["worker"]) == ("interrupted", None)
    assert list(path.parent.iterdir()) == [path]

    ReportFile(path).write([])  # the same command again
    assert read(path) == []


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_name_that_is_not_utf_8_is_written_as_on_stderr(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"report{suffix}"
    ReportFile(path).write([Row("a", "/videos/\udcff.mp4", outputs=["\udcff.jsonl"], error="\udcff")])
    (row,) = read(path)
    assert (row["path"], row["outputs"], row["error"]) == ("/videos/\\udcff.mp4", ["\\udcff.jsonl"], "\\udcff")


@pytest.mark.parametrize("name", ["report.txt", "report", "report.json", "-"])
def test_another_format_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"no such format; there are \.parquet, \.csv, \.jsonl$"):
        ReportFile(Path(name))


def test_a_url_is_refused() -> None:
    with pytest.raises(UsageError, match="--report takes a local file"):
        ReportFile(Path("s3://bucket/report.csv"))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_what_is_no_report_is_not_replaced(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tracks{suffix}"
    path.write_text('{"schema": "maskcast.tracks/1"}\n')
    with pytest.raises(UsageError, match="exists already and is no report"):
        ReportFile(path)
    ReportFile(path, force=True).write(ROWS)
    assert len(read(path)) == 3


def test_an_input_or_an_output_is_not_replaced(tmp_path: Path) -> None:
    video = tmp_path / "door.csv"
    link = tmp_path / "link.csv"
    link.symlink_to(video)
    report = ReportFile(link)
    report.check_apart(["s3://bucket/link.csv", tmp_path / "other.csv"])
    with pytest.raises(UsageError, match=r"door\.csv: --report is an input or an output too"):
        report.check_apart([str(video)])


def test_a_pipe_and_a_folder_are_refused(tmp_path: Path) -> None:
    pipe, folder = tmp_path / "pipe.csv", tmp_path / "folder.csv"
    os.mkfifo(pipe)
    folder.mkdir()
    with pytest.raises(UsageError, match="is a pipe"):
        ReportFile(pipe)
    with pytest.raises(SinkError, match="is a folder"):
        ReportFile(folder)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_full_disk_leaves_the_earlier_report(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"report{suffix}"
    ReportFile(path).write([DONE])
    before = path.read_bytes()
    with largest_file(1), pytest.raises(SinkError, match="cannot write: File too large"):
        ReportFile(path).write(ROWS)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_table_has_each_of_a_few_videos_and_their_sum() -> None:
    head, done, failed, left, together = table(ROWS)
    assert head.split() == ["video", "frames", "tracks", "seconds"]
    assert done.split() == ["door", "60", "3", "1.2", "done"]
    assert failed.endswith("[bold]gate.mp4: is a text, not a video")
    assert left.split() == ["yard", "7", "1", "0.5", "interrupted"]
    assert together.split() == ["all", "3", "67", "4", "1.8", "1", "done,", "1", "failed,", "1", "interrupted"]


def test_the_table_of_many_has_those_that_failed() -> None:
    many = [Row(f"v{number}", f"{number}.mp4", 1000, 2, 3.0) for number in range(2000)]
    many[7] = Row("broken", "7.mp4", error=f"7.mp4: {'no good ' * 30}")
    lines = table(many)
    assert [line.split()[0] for line in lines] == ["video", "broken", "all"]
    assert lines[-1].split() == ["all", "2,000", "1,999,000", "3,998", "5,997.0", "1,999", "done,", "1", "failed"]
    assert len(table(many[:MOST_ROWS])) == MOST_ROWS + 2


def test_the_table_fits_a_terminal_and_loses_no_word() -> None:
    lines = table([Row("gate", "gate.mp4", error="word " * 40 + "end\x1b[0m\u202e")], width=80)
    assert max(map(len, lines)) <= 80
    said = " ".join(lines)
    assert said.count("word") == 40
    assert "\x1b" not in said
    assert "\u202e" not in said
