"""`maskcast` as a process of its own, forked from one that has torch and Transformers loaded.

A fresh interpreter spends four seconds of processor time on its imports before it begins; a forked one begins at once.
From `maskcast.__main__` on both are the same: own process, working directory, signals, exit code and output. A few
tests start `python -m maskcast` all the same, so that the imports and their order are tested too.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.preloaded"])


def _begin(
    arguments: Sequence[str], folder: Path, environment: dict[str, str], out: Path, log: Path, script: Path | None
) -> None:
    """In the new process: become what `subprocess` would have made of it, and run the command line or the script."""
    from tests.preloaded import end_with_parent

    end_with_parent()
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, file in ((1, out), (2, log)):
        opened = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    if script is not None:
        sys.argv = [str(script), *arguments]
        sys.path.insert(0, str(script.parent))
        runpy.run_path(str(script), run_name="__main__")
        return
    sys.argv = ["maskcast", *arguments]
    if not _asks_for_workers(arguments):
        sys.modules["ray"] = None  # type: ignore[assignment]  # to import it raises ImportError
    from maskcast.__main__ import main

    main()


def _asks_for_workers(arguments: Sequence[str]) -> bool:
    """Whether a command line, or the settings file that it names, needs Ray; nothing else may import it."""
    files = (Path(one) for one in arguments if one.endswith(".toml"))
    return "--workers" in arguments or any(file.is_file() and "[cluster]" in file.read_text() for file in files)


@contextmanager
def _main_left_alone() -> Iterator[None]:
    """Without this, a script that starts a process, as a case by hand does, would be run again in it."""
    main = sys.modules["__main__"].__dict__
    kept = {name: main.pop(name) for name in ("__file__", "__spec__") if name in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(kept)


class Maskcast:
    """A process of `maskcast`; has what the tests use of `subprocess.Popen`."""

    def __init__(
        self, *arguments: str | Path, folder: Path, log: Path, out: Path | None = None, script: Path | None = None
    ) -> None:
        """Start it.

        Args:
            arguments: of the command line, after `maskcast`.
            folder: its working directory.
            log: file to which its error output is appended.
            out: file to which its output is appended; None for `log`. A FIFO and a terminal are files.
            script: what to run; None for `maskcast`.
        """
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # the first process of all loads torch with it
        for file in (log, out or log):
            file.touch()
        given = ([str(one) for one in arguments], folder, dict(os.environ), out or log, log, script)
        # Daemonic: where the tests are interrupted, it is killed and not waited for.
        self._process = _context.Process(target=_begin, args=given, daemon=True)
        with _main_left_alone():
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("maskcast", timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def end(self) -> None:
        """Kill it if it runs."""
        self.kill()
        self._process.join()


@contextmanager
def running(*arguments: str | Path, folder: Path, log: Path, out: Path | None = None) -> Iterator[Maskcast]:
    """Run a command; it ends with the context, in whatever way that is left."""
    process = Maskcast(*arguments, folder=folder, log=log, out=out)
    try:
        yield process
    finally:
        process.end()


def run(
    *arguments: str | Path, folder: Path | None = None, script: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command, or a script, to its end, as `subprocess.run` with the output captured."""
    with tempfile.TemporaryDirectory() as kept:
        out, log = Path(kept) / "out", Path(kept) / "log"
        process = Maskcast(*arguments, folder=folder or Path.cwd(), log=log, out=out, script=script)
        try:
            code = process.wait()
        finally:
            process.end()
        return subprocess.CompletedProcess(arguments, code, out.read_text("utf-8"), log.read_text("utf-8"))


def children() -> set[int]:
    """Ids of those that were started here and run; they are no children of this process."""
    return {process.pid for process in multiprocessing.active_children() if process.pid is not None}


def servers() -> set[int]:
    """Ids of the processes that stay for the next fork."""
    found = forkserver._forkserver._forkserver_pid, resource_tracker._resource_tracker._pid
    return {number for number in found if number is not None}
