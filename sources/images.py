"""Folders and globs of pictures as the frames of a stream."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

from maskcast.errors import SourceError
from maskcast.frame import Frame
from maskcast.stream_info import StreamInfo
from sources.folder import root_of
from sources.picture import ArrayPicture
from sources.picture_file import FilePicture, read_pictures
from sources.pixels import MAX_PIXELS

# Pictures have no clock; this is the rate at which FFmpeg reads image sequences.
FRAME_RATE = Fraction(25)
# Animations count in milliseconds.
ANIMATION_TIME_BASE = Fraction(1, 1000)


class ImagesSource:
    """Pictures in natural order of their files' names (2 before 10); see `sources.source.Source`.

    A file with several pictures gives them all. Where it is the only file, they keep the times that it gives them.
    """

    def __init__(
        self, spec: str, files: Sequence[Path], stream: str, *, live: bool, max_pixels: int = MAX_PIXELS
    ) -> None:
        """Read the first picture.

        Args:
            spec: the folder, the glob or the file that was given.
            files: its pictures' files, at least one, in order.
            stream: id of the stream.
            live: whether frames may be dropped.
            max_pixels: largest picture that is decoded, width times height.

        Raises:
            SourceError: none of them can be read.
        """
        self._spec, self._stopped, self._max_pixels = spec, False, max_pixels
        self._paths, self._root = files, root_of(spec)
        first = self._first()
        count = len(self._paths)
        # What an animation gives is known when it ends.
        self._animated = count == 1 and not first.alone
        self.info = StreamInfo(
            stream,
            width=first.rgb.shape[1],
            height=first.rgb.shape[0],
            time_base=ANIMATION_TIME_BASE if self._animated else 1 / FRAME_RATE,
            frame_rate=None if self._animated else FRAME_RATE,
            frame_count=None if self._animated else count,
            duration=None if self._animated else float(count / FRAME_RATE),
            live=live,
        )

    def _first(self) -> FilePicture:
        first: SourceError | None = None
        for path in self._paths:
            try:
                return next(read_pictures(path, self._max_pixels))
            except SourceError as error:
                first = first or error.at(path)
        what = f"none of the {len(self._paths)} images can be read; the first: {first}"
        raise SourceError(what, where=self._spec)

    def __iter__(self) -> Iterator[Frame]:
        started = datetime.now(UTC)
        broken: list[SourceError] = []
        index, pts = 0, Fraction(0)
        for path in self._paths:
            before = index
            try:
                for picture in read_pictures(path, self._max_pixels):
                    if self._stopped:
                        return
                    captured = datetime.now(UTC) if self.info.live else started + timedelta(seconds=float(pts))
                    name = _file_name(path, self._root) if picture.alone else None
                    decoded = ArrayPicture(picture.rgb)
                    yield Frame(self.info.stream, index, float(pts), captured, decoded, file_name=name)
                    index += 1
                    pts += (picture.seconds if self._animated else None) or 1 / FRAME_RATE
            except SourceError as error:
                broken.append(error.at(path))
                if index == before:  # it leaves a gap
                    index, pts = index + 1, pts + 1 / FRAME_RATE
        if broken:
            what = f"{len(broken)} of {len(self._paths)} images cannot be read; the first: {broken[0]}"
            raise SourceError(what, where=self._spec)

    def close(self) -> None:
        self._stopped = True


def _file_name(path: Path, root: Path) -> str:
    """The name of a file below a folder, with `/`; bytes that are no UTF-8 are escaped."""
    name = os.path.relpath(path, root).replace(os.sep, "/")
    return os.fsencode(name).decode("utf-8", "backslashreplace")
