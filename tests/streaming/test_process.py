"""The process as a whole: it ends, whatever its threads are at."""

import subprocess
import sys

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
