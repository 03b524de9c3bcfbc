"""Outputs of `maskcast track` that would destroy an input or each other are refused before anything is opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maskcast.errors import UsageError
from streaming.commands.outputs import Outputs
from tests.paths import ROOT
from tests.sinks_media import info


@pytest.mark.parametrize("name", ["out.mp4", "out.jsonl", "{stream}.mkv"])
def test_an_output_that_would_be_written_to_its_source_is_refused(tmp_path: Path, name: str) -> None:
    spec = str(tmp_path / name)
    source = tmp_path / name.replace("{stream}", "test").replace(".", ".partial.")
    source.write_bytes(b"a video")
    with pytest.raises(UsageError, match=r"\.partial\..*, the input itself; choose another name"):
        Outputs([spec]).open(info(), str(source), ["person"])
    if "{stream}" not in name:
        with pytest.raises(UsageError, match="the input itself"):
            Outputs([spec]).check([str(source)])
    Outputs([spec]).check([str(tmp_path / "other.mp4")])
    assert source.read_bytes() == b"a video"


def test_an_output_that_is_the_standard_input_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    path.write_bytes(b"a video")
    code = "import sys; from streaming.commands.outputs import Outputs; Outputs(sys.argv[1:]).check(['-'], ['stdin'])"
    with path.open("rb") as file:
        command = [sys.executable, "-c", code, str(path)]
        ended = subprocess.run(command, cwd=ROOT, stdin=file, capture_output=True, text=True, check=False)
    assert "x.mkv is the input itself" in ended.stderr


def test_two_spellings_of_one_output_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("linked.json").symlink_to("a.json")
    Path("elsewhere").symlink_to("folder")
    for specs in (
        ["a.json", "./a.json"],
        ["a.json", str(tmp_path / "a.json")],
        ["a.json", "folder/../a.json"],
        ["linked.json", "a.json"],
        ["folder/a.json", "elsewhere/a.json"],
        ["{stream}.json", "in.json"],
        ["a.json", "a.partial.json"],
    ):
        with pytest.raises(UsageError) as failure:
            Outputs(specs).check(["in.mp4"], ["in"])
        written = " and ".join(specs).replace("{stream}", "in")
        assert failure.value.what == f"the outputs {written} are one file"
    with pytest.raises(UsageError, match="are one file"):
        Outputs(["{stream}.json", "a-{stream}.json"]).check(["1", "2"], ["b", "a-b"])
    Outputs(["{stream}.json", "{stream}.jsonl", "folder/{stream}.json"]).check(["1", "2"], ["b", "a-b"])
    for specs, streams in ((["a.txt", "a.car.txt"], ["in"]), (["{stream}.txt"], ["a", "a.car"])):
        sources = [f"{name}.mp4" for name in streams]
        with pytest.raises(UsageError, match=r"a\.car\.txt .*are one file"):
            Outputs(specs).check(sources, streams, ["car", "van"])
        Outputs(specs).check(sources, streams, ["car"])
