"""What a source's spec says before anything is opened: its kind, whether it is live, and a name for its stream."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from enum import Enum
from glob import has_magic
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit
from zlib import crc32

from maskcast.errors import UsageError
from maskcast.printable import check_printable
from maskcast.redaction import UNCLEAR, is_unclear, place_of, without_named_secrets

STDIN = "-"
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif"})
LIVE_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "rtp"})
RTSP_SCHEMES = frozenset({"rtsp", "rtsps"})
HTTP_SCHEMES = frozenset({"http", "https"})

DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}

MAX_ID_CHARACTERS = 128
# Ids that are made here are shorter, so that file names have room for more.
MADE_ID_CHARACTERS = 64
# MQTT's level separator and wild cards, and path separators.
_FORBIDDEN = re.compile(r"[/\\+#]")


class Kind(Enum):
    """Which reader a source needs."""

    FILE = "file"
    IMAGES = "images"
    NETWORK = "network"
    CAMERA = "camera"


def kind_of(spec: str) -> Kind:
    """Tell from its form which kind of source a spec names.

    Raises:
        UsageError: the spec can never be right: empty, of an unknown scheme, without a host.
    """
    if not spec.strip() or "\0" in spec:
        raise UsageError("the source is empty", advice="give a path, a URL or camera:0")
    if re.fullmatch(r"camera:\d+|/dev/video\d+", spec):
        return Kind.CAMERA
    if spec.startswith("camera:") and not os.path.lexists(spec):
        raise UsageError("cameras are numbered", where=spec, advice="write camera:0 or /dev/video0")
    if re.fullmatch(r"[0-9]{1,2}", spec) and not os.path.lexists(spec):
        raise UsageError("no such file", where=spec, advice=f"for a camera write camera:{spec}")
    if "://" in spec:
        _check_url(spec)
        return Kind.NETWORK
    # os.path's questions, unlike pathlib's, have an answer for every string, such as one that is too long.
    if os.path.isdir(spec):  # noqa: PTH112
        return Kind.IMAGES
    if Path(spec).suffix.lower() in IMAGE_SUFFIXES or is_pattern(spec):
        return Kind.IMAGES
    return Kind.FILE


def is_pattern(spec: str) -> bool:
    """Whether a path is a glob; a file that has the very name is taken as it is."""
    return has_magic(spec) and not os.path.exists(spec)  # noqa: PTH110 - see `kind_of`


def scheme_of(url: str) -> str:
    """The scheme, in lower case."""
    return url.partition("://")[0].lower()


def is_hls(url: str) -> bool:
    """Whether a URL names an HLS playlist."""
    return scheme_of(url) in HTTP_SCHEMES and re.split("[?#]", url, maxsplit=1)[0].lower().endswith(".m3u8")


def host_and_port(url: str) -> tuple[str | None, int | None]:
    """Host and port of a URL, whatever its password holds.

    Raises:
        ValueError: the port is no number; the message may quote it.
    """
    authority = re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0]
    parts = urlsplit(f"//{authority.rpartition('@')[2]}")
    return parts.hostname, parts.port


def _check_url(url: str) -> None:
    shown, scheme = place_of(url), scheme_of(url)
    if scheme not in LIVE_SCHEMES | HTTP_SCHEMES:
        known = ", ".join(sorted(LIVE_SCHEMES | HTTP_SCHEMES))
        raise UsageError("unknown scheme", where=shown, advice=f"use a path, camera:0 or one of {known}")
    if is_unclear(url):
        raise UsageError(UNCLEAR, where=shown)
    try:
        host, port = host_and_port(url)
    except ValueError:  # its text quotes what may be a password
        what, advice = "not a source: its host or port cannot be read", f"write {scheme}://host:554"
        raise UsageError(what, where=shown, advice=advice) from None
    if not (host or (port and scheme in {"udp", "rtp", "srt"})):
        raise UsageError("no host in the URL", where=shown, advice=f"write {scheme}://host")


def natural_order(name: str) -> list[tuple[int, str]]:
    """Sort key under which digits count as numbers: 2 before 10."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in parts]


def check_stream_id(stream: str) -> str:
    """Refuse an id that could escape its MQTT topic or its folder.

    Raises:
        UsageError: it is empty, too long, or holds what it must not.
    """
    try:
        check_printable(stream)
    except ValueError as error:
        raise UsageError(f"cannot be used: it {error}", where=f"stream id {stream[:40]!a}") from None
    if (
        not stream.strip()
        or stream.startswith((".", "$"))
        or len(stream) > MAX_ID_CHARACTERS
        or _FORBIDDEN.search(stream)
    ):
        rule = f"1 to {MAX_ID_CHARACTERS} characters, no / \\ + #, no . or $ at the start"
        raise UsageError(f"cannot be used: {rule}", where=f"stream id {stream[:40]!a}")
    return stream


def stream_id(spec: str) -> str:
    """A usable id from a source's name: the file's stem, the camera's number, or the URL less what is secret."""
    kind = kind_of(spec)
    if spec == STDIN:
        name = "stdin"
    elif kind is Kind.NETWORK:
        name = _name_of_url(spec)
    elif kind is Kind.CAMERA:
        name = spec.rsplit("/", 1)[-1]
    elif is_pattern(spec):
        name = Path(spec).parent.name or "images"
    else:
        path = Path(spec).absolute()
        name = path.name if os.path.isdir(path) else path.stem  # noqa: PTH112 - see `kind_of`
    return made_id(name)


def made_id(name: str) -> str:
    """A usable id from any name."""
    cleaned = re.sub(r"[^\w.-]+", "-", name).strip("-._")
    if len(cleaned) > MADE_ID_CHARACTERS:  # what differs may be what is cut off
        digest = f"-{crc32(cleaned.encode()):08x}"
        cleaned = cleaned[: MADE_ID_CHARACTERS - len(digest)] + digest
    return cleaned or "stream"


def free_id(name: str, taken: Collection[str]) -> str:
    """A stream's id that no other one has: door, door-2, door-3."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _name_of_url(url: str) -> str:
    """Host and unusual port; what else tells one camera from another may be secret, and is a digest."""
    host, number = host_and_port(url)
    port = f"-{number}" if number and number != DEFAULT_PORTS.get(scheme_of(url)) else ""
    rest = re.sub("^[^/?#]*", "", url.partition("://")[2])
    digest = f"-{sha256(without_named_secrets(rest).encode()).hexdigest()[:8]}" if rest.strip("/?#") else ""
    return f"{host or scheme_of(url)}{port}{digest}"
