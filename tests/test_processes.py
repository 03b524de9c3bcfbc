"""The tests' own processes: none outlives whoever started it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forked, processes
from tests.paths import ROOT
from tests.patience import eventually


def runs(process_id):
    try:
        return Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not processes.LEASH, reason="no setpriv on this machine (util-linux)")
def test_a_process_dies_with_the_one_that_started_it():
    code = (
        "import os, signal, subprocess, sys; from tests import processes\n"
        "child = processes.start(['sh', '-c', 'echo runs; exec sleep 600 >/dev/null 2>&1'], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert died.returncode == -signal.SIGKILL
    eventually(lambda: not runs(int(died.stdout)), what="the child of a process that crashed is gone")


def test_what_a_process_started_ends_with_it():
    with processes.running(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE) as process:
        child = int(process.stdout.readline())
        assert runs(child)
        assert process.pid in processes.children()
    assert process.pid not in processes.children()
    eventually(lambda: not runs(child), what="the whole group is gone")


def test_a_forked_process_is_like_a_fresh_one(tmp_path):
    """It has its own folder, output and exit code; signals are tested wherever a service runs."""
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    arguments = ["track", "x.jpg", "--prompt", "cat", "--model", "nano"]
    command = [sys.executable, "-m", "maskcast", *arguments]
    fresh = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    done = forked.run(*arguments, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)
    assert done.returncode == 3


def test_ports_that_are_held_are_let_go_of_without_a_word():
    code = "from tests.ports import free_port; free_port()"
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", code]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
