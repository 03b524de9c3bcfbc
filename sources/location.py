"""What a source's spec says before anything is opened: its kind, whether it is live, and a name for its stream."""

from __future__ import annotations

import re
from enum import Enum
from glob import has_magic
from pathlib import Path
from urllib.parse import urlsplit

from streaming.errors import UsageError
from streaming.redaction import redact

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp"}
)
LIVE_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "rtp"})
HTTP_SCHEMES = frozenset({"http", "https"})

# MQTT's level separator and wild cards, path separators, and what no terminal should be sent.
_FORBIDDEN = re.compile(r"[/\\+#\x00-\x1f\x7f]")


class Kind(Enum):
    """Which reader a source needs."""

    FILE = "file"
    IMAGES = "images"
    NETWORK = "network"
    CAMERA = "camera"


def kind_of(spec: str) -> Kind:
    """Tell from its form which kind of source a spec names.

    Raises:
        UsageError: the spec is empty or its scheme is unknown.
    """
    if not spec.strip() or "\0" in spec:
        raise UsageError("the source is empty: give a path, a URL or camera:0")
    if re.fullmatch(r"camera:\d+|/dev/video\d+", spec):
        return Kind.CAMERA
    if "://" in spec:
        scheme = urlsplit(spec).scheme.lower()
        if scheme not in LIVE_SCHEMES | HTTP_SCHEMES:
            known = ", ".join(sorted(LIVE_SCHEMES | HTTP_SCHEMES))
            raise UsageError(f"unknown scheme in {redact(spec)}: use a path, camera:0 or one of {known}")
        return Kind.NETWORK
    path = Path(spec)
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES or (has_magic(spec) and not path.exists()):
        return Kind.IMAGES
    return Kind.FILE


def expand(spec: str) -> list[str]:
    """A folder or glob of videos becomes its files, in order of name; anything else stays as it is."""
    if kind_of(spec) is not Kind.IMAGES:
        return [spec]
    path = Path(spec)
    if path.is_dir():
        found = list(path.iterdir())
        if any(file.suffix.lower() in IMAGE_SUFFIXES for file in found):
            return [spec]
    elif has_magic(spec) and not path.exists():
        from glob import glob

        found = [Path(name) for name in glob(spec, recursive=True)]  # noqa: PTH207 - absolute patterns too
    else:
        return [spec]
    videos = sorted(str(file) for file in found if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file())
    return videos or [spec]


def check_stream_id(stream: str) -> str:
    """Refuse an id that could escape its MQTT topic or its folder.

    Raises:
        UsageError: it is empty, too long, or holds what it must not.
    """
    if not stream or stream.startswith((".", "$")) or len(stream) > 128 or _FORBIDDEN.search(stream):
        raise UsageError(
            f"stream id {stream[:40]!r} cannot be used: 1 to 128 characters, no / \\ + # or control characters, "
            "no . or $ at the start"
        )
    return stream


def stream_id(spec: str) -> str:
    """A usable id from a source's name: the file's stem, the camera's number, or the URL's host and path."""
    kind = kind_of(spec)
    if kind is Kind.NETWORK:
        parts = urlsplit(spec)
        name = f"{parts.hostname or parts.scheme}{parts.path}"
    elif kind is Kind.CAMERA:
        name = spec.rsplit("/", 1)[-1]
    elif has_magic(spec) and not Path(spec).exists():
        name = Path(spec).parent.name or "images"
    else:
        path = Path(spec).absolute()
        name = path.name if path.is_dir() else path.stem
    cleaned = re.sub(r"[^\w.-]+", "-", name).strip("-._")
    return cleaned[:64] or "stream"
