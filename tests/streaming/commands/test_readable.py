"""What a person at a terminal reads, and a reader of the standard output that leaves."""

import os
import pty
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from maskcast.mask import Mask
from maskcast.result import Result, Track, TrackState
from streaming.commands.readable import described
from tests import forked
from tests.frames import frame
from tests.paths import ROOT
from tests.patience import patient

CLIP = str(ROOT / "streaming" / "commands" / "demo.mp4")
TRACK = ["track", CLIP, "--prompt", "star", "--model", "nano", "--device", "cpu"]


def track(number, prompt, state=TrackState.CONFIRMED):
    return Track(number, prompt, state, 0.9, Mask.from_array(np.ones((2, 2), np.bool_), (96, 160)))


def test_a_line_tells_when_what_and_which():
    tracks = (track(3, "person"), track(4, "red car"), track(7, "person"), track(9, "dog", TrackState.TENTATIVE))
    result = Result(replace(frame(1, pts=72.46), stream="door"), tracks)
    assert described(result, live=False) == "door 1:12.5 2 person (3, 7), 1 red car (4)"
    assert re.fullmatch(r"door \d\d:\d\d:\d\d 2 person .*", described(result, live=True))
    assert described(replace(result, tracks=()), live=False) == "door 1:12.5 nothing"
    hostile = replace(result, tracks=(track(1, "a\x1b[2Jb"),))
    assert "\x1b" not in described(hostile, live=False)


def test_on_a_terminal_lines_are_for_reading(tmp_path):
    ours, theirs = pty.openpty()
    log, out = tmp_path / "log", Path(os.ttyname(theirs))
    with forked.running(*TRACK, "--max-frames", "4", folder=ROOT, log=log, out=out) as process:
        code = process.wait(patient(60))  # what it says, a terminal keeps until it is read
        os.close(theirs)
        said = b""
        while chunk := _read(ours):
            said += chunk
        assert code == 0, log.read_text()
    os.close(ours)
    assert re.match(r"demo 0:00\.0 nothing\r\n", said.decode())
    assert "star (" in said.decode().splitlines()[-1]
    assert "{" not in said.decode()


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # what Linux says when the other side has closed
        return b""


@pytest.fixture
def out(tmp_path):
    """A pipe with a name, for a process to write into and a test to read."""
    os.mkfifo(tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("more", [[], ["--out", "-"]])
def test_a_reader_that_has_seen_enough_ends_the_run_in_peace(tmp_path, out, more):
    log = tmp_path / "log"
    with forked.running(*TRACK, *more, folder=ROOT, log=log, out=out) as process:
        with out.open("rb") as reading:
            assert reading.readline().startswith(b"{")
        code = process.wait(patient(60))
        said = log.read_text()
        assert code == 0, said
    assert "error" not in said
    assert "Traceback" not in said
    assert int(re.search(r"demo: (\d+) frames", said)[1]) < 149, "nobody is tracked for"


def test_other_outputs_go_on_when_the_reader_leaves(tmp_path, out):
    outs = ["--max-frames", "12", "--out", "-", "--out", str(tmp_path / "all.jsonl")]
    log = tmp_path / "log"
    with forked.running(*TRACK, *outs, folder=ROOT, log=log, out=out) as process:
        with out.open("rb") as reading:
            reading.readline()
        assert process.wait(patient(60)) == 0, log.read_text()
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == 12
