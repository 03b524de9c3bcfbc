"""Files of pictures, opened by their headers and read one picture after the other."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Iterator
from contextlib import closing, suppress
from fractions import Fraction
from functools import cache
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pi_heif import HeifImageFile
from PIL import _imaging
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombError, Transpose, fromarray
from PIL.Image import Image as PillowImage
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from maskcast.errors import SourceError
from maskcast.picture import Image
from sources.failure import explain
from sources.pixels import oversize, oversize_unseen

# What is tried, whatever a file's name says: many a .jpg from a telephone is HEIF. Not `PIL.Image.open`, which knows
# dozens of formats that nobody films in, and bounds pictures by a number that all users of Pillow in a process share.
# Of a JPEG the first picture counts: what may follow are previews and gain maps.
FORMATS: tuple[type[ImageFile], ...] = (
    JpegImageFile,
    PngImageFile,
    TiffImageFile,
    BmpImageFile,
    GifImageFile,
)
WEBP: tuple[type[ImageFile], ...] = (WebPImageFile,)
ISOBMFF: tuple[type[ImageFile], ...] = (AvifImageFile, HeifImageFile)
# Brands of such files (ISO/IEC 23008-12, AV1 Image File Format 1.1); those of videos are others.
BRANDS = frozenset({b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis"})
# Far above a picture of `MAX_PIXELS`, uncompressed.
MOST_BYTES = 1 << 30
# EXIF 2.3, 4.6.4 A: the tag, and what brings the picture of each of its values upright.
ORIENTATION = 0x0112
UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
# No animation shows a picture for more than a day.
LONGEST_MILLISECONDS = 86_400_000
END_OF_JPEG = b"\xff\xd9"
# TIFF 6.0, section 8: bits of the tag NewSubfileType for reduced copies of a page and for its transparency mask.
NEW_SUBFILE_TYPE = 254
REDUCED_OR_MASK = 0b101


class FilePicture(NamedTuple):
    """One picture of a file.

    Attributes:
        rgb: ``(H, W, 3)`` uint8, turned as its EXIF data says.
        seconds: how long it is shown, if the file says so.
        alone: whether it is the only picture of its file.
    """

    rgb: Image
    seconds: Fraction | None
    alone: bool


def read_pictures(path: Path, max_pixels: int) -> Iterator[FilePicture]:
    """The pictures of a file, in order: pages of a TIFF, steps of an animation, or one.

    Only one of them is in memory, and none that has more than `max_pixels` pixels is decoded.

    Raises:
        SourceError: one line without the path; what came before it is good.
    """
    done = 0
    try:
        with closing(_open(path)) as file:
            for _ in _steps(file):
                if too_large := oversize(*file.size, max_pixels):
                    raise too_large  # noqa: TRY301 - told with the number of the picture below
                picture = _load(file, path)
                yield FilePicture(_rgb(picture), _seconds(file), not _several(file))
                done += 1
    except SourceError as error:
        if done == 0:
            raise
        raise error.at(f"picture {done + 1}") from error
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise explain(error) from error
    except DecompressionBombError as error:  # Pillow has a bound of its own for WebP
        raise oversize_unseen(max_pixels) from error
    except Exception as error:  # whatever a decoder raises at what it was given
        raise SourceError(f"picture {done + 1} is damaged" if done else "not a picture, or damaged") from error


def size_in_header(data: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a picture gives; None if it is none that is read here."""
    try:
        return _open(io.BytesIO(data)).size
    except Exception:  # noqa: BLE001 - as in `read_pictures`
        return None


def holds_more_than_ffmpeg_gives(path: Path) -> bool:
    """Whether a file is a picture of a kind of which FFmpeg gives one page, one step or one tile."""
    try:
        with closing(_open(path)) as file:
            return isinstance(file, WebPImageFile | TiffImageFile | AvifImageFile | HeifImageFile)
    except Exception:  # noqa: BLE001 - as in `read_pictures`
        return False


