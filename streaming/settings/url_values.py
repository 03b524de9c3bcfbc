"""Write a value into a URL so that it changes no other part of it: percent-encoded as its place needs."""

from __future__ import annotations

import re
from urllib.parse import quote

# FFmpeg sends these as they are written, so that nothing can be encoded in them; in user information it decodes the
# others' (libavformat's `rtmpproto.c`, against `httpauth.c`).
_NEVER_DECODED = frozenset({"rtmp", "rtmps"})
_HOST = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])?(?::?\d{1,5})?")
# Of a path and of a query's value (RFC 3986), less @, which some would take for the end of a password, and less what
# separates one value from the next.
_IN_PATH = "/:!$&'()*+,;=~"
_IN_QUERY = "/:!$'()*,~"


def encoded(value: str, template: str, start: int) -> str:
    """The value as it is to be written.

    Args:
        value: any text, not encoded.
        template: a URL in which `${NAME}` stands for values.
        start: where the value's `${NAME}` begins.

    Returns:
        The value for that place. Where no colon is written in the user information, the value's first one divides name
        and password; a value that is the whole query keeps its & and =.

    Raises:
        ValueError: nothing can be written there that means this value. The message does not quote it.
    """
    scheme, separator, rest = template.partition("://")
    start -= len(scheme) + len(separator)
    if start < 0:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", value):
            raise ValueError("the value before :// must be a scheme such as rtsp")
        return value
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    raw = scheme.lower() in _NEVER_DECODED
    if at and start < len(user):
        return _in_user(value, raw=raw, divide=":" not in user)
    if start < len(authority):
        if not _HOST.fullmatch(value):
            raise ValueError("the value in the place of the host must be a host, with or without a port")
        return value
    if raw:
        return value
    before = rest[len(authority) : start]
    if "?" not in before and "#" not in before:
        return quote(value, safe=_IN_PATH)
    whole = before.endswith("?") and re.fullmatch(r"\$\{\w+\}(?:#.*)?", rest[start:])
    return quote(value, safe=_IN_QUERY + ("&=" if whole else ""))


def _in_user(value: str, *, raw: bool, divide: bool) -> str:
    if raw:
        if re.search("[/?#]", value):
            raise ValueError("a user name or password with / ? # cannot be written into the URL of this protocol")
        return value
    name, colon, password = value.partition(":") if divide else (value, "", "")
    return f"{quote(name, safe='')}{colon}{quote(password, safe='')}"
