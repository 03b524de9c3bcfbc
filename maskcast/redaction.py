"""Credentials never reach a person's screen, a log or a message.

Of a URL only scheme, host and port are shown: its user information, path, query and fragment may each hold a secret,
and nobody can tell which do. What came from the environment or is a password is known, and masked wherever it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

HIDDEN = "***"
# An @ behind a slash could be the end of a password or a part of the path.
UNCLEAR = (
    "write / ? # in its user name or password as %2F %3F %23, an @ behind its host as %40, and no control characters"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Shorter values are words and numbers that stand everywhere.
SHORTEST_SECRET_CHARACTERS = 4
_secrets: tuple[str, ...] = ()

# Outside of URLs, as in `GET /live?token=abc`, and in the paths of some cameras:
# `/user=admin_password=abc_channel=1_stream=0.sdp`, where only the channel ends the password for sure.
_QUERY_NAME = (
    r"[?&;](?:[\w.-]*(?:pas|pwd|psw|secret|token|key|auth|sig|credential)[\w.-]*|user(?:name)?|usr|pw|loginuse)="
)
_PATH_NAME = r"/(?:user(?:name)?|usr|pass(?:word|wd)?|pwd)="
_SECRET_PARAMETER = re.compile(rf"(?P<name>{_QUERY_NAME})[^&;#\s'\"]+", re.IGNORECASE)
_SECRET_PATH = re.compile(rf"(?P<name>{_PATH_NAME})(?:[^\s'\"]*(?=[_&]channel=)|[^\s'\"]+)", re.IGNORECASE)
# A URL with a slip: `rtsp:/user:abc@host`, `rtsp//user:abc@host`.
_SLIP = re.compile(
    r"(?P<scheme>(?<![a-z0-9+.-])(?:https?|mqtts?|rtmps?|rtp|rtsps?|srt|udp)(?::(?!//)|;?//))[^\s'\"]*@[^\s'\"]*",
    re.IGNORECASE,
)

# What is a host beyond doubt, so that an @ in the path behind it separates nothing.
_HOST = r"(?:(?:\d{1,3}\.){3}\d{1,3}|\[[\da-f:.]+\]|localhost)(?::\d+)?(?:[/?#\s'\"]|$)"
_TO_LAST_AT = rf"(?:(?!{_QUERY_NAME}|{_PATH_NAME})[^\s'\"])*@"
# People also write passwords with a raw slash in them, so user information may go to the last @ of all, and before the
# first slash a password may hold blanks and quotes.
_URL = re.compile(
    rf"(?P<scheme>(?<![a-z0-9+.-])[a-z0-9+.-]+://)"
    rf"(?P<user>(?!{_HOST})[^\s/?#'\"]*:(?!\s)(?:[^/?#\n]*@(?:(?!{_HOST}){_TO_LAST_AT})?|{_TO_LAST_AT})|[^\s/?#'\"]*@)?",
    re.IGNORECASE,
)
_PLACE = re.compile(r"(?:\[[\da-f:.]+\]|[\w.-]+)?(?::\d{1,5})?(?=[/?#]|$)", re.IGNORECASE)
_PUNCTUATION = ".,:;!)]}>'`\""
# A line break within user information; blanks are seen to above.
_BREAK = re.compile(r"(://[^\s/?#]{0,200}:[^\s/?#@]{0,200})[^\S ]+(?=[^\s/?#@]{0,200}@)")

# What a URL and the text around it need. The patterns look ahead from every `://`, which in a hostile line of 100 kB
# would take minutes.
_LONGEST_LINE_CHARACTERS = 2000
# What all that is looked for has at least one of.
_SUSPICIOUS = re.compile("://|[@=]")
_LAST_WORD = re.compile(r"(?<!\S)\S*[:/@=]\S*$")


def hide(values: Iterable[str]) -> None:
    """Mask these from now on, as they are and percent-encoded, in whatever `redact` is given: they are secrets.

    Args:
        values: those shorter than `SHORTEST_SECRET_CHARACTERS` are not masked.
    """
    global _secrets  # noqa: PLW0603 - what is secret is so for the whole process, as its environment is
    forms = set(_secrets)
    for value in values:
        if len(value) >= SHORTEST_SECRET_CHARACTERS:
            encoded = {quote(value, safe=""), quote(value, safe="/"), quote(value, safe="/:!$'()*,;=~&+")}
            lower = {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), form) for form in encoded}
            forms |= {value, json.dumps(value)[1:-1], repr(value)[1:-1], *encoded, *lower}
    _secrets = tuple(sorted(forms, key=len, reverse=True))


def passwords_of(url: str) -> tuple[str, ...]:
    """The password of a URL, as it is written and as it is meant; none of what is no URL or has none."""
    user = re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[0]
    password = user.partition(":")[2]
    return (password, unquote(password)) if password else ()


def redact(text: str) -> str:
    """Leave of every URL in a text its scheme, host and port, and mask what is secret.

    Args:
        text: a URL, or any text that may quote one, such as an error message of FFmpeg.

    Returns:
        The text; if it may hold a URL, at most the first 2,000 characters of each line.
    """
    if not _SUSPICIOUS.search(text):
        return without_known_secrets(text)
    joined = _BREAK.sub(r"\1", text) if "@" in text else text
    return without_known_secrets("".join(_redact_line(line) for line in joined.splitlines(keepends=True)))


def place_of(url: str) -> str:
    """Scheme, host and port of what is one URL from its first to its last character, `***` for what is none."""
    found = _URL.match(url)
    return without_known_secrets(_place(found, url[found.end() :])) if found else HIDDEN


def is_unclear(url: str) -> bool:
    """Whether a URL can be read in two ways, see `UNCLEAR`; no reader of ours takes one that is."""
    found = _URL.match(url)
    return _CONTROL.search(url) is not None or bool(found and re.search(r"[/?#]", found["user"] or ""))


def without_named_secrets(text: str) -> str:
    """The text without the values of parameters whose names tell that they are secret."""
    return _SECRET_PARAMETER.sub(r"\g<name>***", _SECRET_PATH.sub(r"\g<name>***", text))


def without_known_secrets(text: str) -> str:
    """The text with `***` for all that was hidden."""
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def _redact_line(line: str) -> str:
    if len(line) > _LONGEST_LINE_CHARACTERS:
        end = line[-1] if line[-1] == "\n" else ""
        # A word that is cut goes too if it might be a URL: its end would have told that it holds a password.
        line = f"{re.sub(_LAST_WORD, '', without_known_secrets(line)[:_LONGEST_LINE_CHARACTERS])}…{end}"
    return without_named_secrets(_SLIP.sub(r"\g<scheme>***", _redact_urls(line)))


def _redact_urls(line: str) -> str:
    shown, at = [], 0
    while found := _URL.search(line, at):
        before = line[found.start() - 1] if found.start() > 0 else ""
        if before in {"'", '"'} and (closing := line.find(before, found.end())) >= 0:
            end, trailing = closing, ""
        else:
            rest = re.split(r"\s", line[found.end() :], maxsplit=1)[0]
            kept = rest.rstrip(_PUNCTUATION)
            if rest.startswith("[") and "]" not in kept:  # the end of an IPv6 address
                kept = rest[: rest.find("]") + 1] or kept
            trailing = rest[len(kept) :]
            end = found.end() + len(rest)
        shown += [line[at : found.start()], _place(found, line[found.end() : end - len(trailing)]), trailing]
        at = end
    return "".join([*shown, line[at:]])


def _place(found: re.Match[str], rest: str) -> str:
    """What is shown of a URL whose beginning was found."""
    if not rest and not found["user"]:  # advice, such as "use mqtts://"
        return found["scheme"]
    place = _PLACE.match(rest)
    certain = place and place[0] and not re.search(r"[/?#\s]", found["user"] or "")
    return f"{found['scheme']}{place[0] if place and certain else HIDDEN}"
