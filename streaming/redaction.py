"""Credentials never reach a person's screen, a log or a message. Imports nothing of ours."""

from __future__ import annotations

import re

# Stream URLs carry secrets as query parameters, and some cameras take them in the path:
# `/user=admin_password=abc_channel=1_stream=0.sdp`, where only the channel ends the password for sure.
_QUERY_NAME = (
    r"[?&;](?:[\w.-]*(?:pas|pwd|psw|secret|token|key|auth|sig|credential)[\w.-]*|user(?:name)?|usr|pw|loginuse)="
)
_PATH_NAME = r"/(?:user(?:name)?|usr|pass(?:word|wd)?|pwd)="
_SECRET_PARAMETER = re.compile(rf"(?P<name>{_QUERY_NAME})[^&;#\s'\"]+", re.IGNORECASE)
_SECRET_PATH = re.compile(rf"(?P<name>{_PATH_NAME})(?:[^\s'\"]*(?=[_&]channel=)|[^\s'\"]+)", re.IGNORECASE)

# What is a host beyond doubt, so that an @ in the path behind it separates nothing.
_HOST = r"(?:(?:\d{1,3}\.){3}\d{1,3}|\[[\da-f:.]+\]|localhost)(?::\d+)?(?:[/?#\s'\"]|$)"
_TO_LAST_AT = rf"(?:(?!{_QUERY_NAME}|{_PATH_NAME})[^\s'\"])*@"
# `scheme://user:password@host`: everything between the scheme and the last @ is user information, because people also
# write passwords with a raw slash in them. Before the first slash a password may hold spaces and quotes too.
# `http://name:8080/a@b` could be either, and is taken for a password.
_USER_INFORMATION = re.compile(
    rf"(?P<scheme>(?<![a-z0-9+.-])[a-z0-9+.-]+://)"
    rf"(?:(?!{_HOST})[^\s/?#'\"]*:(?!\s)(?:[^/?#\n]*@(?:{_TO_LAST_AT})?|{_TO_LAST_AT})|[^\s/?#'\"]*@)",
    re.IGNORECASE,
)


# What a URL and the text around it need. The patterns look ahead from every `://`, which in a hostile line of 100 kB
# would take minutes.
_LONGEST_LINE = 2000
_LAST_WORD = re.compile(r"(?<!\S)\S*[:/@=]\S*$")


def redact(text: str) -> str:
    """Replace the credentials of every URL in a text by `***`. Of a line, the first 2,000 characters are left.

    Args:
        text: a URL, or any text that may quote one, such as an error message of FFmpeg.
    """
    return "".join(_redact_line(line) for line in text.splitlines(keepends=True))


def _redact_line(line: str) -> str:
    if len(line) > _LONGEST_LINE:
        end = line[-1] if line[-1] == "\n" else ""
        # A word that is cut goes too if it might be a URL: its end would have told that it holds a password.
        line = f"{re.sub(_LAST_WORD, '', line[:_LONGEST_LINE])}…{end}"
    if "@" in line:
        line = _USER_INFORMATION.sub(r"\g<scheme>***@", line)
    line = _SECRET_PATH.sub(r"\g<name>***", line)
    return _SECRET_PARAMETER.sub(r"\g<name>***", line)