def _open(file: Path | io.BytesIO) -> ImageFile:
    for kind in _kinds(file):
        if isinstance(file, io.BytesIO):
            file.seek(0)
        try:
            return kind(file)
        except (OSError, DecompressionBombError):
            raise
        except Exception:  # noqa: BLE001, S112 - it is none of this kind, which each says in its own way
            continue
    raise ValueError("none of the formats")


def _kinds(file: Path | io.BytesIO) -> tuple[type[ImageFile], ...]:
    """The formats that it may be. The readers of the ISO formats, and of WebP, take a file into memory whole."""
    if isinstance(file, io.BytesIO):
        head, size = file.getvalue()[:12], 0
    else:
        with file.open("rb") as opened:
            head, size = opened.read(12), file.stat().st_size
    if head[4:8] == b"ftyp":
        kinds = ISOBMFF if head[8:] in BRANDS else ()
    elif head.startswith(b"RIFF"):
        kinds = WEBP if head[8:] == b"WEBP" else ()
    else:
        return FORMATS
    if kinds and size > MOST_BYTES:
        raise SourceError(f"a picture of {size >> 20} MiB", advice=f"the most is {MOST_BYTES >> 20}")
    return kinds


def _load(file: ImageFile, path: Path) -> ImageFile:
    if isinstance(file, TiffImageFile):
        _silence_libtiff()
    if isinstance(file, HeifImageFile) and _several(file):
        number = file.tell()
        file = HeifImageFile(path)  # one reader for all would keep every picture that it decoded
        file.seek(number)
    try:
        file.load()
    except OSError:
        if not isinstance(file, JpegImageFile):
            raise
        return _without_end(path)
    return file


def _without_end(path: Path) -> ImageFile:
    """A JPEG that lacks nothing but its end marker, as some cameras write it.

    Raises:
        OSError: there are pixels missing: what follows the data is taken for a part of them.
    """
    if path.stat().st_size > MOST_BYTES:
        raise OSError("truncated")
    data = path.read_bytes().rstrip(b"\xff")  # the beginning of a marker
    one, other = (JpegImageFile(io.BytesIO(data + filler + END_OF_JPEG)) for filler in (b"", b"\xaa" * 4096))
    if one.tobytes() != other.tobytes():
        raise OSError("truncated")
    return one


@cache
def _silence_libtiff() -> None:
    """Take the voice of Pillow's libtiff, which writes to the error output what Pillow raises anyway."""
    with suppress(AttributeError, OSError):  # a Pillow without it
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


def _several(file: ImageFile) -> bool:
    return bool(getattr(file, "is_animated", False))


def _seconds(file: ImageFile) -> Fraction | None:
    milliseconds = file.info.get("duration", 0)
    return Fraction(milliseconds) / 1000 if 0 < milliseconds <= LONGEST_MILLISECONDS else None


def _steps(file: ImageFile) -> Iterator[None]:
    """Go from picture to picture, past what is no picture of its own."""
    if not _several(file):
        yield
        return
    # The pages of a TIFF and the steps of a GIF are not counted anywhere.
    promised = 1 if isinstance(file, TiffImageFile | GifImageFile) else int(file.n_frames)  # type: ignore[attr-defined]
    # An APNG may begin with a picture for those who cannot play it.
    for position in count(1 if getattr(file, "default_image", False) else 0):
        try:
            file.seek(position)
        except EOFError:
            if position < promised:
                raise
            return
        reduced = isinstance(file, TiffImageFile) and file.tag_v2.get(NEW_SUBFILE_TYPE, 0) & REDUCED_OR_MASK
        if not reduced:
            yield


def _rgb(file: PillowImage) -> Image:
    if file.mode in {"I", "F"}:
        raise SourceError("its samples have 32 bits", advice="convert it to 8 or 16")
    orientation = file.getexif().get(ORIENTATION, 1)
    if file.mode.startswith("I;16"):  # Pillow would clip
        file = fromarray((np.asarray(file) >> 8).astype(np.uint8))
    picture = file if file.mode == "RGB" else file.convert("RGB")
    if orientation in UPRIGHT:
        picture = picture.transpose(UPRIGHT[orientation])
    return np.asarray(picture)
