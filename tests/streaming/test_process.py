"""The process as a whole: it ends, whatever its threads are at."""

import asyncio
import subprocess
import sys
import threading

from streaming.process import run_until_stopped
from tests.patience import patient


def test_the_end_of_the_event_loop_waits_for_no_call_on_its_executor():
    """Such as a name look-up, or a file on a share that is away."""
    go, begun = threading.Event(), threading.Event()

    def hang():
        begun.set()
        go.wait(600)

    async def main(_stop):
        asyncio.get_running_loop().run_in_executor(None, hang)
        await asyncio.to_thread(begun.wait, 60)
        return "ended"

    assert run_until_stopped(main) == "ended"
    go.set()


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
