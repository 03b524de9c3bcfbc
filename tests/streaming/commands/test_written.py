"""Files of `maskcast track`: their folders are made, what exists is kept, and what was written is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streaming.commands.outputs import OutputFile, Outputs
from streaming.commands.written import WrittenFiles
from streaming.pipeline.report import Report
from tests import forked
from tests.paths import ROOT
from tests.tracking import one_line, run

CLIP = ROOT / "streaming" / "commands" / "demo.mp4"


def test_a_folder_is_made_and_what_it_holds_is_kept_unless_forced(tmp_path: Path) -> None:
    out = tmp_path / "new" / "deep" / "{stream}.jsonl"
    lines = tmp_path / "new" / "deep" / "demo.jsonl"
    arguments = (CLIP, "--prompt", "star", "--max-frames", 2, "--out", out)
    done = run(*arguments, model="nano")
    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"wrote {lines} (")
    lines.write_text("worth keeping")
    done = run(*arguments, model="./nowhere")
    assert done.exit_code == 2, "before the model is looked at"
    assert one_line(done) == f"{lines}: exists already; choose another name, or replace it with --force"
    assert lines.read_text() == "worth keeping"
    done = run(*arguments, "--force", model="nano")
    assert done.exit_code == 0, done.stderr
    assert len(lines.read_text().splitlines()) == 2


def test_a_folder_that_cannot_be_made_is_told_before_the_model_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(CLIP, "--prompt", "star", "--out", tmp_path / "file" / "a.jsonl", model="./nowhere")
    assert done.exit_code == 4
    assert one_line(done) == f"{tmp_path / 'file'}: the folder cannot be made: File exists"


def test_what_is_empty_or_no_file_is_not_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    os.mkfifo(tmp_path / "pipe.jsonl")
    specs = [str(tmp_path / "empty.jsonl"), str(tmp_path / "pipe.jsonl"), "jsonl:/dev/null", "-", "mqtt://host/x"]
    Outputs(specs).prepare(["door"], ["star"])


@pytest.mark.parametrize(("size", "shown"), [(999, "999 bytes"), (1000, "1.0 kB"), (3_100_000, "3.1 MB")])
def test_only_what_was_written_is_named(tmp_path: Path, size: int, shown: str) -> None:
    written, old, broken = (tmp_path / name for name in ("written.jsonl", "old.jsonl", "broken.jsonl"))
    old.write_text("of an earlier run")
    files = WrittenFiles([OutputFile(path, "door", str(path), str(path)) for path in (written, old, broken)])
    written.write_bytes(b"x" * size)
    (tmp_path / "broken.partial.jsonl").write_bytes(b"x" * size)
    frames = {str(written): 1, str(broken): 7}
    report = Report("door", sink_frames=frames, failed_sinks=frozenset({str(broken)}))
    assert files.lines([report]) == [
        f"wrote {written} ({shown}, 1 frame)",
        f"incomplete {broken} ({shown} in broken.partial.jsonl, 7 frames)",
    ]
    assert files.lines([]) == []


def test_check_and_a_service_say_the_same_of_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """The service when it opens the stream: one bad folder holds up no camera."""
    (tmp_path / "file").touch()
    settings = tmp_path / "cameras.toml"
    stream = f'[streams.door]\nsource = "{CLIP}"\nprompts = ["star"]\nout = ["file/a.jsonl"]\n'
    settings.write_text(f'[model]\nname = "nano"\n[http]\nlisten = ""\n[state]\nfolder = "state"\n{stream}')
    done = [forked.run(name, str(settings)) for name in ("check", "run")]
    assert [one.returncode for one in done] == [4, 4]
    assert "the folder cannot be made" in done[1].stderr


def test_a_service_replaces_its_files_and_makes_their_folders(tmp_path: Path, still_scene: Path) -> None:
    settings = tmp_path / "cameras.toml"
    stream = f'[streams.door]\nsource = "{still_scene}"\nprompts = ["star"]\nout = ["new/door.jsonl"]\n'
    settings.write_text(f'[model]\nname = "nano"\n[http]\nlisten = ""\n[state]\nfolder = "state"\n{stream}')
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "door.jsonl").write_text("of an earlier start")
    done = forked.run("run", str(settings))
    assert done.returncode == 0, done.stderr
    assert "earlier" not in (tmp_path / "new" / "door.jsonl").read_text()
