"""What a folder or a glob stands for: videos, each a stream of its own, or pictures, which are one stream together."""

from __future__ import annotations

import logging
import os
from functools import cache
from glob import glob, has_magic
from itertools import takewhile
from mimetypes import MimeTypes
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from maskcast.errors import SourceError
from maskcast.files import PARTIAL
from maskcast.printable import printable
from sources.location import IMAGE_SUFFIXES, Kind, is_pattern, kind_of, natural_order
from sources.pixels import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

# Believed without a look inside; what has another suffix is looked into. A GIF is a video: most of them move. Of JPEGs
# in a row FFmpeg does not say that they are more than a picture.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp"}
    | {".gif", ".mjpeg", ".mjpg"}
)
# What browsers, file managers and copying tools call a file that is not whole yet.
UNFINISHED_SUFFIXES = frozenset({".part", PARTIAL, ".crdownload", ".download", ".filepart", ".tmp", ".temp"})
# Types of files, by their suffixes, in which no video is looked for: the labels beside ten thousand pictures, say.
OTHER_TYPES = frozenset({"text", "image", "font"})
# FFmpeg's demuxers, beside those of single pictures (`…_pipe`), for what is no video: pictures, texts, and lists that
# would open other files.
OTHER_FORMATS = frozenset({"image2", "ico", "tty", "hls", "dash", "concat", "sdp"})


class Contents(NamedTuple):
    """The files that a folder or a glob stands for, in natural order."""

    videos: list[Path]
    pictures: list[Path]


def expand(spec: str) -> list[str]:
    """The streams that a spec stands for: all videos of a folder or a glob, or what it names itself.

    In a folder, videos win over pictures, which are then their thumbnails; a line of the log says so. Hidden files,
    unfinished ones and sub-folders are passed over. A glob is believed: whatever it names is a stream, and its pictures
    together are one more, which is named by the glob itself.
    """
    if kind_of(spec) is not Kind.IMAGES:
        return [spec]
    try:
        videos, pictures = contents(spec)
    except SourceError:  # opening it will say so
        return [spec]
    names = [str(video) for video in videos]
    if pictures and is_pattern(spec):
        return [*names, spec]
    if pictures and names:
        _say_left_out(spec, pictures)
    return names or [spec]


def one_stream(spec: str) -> Contents:
    """What one stream of a spec shows: pictures, or a single video.

    Raises:
        SourceError: there are several videos, or there is nothing.
    """
    videos, pictures = contents(spec)
    if pictures and is_pattern(spec):
        return Contents([], pictures)
    if len(videos) > 1:
        raise SourceError(f"holds {len(videos)} videos, and a stream is one of them", where=spec, advice="name it")
    if not videos and not pictures:
        raise _nothing(spec)
    if videos and pictures:
        _say_left_out(spec, pictures)
    return Contents(videos, [] if videos else pictures)


def contents(spec: str) -> Contents:
    """What a folder, a glob or the path of a picture stands for.

    Raises:
        SourceError: the folder cannot be read, or the path does not exist.
    """
    path = Path(spec)
    try:
        if is_pattern(spec):
            named = [Path(name) for name in glob(spec, recursive=True)]  # noqa: PTH207 - absolute patterns too
            return _sorted([file for file in named if not file.is_dir()], videos_are=lambda _: True)
        if not os.path.isdir(path):  # noqa: PTH112 - has an answer for every string
            path.stat()
            return Contents([], [path])
        return _sorted([file for file in path.iterdir() if _counts(file)], videos_are=_is_video)
    except OSError as error:
        from sources.failure import explain  # with FFmpeg, which a list of sources does without

        raise explain(error).at(spec) from error


def root_of(spec: str) -> Path:
    """The folder that a spec names: itself, the folder of a file, or the part of a glob before its wild cards."""
    path = Path(spec)
    if is_pattern(spec):
        return Path(*takewhile(lambda part: not has_magic(part), path.parts))
    return path if path.is_dir() else path.parent


def _sorted(files: Sequence[Path], videos_are: Callable[[Path], bool]) -> Contents:
    ordered = sorted(files, key=lambda file: natural_order(str(file)))
    pictures = [file for file in ordered if file.suffix.lower() in IMAGE_SUFFIXES]
    return Contents(
        [file for file in ordered if file.suffix.lower() not in IMAGE_SUFFIXES and videos_are(file)], pictures
    )


def _counts(file: Path) -> bool:
    """Whether a file of a folder is one that a person would name: not hidden, whole, and a file."""
    hidden = file.name.startswith(".")  # macOS puts `._name` beside each file on a foreign disk
    unfinished = file.suffix.lower() in UNFINISHED_SUFFIXES or file.stem.endswith(PARTIAL)  # an output of ours
    if hidden or unfinished or file.name.endswith("~"):
        return False
    # A link that leads nowhere is a picture or a video that is missing, and told.
    return file.is_file() or (file.is_symlink() and not file.exists())


def _is_video(file: Path) -> bool:
    if file.suffix.lower() in VIDEO_SUFFIXES:
        return True
    kind, _, _ = (_types().guess_type(file.name)[0] or "").partition("/")
    return kind not in OTHER_TYPES and _holds_video(file)


@cache
def _types() -> MimeTypes:
    return MimeTypes()


def _holds_video(file: Path) -> bool:
    """Look into a file."""
    import av

    try:
        if not file.stat().st_size:
            return False
        options = {"protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
        with av.open(f"file:{file}", options=options, metadata_errors="replace") as container:
            kind = container.format
            # Raw streams have no header to know them by: noise is taken for one, unless the name says it is.
            raw = bool(kind.flags & cast("Any", av.format.Flags.no_timestamps).value)
            if kind.name in OTHER_FORMATS or kind.name.endswith("_pipe"):
                return False
            if raw and file.suffix.lower().removeprefix(".") not in kind.extensions:
                return False
            best = container.streams.best("video")
            return bool(best and best.codec_context and not best.disposition & av.stream.Disposition.attached_pic)
    except (av.FFmpegError, OSError, ValueError):
        return False


def _say_left_out(spec: str, pictures: Sequence[Path]) -> None:
    first = [picture.name for picture in pictures[:3]]
    more = f" and {len(pictures) - len(first)} more" if len(pictures) > len(first) else ""
    names = f"{', '.join(first)}{more}"
    logger.warning("%s", printable(f"{spec}: the pictures beside its videos are left out: {names}; a glob names them"))


def _nothing(spec: str) -> SourceError:
    if is_pattern(spec):
        return SourceError("no images or videos: it names no file", where=spec)
    folders = sum(file.is_dir() for file in Path(spec).iterdir() if not file.name.startswith("."))
    advice = f"it holds {folders} folders: name one, or write '{Path(spec) / '**' / '*'}'" if folders else None
    return SourceError("no images or videos in it", where=spec, advice=advice)
