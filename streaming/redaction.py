"""Credentials never reach a person's screen, a log or a message. Imports nothing of ours."""

from __future__ import annotations

import re

# `scheme://user:password@host`: everything between the scheme and the last @ before the path is user information.
# People also write passwords with a raw slash in them; then what follows the first colon is no port number.
_USER_INFORMATION = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/?#'\"]*:(?!\d*[/?#])[^\s'\"]*|[^\s/?#'\"]*)@"
)
# Stream URLs also carry secrets as query parameters.
_SECRET_PARAMETER = re.compile(
    r"(?P<name>[?&;](?:[\w.-]*(?:pass|pwd|secret|token|key|auth|sig|credential)[\w.-]*|user(?:name)?|usr)=)[^&;#\s'\"]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Replace the credentials of every URL in a text by `***`.

    Args:
        text: a URL, or any text that may quote one, such as an error message of FFmpeg.
    """
    text = _USER_INFORMATION.sub(r"\g<scheme>***@", text)
    return _SECRET_PARAMETER.sub(r"\g<name>***", text)
