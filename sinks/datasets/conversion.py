"""From our COCO file to the formats of labelling tools and training programs, which datumaro writes.

Datumaro (https://github.com/open-edge-platform/datumaro, MIT) is an extra: it wants older Pillow and OpenCV than we do.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskcast.errors import SinkError, SourceError, UsageError, reason_of, unforeseen
from sinks.messages import rle

if TYPE_CHECKING:  # an extra
    from datumaro.components.dataset import Dataset

# What our names are called by datumaro.
FORMATS: Mapping[str, str] = {"cvat": "cvat", "voc": "voc", "png": "mots_png"}
# Often asked for, and what is missing in datumaro 1.13.
LACKING: Mapping[str, str] = {
    "yolo-seg": "of YOLO it writes boxes alone",
    "label-studio": "it knows no format of Label Studio",
}
# MOTS writes 1000 times the class and the track's id into 16 bits.
MOST_PNG_TRACKS, MOST_PNG_CLASSES = 999, 64


@dataclass(frozen=True, slots=True)
class VideoAnnotations:
    """A COCO file as `sinks.datasets.coco` writes it, with one video.

    Attributes:
        width, height: of the video in pixels.
        file_names: of its frames.
        labels: names of the categories.
        tracks: by id, the index of its label and its masks, `size` and `counts`, by the number of the frame.
    """

    width: int
    height: int
    file_names: list[str]
    labels: list[str]
    tracks: dict[int, tuple[int, list[Any]]]


def read_annotations(file: Path) -> VideoAnnotations:
    """Read a COCO file whole; its masks stay encoded.

    Raises:
        SourceError: it cannot be read, or is no such file.
    """
    try:
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise SourceError(f"cannot be read: {reason_of(error)}", where=file) from error
    except ValueError as error:
        raise SourceError(
            f"is no JSON: {reason_of(error)}", where=file, advice="give what --out coco:… wrote"
        ) from None
    try:
        (video,) = document["videos"]
        numbers = {category["id"]: number for number, category in enumerate(document["categories"])}
        names = [str(name) for name in video["file_names"]]
        tracks = {
            int(one["id"]): (numbers[one["category_id"]], list(one["segmentations"])) for one in document["annotations"]
        }
        lengths = {len(masks) for _, masks in tracks.values()} | {len(names)}
        (_,) = lengths  # of one length, all of them
        labels = [str(category["name"]) for category in document["categories"]]
        return VideoAnnotations(int(video["width"]), int(video["height"]), names, labels, tracks)
    except (KeyError, TypeError, ValueError) as error:
        what = f"is no COCO file of one video, as Maskcast writes it ({unforeseen(error)})"
        raise SourceError(what, where=file) from None


def convert(file: Path, to: str, out: Path, images: Path | None = None) -> int:
    """Write a COCO file in another format.

    Args:
        file: what `sinks.datasets.coco.CocoSink` wrote.
        to: one of `FORMATS`.
        out: folder, which must not exist or be empty; it gets its name when it is whole.
        images: folder with a picture for each frame, under the names that the file says; they are copied. None for
            annotations alone.

    Returns:
        The number of frames.

    Raises:
        UsageError: datumaro is missing or lacks the format, the folder holds something, or the format cannot hold it.
        SourceError: the file or a picture cannot be read.
        SinkError: it cannot be written.
    """
    if to in LACKING:
        what = f"datumaro cannot write {to}: {LACKING[to]}"
        raise UsageError(what, where="--to", advice=f"it can {', '.join(FORMATS)}")
    if to not in FORMATS:
        raise UsageError(f"unknown format {to!r}", where="--to", advice=f"use {', '.join(FORMATS)}")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError("exists already", where=out, advice="choose another name")
    found = read_annotations(file)
    if to == "png" and (max(found.tracks, default=0) > MOST_PNG_TRACKS or len(found.labels) > MOST_PNG_CLASSES):
        what = f"png holds ids of tracks up to {MOST_PNG_TRACKS} and {MOST_PNG_CLASSES} prompts"
        raise UsageError(what, where=file, advice="use cvat or voc")
    if images is not None and (missing := [name for name in found.file_names if not (images / name).is_file()]):
        raise SourceError(f"no picture {missing[0]}", where=images, advice=f"{len(missing)} are missing in all")
    try:
        dataset = _dataset(found, to, images)
    except ImportError:
        raise UsageError("datumaro is missing", where="convert", advice="install Maskcast's extra [convert]") from None
    partial = out.with_name(f"{out.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.parent.mkdir(parents=True, exist_ok=True)
        dataset.export(str(partial), FORMATS[to], save_media=images is not None)
        partial.replace(out)
    except OSError as error:
        raise SinkError(f"cannot be written: {reason_of(error)}", where=out) from error
    except ValueError as error:
        raise SourceError(f"a mask is damaged: {error}", where=file) from error
    except Exception as error:
        raise SinkError(f"datumaro failed: {unforeseen(error)}", where=out) from error
    return len(found.file_names)


def _dataset(found: VideoAnnotations, to: str, images: Path | None) -> Dataset:
    """What datumaro knows of the file; masks are decoded when they are written."""
    from datumaro.components.annotation import AnnotationType, Bbox, LabelCategories, Mask
    from datumaro.components.dataset import Dataset
    from datumaro.components.dataset_base import DatasetItem
    from datumaro.components.media import Image

    def annotations(frame: int) -> Iterator[Any]:
        for track, (label, masks) in found.tracks.items():
            if told := masks[frame]:
                decoded = _Decoded(told["counts"], (found.height, found.width))
                about: dict[str, Any] = {"label": label, "group": track, "attributes": {"track_id": track}}
                yield Mask(decoded, **about)
                if to == "voc":  # whose objects are boxes
                    yield Bbox(*rle.decode(told["counts"], (found.height, found.width)).bbox, **about)

    size = (found.height, found.width)
    items = [
        DatasetItem(
            str(PurePosixPath(name).with_suffix("")),
            media=Image.from_file(path=str(images / name) if images else name, size=size),
            annotations=list(annotations(number)),
            attributes={"frame": number},
        )
        for number, name in enumerate(found.file_names)
    ]
    labels = LabelCategories.from_iterable(found.labels)
    return Dataset.from_iterable(items, categories={AnnotationType.label: labels}, media_type=Image)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A mask that is decoded whenever it is asked for: ``(H, W)``."""

    counts: str
    size: tuple[int, int]

    def __call__(self) -> NDArray[np.uint16]:
        # Of 16 bits, as datumaro multiplies it with what it writes.
        return rle.decode(self.counts, self.size).full().astype(np.uint16)
