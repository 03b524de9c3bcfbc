"""Logging for months: one line a record on stderr, without credentials, and never more than a disk can take.

    logger → repeats are summed up → line without credentials → bounded queue → thread `log` → stderr

A stderr that hangs or is full thus never reaches the caller, which may be the event loop.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import sys
import threading
from collections import deque
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener
from typing import Literal

from maskcast.shadowing import PACKAGES
from streaming.log_lines import BareLine, JsonLine, TextLine
from streaming.repeats import Repeats

# Lines that wait for stderr; newer ones are dropped and counted.
QUEUE_LINES = 1000
# What a full queue may cost the caller; until it has room again it costs nothing more.
PATIENCE_SECONDS = 0.01
# At the end what waits is written, unless stderr takes nothing for so long.
STALL_SECONDS = 1.0


def configure_logs(level: str, format: Literal["text", "json"]) -> None:  # noqa: A002 - the setting's own name
    """Send all logging of the process to stderr.

    To be called again after libraries were imported that bring handlers of their own, as transformers does: they lose
    them. FFmpeg's own messages stay off, as PyAV has them by default: passed on from its threads they can dead-lock.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``, for Maskcast's own records; others' start at WARNING.
        format: ``text`` for people; ``json`` for machines: an object a line with ``timestamp`` (ISO 8601, UTC),
            ``level``, ``logger``, ``message``, and where known ``stream`` and ``where`` (from ``extra={"stream": …}``)
            and ``exception``.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler) in {_StderrHandler, logging.StreamHandler}:
            root.removeHandler(handler)
            handler.close()
    handler = _StderrHandler()
    handler.setFormatter(JsonLine() if format == "json" else TextLine())
    root.addHandler(handler)
    wanted = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(wanted, logging.WARNING))
    for name in ("maskcast", *PACKAGES):  # all others' records are shown from WARNING on
        logging.getLogger(name).setLevel(wanted)
    for logger in list(root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger) and logger.handlers:
            for foreign in [one for one in logger.handlers if type(one) is logging.StreamHandler]:
                logger.removeHandler(foreign)
            logger.propagate = True
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_thread_exception


def redact_stray_lines() -> None:
    """Take the credentials out of what Python itself prints in a command that has no log.

    That is what libraries warn of, what ends a thread, and what a finalizer raises.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(BareLine())
    threading.excepthook = _log_thread_exception
    sys.unraisablehook = _log_unraisable


def _log_unraisable(found: sys.UnraisableHookArgs) -> None:
    error = found.exc_value or found.exc_type()
    what = found.err_msg or "an exception could not be raised"
    logging.getLogger("maskcast").error(what, exc_info=(found.exc_type, error, found.exc_traceback))


def _log_thread_exception(arguments: threading.ExceptHookArgs) -> None:
    """A thread that dies says so through the log; Python's own hook would print its traceback as it is."""
    if issubclass(arguments.exc_type, SystemExit):
        return
    name = arguments.thread.name if arguments.thread else "?"
    error = arguments.exc_value or arguments.exc_type()
    logging.getLogger("maskcast").error(
        "thread %s died", name, exc_info=(arguments.exc_type, error, arguments.exc_traceback)
    )


class _Line(logging.LogRecord):
    """A text to be written. `lines` are dropped with it: itself, or those that it tells of."""

    def __init__(self, text: str, lines: int = 1) -> None:
        super().__init__("", logging.NOTSET, "", 0, text, None, None)
        self.lines = lines


class _StderrHandler(QueueHandler):
    """Makes a line of each record and has a thread write it, or drops it: the caller does not wait for stderr."""

    def __init__(self) -> None:
        self._lines: queue.Queue[_Line] = queue.Queue(QUEUE_LINES)
        super().__init__(self._lines)
        self._repeats = Repeats()
        self._dropped: deque[int] = deque()  # numbers of lines; both threads add to it
        self._writer = _Writer(self._lines, self._dropped)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        for summary in self._repeats.summaries():
            super().emit(summary)
        if self._repeats.admits(record):
            super().emit(record)

    def prepare(self, record: logging.LogRecord) -> _Line:
        try:
            return _Line(self.format(record))
        except Exception as error:  # noqa: BLE001 - a record that cannot be shown must not stop its caller
            return self._note(f"a record of {record.name} cannot be shown: {type(error).__name__}")

    def enqueue(self, record: _Line) -> None:  # type: ignore[override]  # what `prepare` made
        dropped = sum(self._dropped.popleft() for _ in range(len(self._dropped)))
        seconds = 0.0 if dropped else PATIENCE_SECONDS
        if dropped:
            self._put(self._note(f"{dropped} lines were lost: stderr did not take them", dropped), seconds)
        self._put(record, seconds)

    def _note(self, text: str, lines: int = 1) -> _Line:
        return _Line(self.format(logging.LogRecord(__name__, logging.WARNING, "", 0, text, None, None)), lines)

    def _put(self, line: _Line, seconds: float) -> None:
        try:
            self._lines.put(line, timeout=seconds)
        except queue.Full:
            self._dropped.append(line.lines)

    def flush(self) -> None:
        """Wait until all is written, as long as stderr takes anything."""
        with self._lines.all_tasks_done:
            while unwritten := self._lines.unfinished_tasks:
                if not self._lines.all_tasks_done.wait(STALL_SECONDS) and self._lines.unfinished_tasks >= unwritten:
                    return

    def close(self) -> None:
        """Say what is still held back, and end the thread, unless it hangs."""
        for summary in self._repeats.summaries(all_of_them=True):
            super().emit(summary)
        self.flush()
        if not self._lines.unfinished_tasks:
            self._writer.stop()
        super().close()


class _Writer(QueueListener):
    """The thread that writes; a stderr that hangs holds up it alone."""

    def __init__(self, lines: queue.Queue[_Line], dropped: deque[int]) -> None:
        super().__init__(lines)
        self._dropped = dropped
        self._descriptor = -1
        with suppress(AttributeError, OSError, ValueError):  # none, or a stand-in without a descriptor
            self._descriptor = sys.stderr.fileno()

    def start(self) -> None:
        super().start()
        assert self._thread is not None
        self._thread.name = "log"

    def handle(self, record: _Line) -> None:  # type: ignore[override]
        data = f"{record.msg}\n".encode("utf-8", "backslashreplace")
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # another process has made it so
                select.select([], [self._descriptor], [])
            except OSError:  # the disk is full, or nobody reads
                self._dropped.append(record.lines)
                return
