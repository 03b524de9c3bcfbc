"""Messages that repeat themselves: the first few a minute are news, the others are a number."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from streaming.log_lines import MAX_CHARACTERS, message

# So many records of one message in a period are shown.
SHOWN_RECORDS = 10
PERIOD_SECONDS = 60.0
# Different messages that are counted at once, so that the counting is bounded too.
MAX_TEMPLATES = 500


@dataclass
class _Count:
    until: float  # time.monotonic
    shown: int = 0
    held_back: int = 0
    example: str = ""  # as text: a record would keep its arguments alive, and pictures with a traceback


class Repeats:
    """Counts the records of each message template by logger, level and stream, in periods."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._counts: OrderedDict[tuple[str, int, str, str], _Count] = OrderedDict()  # the oldest period first

    def admits(self, record: logging.LogRecord) -> bool:
        """Whether to show a record; otherwise it is counted."""
        key = (record.name, record.levelno, str(record.msg)[:MAX_CHARACTERS], str(getattr(record, "stream", "")))
        count = self._counts.setdefault(key, _Count(time.monotonic() + PERIOD_SECONDS))
        if count.shown < SHOWN_RECORDS:
            count.shown += 1
            return True
        if not count.held_back:
            count.example = message(record)
        count.held_back += 1
        return False

    def summaries(self, *, all_of_them: bool = False) -> Iterator[logging.LogRecord]:
        """What was held back in the periods that have ended, or that there are too many of; forgotten with that."""
        now = time.monotonic()
        while self._counts:
            (name, level, _, stream), count = next(iter(self._counts.items()))
            if not all_of_them and count.until > now and len(self._counts) < MAX_TEMPLATES:
                return
            self._counts.popitem(last=False)
            if count.held_back:
                text = f"{count.example} … repeated {count.held_back} times"
                summary = logging.LogRecord(name, level, "", 0, text, None, None)
                summary.stream = stream
                yield summary
