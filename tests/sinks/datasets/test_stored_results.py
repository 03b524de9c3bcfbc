"""JSON Lines read back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from maskcast.errors import MaskcastError
from maskcast.frame import Frame
from maskcast.result import Result
from sinks.datasets import stored_results
from sinks.datasets.stored_results import look_through
from sinks.messages.frame import frame_message
from tests.sinks_media import frame, grey, tracks

SIZE = (90, 160)


def line(index: int, stream: str = "door", count: int = 2) -> bytes:
    one: Frame = frame(index, grey(*SIZE), stream=stream)
    return frame_message(Result(one, tracks(SIZE, index, count))).json_bytes() + b"\n"


def written(path: Path, lines: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(lines))
    return path


def test_what_is_in_a_file(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", [line(2, count=3), b"\n", line(3, count=1), line(7, count=2)[:-1]])
    found = look_through(path)
    assert (found.stream, found.width, found.height, found.frames, found.last) == ("door", 160, 90, 3, 7)
    assert found.prompts == ("person", "red car")
    assert found.last_seen == {1: 7, 2: 7, 3: 2}
    assert [message.frame for message in found.messages()] == [2, 3, 7]


def test_one_of_several_streams(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", [line(0), line(0, "gate"), line(1), line(2, "gate")])
    found = look_through(path, "gate")
    assert (found.stream, found.frames, found.last) == ("gate", 2, 2)
    assert [message.frame for message in found.messages()] == [0, 2]
    with pytest.raises(MaskcastError, match="door, gate") as several:
        look_through(path)
    assert (several.value.exit_code, several.value.advice) == (2, "choose one with --stream")
    with pytest.raises(MaskcastError, match="no stream yard; there is door, gate"):
        look_through(path, "yard")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "r.jsonl: no results in it"),
        ([line(0), b'{"schema"'], "r.jsonl, line 2: no message of maskcast.frame: Invalid JSON"),
        ([line(5), line(5)], "r.jsonl, line 2: frame 5 comes after frame 5; it holds more than one run"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, lines: list[bytes], said: str) -> None:
    with pytest.raises(MaskcastError, match=said) as refused:
        look_through(written(tmp_path / "r.jsonl", lines))
    assert refused.value.exit_code == 3


@pytest.mark.parametrize("make", [lambda _: None, Path.mkdir])
def test_a_file_that_is_none(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "r.jsonl")
    with pytest.raises(MaskcastError, match=r"r\.jsonl: cannot be read: ") as refused:
        look_through(tmp_path / "r.jsonl")
    assert refused.value.exit_code == 3


def test_a_line_without_an_end_costs_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_results, "LONGEST_LINE_BYTES", 100)
    with pytest.raises(MaskcastError, match="line 1: no message"):
        look_through(written(tmp_path / "r.jsonl", [line(0)]))
