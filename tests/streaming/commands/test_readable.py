"""What a person at a terminal reads, and a reader of the standard output that leaves."""

import os
import pty
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from maskcast.mask import Mask
from maskcast.result import Result, Track, TrackState
from streaming.commands.readable import described
from tests import processes
from tests.frames import frame
from tests.paths import ROOT
from tests.patience import patient

CLIP = str(ROOT / "streaming" / "commands" / "demo.mp4")
TRACK = [sys.executable, "-m", "maskcast", "track", CLIP, "--prompt", "star", "--model", "nano", "--device", "cpu"]


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


def test_on_a_terminal_lines_are_for_reading():
    ours, theirs = pty.openpty()
    with processes.running([*TRACK, "--max-frames", "4"], cwd=ROOT, stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        said = b""
        while chunk := _read(ours):
            said += chunk
        assert process.wait(patient(60)) == 0, process.stderr.read()
    os.close(ours)
    assert re.match(r"demo 0:00\.0 nothing\r\n", said.decode())
    assert "star (" in said.decode().splitlines()[-1]
    assert "{" not in said.decode()


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # what Linux says when the other side has closed
        return b""


@pytest.mark.parametrize("more", [[], ["--out", "-"]])
def test_a_reader_that_has_seen_enough_ends_the_run_in_peace(more):
    with processes.running([*TRACK, *more], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait(patient(60)) == 0, said
    assert "error" not in said
    assert "Traceback" not in said
    assert int(re.search(r"demo: (\d+) frames", said)[1]) < 149, "nobody is tracked for"


def test_other_outputs_go_on_when_the_reader_leaves(tmp_path):
    outs = ["--max-frames", "12", "--out", "-", "--out", str(tmp_path / "all.jsonl")]
    with processes.running([*TRACK, *outs], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(patient(60)) == 0, process.stderr.read()
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == 12
