"""Logging for months: one line a record on stderr, without credentials, and never more than a disk can take."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from pythonjsonlogger.json import JsonFormatter

from maskcast.errors import MaskcastError
from maskcast.printable import printable
from maskcast.redaction import redact, without_known_secrets

# Whose records are shown at the level that was asked for; all others' from WARNING on.
PACKAGES = ("streaming", "sinks", "sources", "trackers", "maskcast")

# The same message so many times a minute is news; more of them are a number.
REPEATS = 10
PERIOD_SECONDS = 60.0
# Different messages that are counted at once, so that the counting is bounded too.
MAX_TEMPLATES = 500
# A longer message or traceback is cut in the middle: both its ends say most.
MAX_CHARACTERS = 8000
# POSIX' PIPE_BUF on Linux: what a pipe that is ready takes without waiting.
WRITE_BYTES = 4096
# What a full pipe may cost the caller, which may be the event loop; until it is empty again it costs nothing more.
STALL_MILLISECONDS = 10


def configure_logs(level: str, format: Literal["text", "json"]) -> None:  # noqa: A002 - the setting's own name
    """Send all logging of the process to stderr.

    To be called again after libraries were imported that bring handlers of their own, as transformers does: they lose
    them. FFmpeg's own messages stay off, as PyAV has them by default: passed on from its threads they can dead-lock.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``, for Maskcast's own records; others' start at WARNING.
        format: ``text`` for people; ``json`` for machines: an object a line with ``timestamp`` (ISO 8601, UTC),
            ``level``, ``logger``, ``message``, and where known ``stream`` (from ``extra={"stream": …}``), ``where``
            (of a `MaskcastError` among the arguments) and ``exception``.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler) in {_StderrHandler, logging.StreamHandler}:
            root.removeHandler(handler)
            handler.close()
    handler = _StderrHandler(sys.stderr)
    handler.setFormatter(_JsonLine() if format == "json" else _TextLine())
    root.addHandler(handler)
    wanted = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(wanted, logging.WARNING))
    for name in PACKAGES:
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
        logging.lastResort.setFormatter(_BareLine())
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


@dataclass
class _Repeats:
    until: float  # time.monotonic
    shown: int = 0
    held_back: int = 0
    example: str = ""  # as text: a record would keep its arguments alive, and pictures with a traceback


class _RateLimit:
    """Counts the records of each message template by logger and stream, in periods."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, int, str, str], _Repeats] = OrderedDict()  # the oldest period first

    def admits(self, record: logging.LogRecord, now: float) -> bool:
        template = str(record.msg)[:MAX_CHARACTERS]
        key = (record.name, record.levelno, template, str(getattr(record, "stream", "")))
        count = self._counts.setdefault(key, _Repeats(now + PERIOD_SECONDS))
        if count.shown < REPEATS:
            count.shown += 1
            return True
        if not count.held_back:
            count.example = _message(record)
        count.held_back += 1
        return False

    def summaries(self, now: float) -> Iterator[logging.LogRecord]:
        """What was held back in the periods that have ended, or that there are too many of."""
        while self._counts:
            key, count = next(iter(self._counts.items()))
            if count.until > now and len(self._counts) < MAX_TEMPLATES:
                return
            del self._counts[key]
            if count.held_back:
                yield _summary(key, count)


def _note(text: str, name: str = __name__, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, text, None, None)


def _summary(key: tuple[str, int, str, str], count: _Repeats) -> logging.LogRecord:
    name, level, _, stream = key
    record = _note(f"{count.example} … repeated {count.held_back} times", name, level)
    record.stream = stream
    return record


class _StderrHandler(logging.Handler):
    """Writes to stderr, or not at all: a full disk, a stopped reader or a closed pipe never reaches the caller."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream
        self._limit = _RateLimit()
        self._lost = 0
        self._stalled = False
        self._poll: select.poll | None = None
        self._descriptor = -1
        with contextlib.suppress(AttributeError, OSError, ValueError):  # none, or a stand-in without a descriptor
            self._descriptor = stream.fileno() if stream else -1
        if self._descriptor >= 0 and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(self._descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        for summary in self._limit.summaries(now):
            self._show(summary)
        if self._limit.admits(record, now):
            self._show(record)

    def close(self) -> None:
        """Say what is still held back."""
        self.acquire()
        try:
            for summary in self._limit.summaries(float("inf")):
                self._show(summary)
        finally:
            self.release()
        super().close()

    def _show(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a record that cannot be shown must not stop its caller
            line = self.format(_note(f"a record of {record.name} cannot be shown: {type(error).__name__}"))
        if self._lost and self._write(self.format(_note(f"{self._lost} lines were lost: stderr did not take them"))):
            self._lost = 0
        if not self._write(line):
            self._lost += 1

    def _write(self, line: str) -> bool:
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        try:
            if self._descriptor < 0:
                if self._stream is not None:
                    self._stream.write(data.decode())
                return True
            while data:
                if self._poll is not None and not self._poll.poll(0 if self._stalled else STALL_MILLISECONDS):
                    self._stalled = True
                    return False
                data = data[os.write(self._descriptor, data[:WRITE_BYTES]) :]
        except (OSError, ValueError):
            return False
        self._stalled = False
        return True


def _message(record: logging.LogRecord) -> str:
    """The message with its arguments, or beside them if they do not fit."""
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - a slip in one log call
        message = f"{record.msg} {record.args!r}"
    return _shown(message)


def _shown(text: str) -> str:
    """Without credentials, and not too long.

    It is cut first, because redaction takes its time for a long text; so no URL may be cut in two, which could not be
    recognised: the first part ends before its last URL, the second begins with a whole line.
    """
    if len(text) > MAX_CHARACTERS:
        text = without_known_secrets(text)
        first, second = text[: MAX_CHARACTERS // 2], text[-MAX_CHARACTERS // 2 :]
        url = first.rfind("://", first.rfind("\n") + 1)
        first, second = first if url < 0 else first[:url], second.partition("\n")[2]
        text = f"{first} […]\n{second}"
    return redact(text)


class _BareLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        lines = "\n".join([_message(record), *_trace(self, record)]).splitlines()
        return "\n".join(map(printable, lines))


class _TextLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).astimezone().isoformat(timespec="milliseconds")
        stream = getattr(record, "stream", None)
        parts = [
            f"{moment} {record.levelname} {record.name}:",
            *([f"[{_shown(str(stream))}]"] if stream else []),
            _message(record),
        ]
        parts += _trace(self, record)
        return printable(" ".join(parts))


class _JsonLine(JsonFormatter):
    def __init__(self) -> None:
        super().__init__(timestamp=True)

    def format(self, record: logging.LogRecord) -> str:
        shown: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        stream = getattr(record, "stream", None)
        if stream:
            shown["stream"] = _shown(str(stream))
        arguments = record.args if isinstance(record.args, tuple) else ()
        errors = [argument for argument in arguments if isinstance(argument, MaskcastError)]
        if errors and errors[0].where is not None:
            shown["where"] = _shown(errors[0].where)
        trace = _trace(self, record)
        if trace:
            shown["exception"] = "\n".join(trace)
        line: str = self.serialize_log_record(shown)
        return line.replace("\x7f", "\\u007f")  # the one control character that JSON does not escape


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    """Traceback and stack of a record, redacted."""
    texts = [record.exc_text] if record.exc_text else []
    if record.exc_info and not texts:
        texts = [formatter.formatException(record.exc_info)]
    if record.stack_info:
        texts.append(formatter.formatStack(record.stack_info))
    return [_shown(text) for text in texts]
