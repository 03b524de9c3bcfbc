"""Folders and globs of still images as the frames of a stream."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from glob import glob
from pathlib import Path

import cv2
import numpy as np

from sources.failure import explain
from sources.location import IMAGE_SUFFIXES, is_pattern, natural_order
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
        if os.path.isdir(path):  # noqa: PTH112 - has an answer for every string
            found = list(path.iterdir())
        elif is_pattern(spec):
            found = [Path(name) for name in glob(spec, recursive=True)]  # noqa: PTH207 - absolute patterns too
        else:
            path.stat()
            return [path]
    except OSError as error:
        raise SourceError(f"{spec}: {explain(error)}") from error
    images = (file for file in found if file.suffix.lower() in IMAGE_SUFFIXES and not os.path.isdir(file))  # noqa: PTH112
    return sorted(images, key=lambda file: natural_order(str(file)))


def read_image(path: Path) -> Image | None:
    """The image as ``(H, W, 3)`` uint8 RGB, turned as its EXIF data says; None if it cannot be read."""
    try:
        data = np.fromfile(path, np.uint8)
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if decoded is None else np.ascontiguousarray(decoded, dtype=np.uint8)
