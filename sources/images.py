"""Folders and globs of still images as the frames of a stream."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from glob import glob, has_magic
from pathlib import Path

import cv2
import numpy as np

from sources.location import IMAGE_SUFFIXES
from sources.picture import ArrayPicture
from streaming.errors import SourceError
from streaming.types import Frame, Image, StreamInfo

# Images have no clock; this is the rate at which FFmpeg reads image sequences.
RATE = Fraction(25)


class ImagesSource:
    """Images in natural order of their names (2 before 10); see `sources.source.Source`."""

    def __init__(self, spec: str, stream: str, *, live: bool) -> None:
        """Find the images of a folder, a glob or a single path.

        Raises:
            SourceError: there are none, or none of them can be read.
        """
        self._spec, self._stopped = spec, False
        self._paths = find_images(spec)
        if not self._paths:
            raise SourceError(f"{spec}: no images in it (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
        first = next((image for image in map(read_image, self._paths) if image is not None), None)
        if first is None:
            raise SourceError(f"{spec}: none of the {len(self._paths)} images can be read; the first: {self._paths[0]}")
        count = len(self._paths)
        self.info = StreamInfo(
            stream, first.shape[1], first.shape[0], 1 / RATE, RATE, count, float(count / RATE), live=live
        )

    def __iter__(self) -> Iterator[Frame]:
        started = datetime.now(UTC)
        broken: list[Path] = []
        for index, path in enumerate(self._paths):
            if self._stopped:
                return
            image = read_image(path)
            if image is None:
                broken.append(path)
                continue
            pts = float(index / RATE)
            captured = datetime.now(UTC) if self.info.live else started + timedelta(seconds=pts)
            yield Frame(self.info.stream, index, pts, captured, ArrayPicture(image))
        if broken:
            raise SourceError(
                f"{self._spec}: {len(broken)} of {len(self._paths)} images cannot be read; the first: {broken[0]}"
            )

    def close(self) -> None:
        self._stopped = True


def find_images(spec: str) -> list[Path]:
    """The image files that a folder, a glob or a path names, in natural order.

    Raises:
        SourceError: the folder cannot be read, or the path does not exist.
    """
    path = Path(spec)
    try:
        if path.is_dir():
            found = [file for file in path.iterdir() if file.is_file()]
        elif has_magic(spec) and not path.exists():
            found = [Path(name) for name in glob(spec, recursive=True)]  # noqa: PTH207 - absolute patterns too
        elif path.exists():
            return [path]
        else:
            raise SourceError(f"{spec}: no such file")
    except OSError as error:
        raise SourceError(f"{spec}: {error.strerror}") from error
    return sorted((file for file in found if file.suffix.lower() in IMAGE_SUFFIXES), key=_natural)


def read_image(path: Path) -> Image | None:
    """The image as ``(H, W, 3)`` uint8 RGB, turned as its EXIF data says; None if it cannot be read."""
    try:
        data = np.fromfile(path, np.uint8)
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if decoded is None else np.ascontiguousarray(decoded, dtype=np.uint8)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key under which digits count as numbers."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
