"""The process as a whole: it ends, whatever its threads are at, and is not ended by SIGHUP."""

import os
import signal
import subprocess
import sys
import time

import pytest

from streaming.process import share_processors
from tests.patience import patient


def test_the_process_ends_with_its_code_whatever_threads_are_at_work_and_with_its_last_words():
    code = """
import logging, threading, time
from concurrent.futures import ThreadPoolExecutor
from streaming.process import leave
from streaming.logs import configure_logs
configure_logs("info", "text")
for _ in range(30):
    logging.getLogger("streaming.test").warning("again")
threading.Thread(target=lambda: time.sleep(600), daemon=True).start()
ThreadPoolExecutor(1).submit(time.sleep, 600)  # which the interpreter would join
print("out", end="")
leave(3)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=patient(30)
    )
    assert (ended.returncode, ended.stdout) == (3, "out")
    assert "again … repeated 20 times" in ended.stderr


def test_what_was_registered_runs_at_the_end_and_modules_are_not_searched_for_garbage():
    code = """
import atexit, gc
from streaming.process import leave
atexit.register(lambda: print(len(gc.get_objects()) < 1000))
leave(3)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (3, "True\n")


def test_a_hangup_that_interrupts_another_is_remembered_once():
    code = """
import sys
from streaming.process import remember_hangup, remembered_hangup
remember_hangup()
print("ready", flush=True)
sys.stdin.read()
print(remembered_hangup(), remembered_hangup())
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            os.kill(process.pid, signal.SIGHUP)
        assert process.communicate(timeout=patient(30))[0] == "True False\n"


@pytest.mark.parametrize(("processors", "threads"), [(1, "1"), (2, "1"), (16, "8")])
def test_each_of_two_stages_has_half_of_the_processors(monkeypatch, processors, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    share_processors()
    assert os.environ["OMP_NUM_THREADS"] == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    share_processors()
    assert os.environ["OMP_NUM_THREADS"] == "5", "what a user has set"
