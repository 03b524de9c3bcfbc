"""Which options go with --workers, and which do not."""

import pytest

from tests.tracking import one_line, run

OUT = ("--out", "{stream}.jsonl")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--ray", "auto"), "--ray is for many workers; say with --workers how many"),
        (("--report", "report.csv"), "--report is for many workers; say with --workers how many"),
        (("--workers", "0", *OUT), "--workers 0: no number of workers; say 1, 2, … or auto"),
        (("--workers", "-1", *OUT), "--workers -1: no number of workers; say 1, 2, … or auto"),
        (("--workers", "two", *OUT), "--workers two: no number of workers; say 1, 2, … or auto"),
        (("--workers", "2", "--view", *OUT), "--view is for what one process tracks; leave it or --workers out"),
        (("--workers", "2", "--live", *OUT), "--live is for what one process tracks; leave it or --workers out"),
        (("--workers", "2", "--stream", "a", *OUT), "--stream is for what one process tracks; leave it or"),
        (("--workers", "2"), "--workers writes files; name files, for example --out 'tracks/{stream}.jsonl'"),
        (("--workers", "2", "--out", "-"), "--workers writes files; name files"),
        (("--workers", "2", "--out", "mqtt://broker/x"), "--workers writes files; name files"),
    ],
)
def test_options_that_cannot_be_together_are_refused_in_one_line(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "video.mp4").write_bytes(b"video")
    done = run("video.mp4", "--prompt", "person", *arguments)
    assert done.exit_code == 2
    assert one_line(done).startswith(said)


@pytest.mark.parametrize(
    "source", ["-", "camera:0", "/dev/video0", "rtsp://user:secret@camera/door", "udp://1.2.3.4:5"]
)
def test_what_has_no_end_is_refused_in_one_line(tmp_path, source):
    done = run("a.mp4", source, "--prompt", "person", "--workers", "2", "--out", str(tmp_path / "{stream}.jsonl"))
    assert done.exit_code == 2
    said = one_line(done)
    assert said.startswith("--workers tracks recordings, and ")
    assert "secret" not in said
