"""A log record as one line, for people or for machines, without credentials and not too long."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from maskcast.printable import printable
from maskcast.redaction import redact, without_known_secrets

# A longer message or traceback is cut in the middle: both its ends say most.
MAX_CHARACTERS = 8000


def message(record: logging.LogRecord) -> str:
    """The message with its arguments, or beside them if they do not fit."""
    try:
        return _shown(record.getMessage())
    except Exception:  # noqa: BLE001 - a slip in one log call
        return _shown(f"{record.msg} {record.args!r}")


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


class BareLine(logging.Formatter):
    """What was said and nothing else, in as many lines as it has."""

    def format(self, record: logging.LogRecord) -> str:
        lines = "\n".join([message(record), *_trace(self, record)]).splitlines()
        return "\n".join(map(printable, lines))


class TextLine(logging.Formatter):
    """For people: time, level, logger, stream, message, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).astimezone().isoformat(timespec="milliseconds")
        stream = getattr(record, "stream", None)
        parts = [
            f"{moment} {record.levelname} {record.name}:",
            *([f"[{_shown(str(stream))}]"] if stream else []),
            message(record),
        ]
        parts += _trace(self, record)
        return printable(" ".join(parts))


class JsonLine(logging.Formatter):
    """For machines: an object; see `streaming.logs.configure_logs`."""

    def format(self, record: logging.LogRecord) -> str:
        trace = _trace(self, record)
        known = {name: getattr(record, name, None) for name in ("stream", "where")}
        shown = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": message(record),
            **{name: _shown(str(value)) for name, value in known.items() if value},
            **({"exception": "\n".join(trace)} if trace else {}),
        }
        return json.dumps(shown).replace("\x7f", "\\u007f")  # the one control character that JSON does not escape


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    """Traceback and stack of a record, redacted."""
    texts = [record.exc_text] if record.exc_text else []
    if record.exc_info and not texts:
        texts = [formatter.formatException(record.exc_info)]
    if record.stack_info:
        texts.append(formatter.formatStack(record.stack_info))
    return [_shown(text) for text in texts]
