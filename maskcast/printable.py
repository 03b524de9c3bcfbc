"""Characters that no id, prompt or line for a person may hold.

They end a line, drive a terminal, or turn the direction in which a line is read, so that it says something else than it
seems to ("Trojan Source", CVE-2021-42574).
"""

from __future__ import annotations

import re

# Unicode's control characters (category Cc), its two separators of lines (Zl, Zp), and all characters with the property
# Bidi_Control (PropList.txt). Written so that it means the same in the regular expressions of Python and JSON Schema.
UNPRINTABLE = r"[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
_UNPRINTABLE = re.compile(UNPRINTABLE)
_SURROGATE = re.compile("[\ud800-\udfff]")


def check_printable(text: str) -> str:
    """Refuse a text with such a character, or with bytes that are not UTF-8 (to Python, halves of surrogate pairs).

    Raises:
        ValueError: it has one; the message goes on after the name of the text.
    """
    if found := _UNPRINTABLE.search(text):
        raise ValueError(f"holds the control character U+{ord(found[0]):04X}")
    if _SURROGATE.search(text):
        raise ValueError("is not UTF-8")
    return text


def printable(text: str) -> str:
    r"""The text on one line, with each such character as Python writes it in a string: ``\n``, ``\u202e``."""
    return _UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], text)
