"""Pictures of COCO that published values were measured on: fetched once, bounded, and not trusted."""

from __future__ import annotations

import time
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from maskcast.errors import SourceError, reason_of
from maskcast.files import cache_of, write_whole
from maskcast.picture import Image
from sources.picture_file import read_pictures

# Has no certificate of its own, so plain HTTP: what comes is decoded as a JPEG by Pillow, and as nothing else.
HOST = "http://images.cocodataset.org/val2017"
# The longest side of COCO's pictures; the shortest is taken from nowhere, but an icon is no picture.
LONGEST_SIDE, SHORTEST_SIDE = 640, 64
# Several times that of the largest of val2017.
MOST_BYTES = 2 << 20
# For a sign of the server, and for the whole picture.
SILENCE_SECONDS, MOST_SECONDS = 10.0, 60.0
_CHUNK_BYTES = 1 << 16
_JPEG = b"\xff\xd8\xff"


class _NoRedirects(HTTPRedirectHandler):
    """A server that sends elsewhere is not the one that was meant."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Follow none: the answer is then an error by its code."""


def reference_picture(name: str) -> Image:
    """A picture by its file name, from the cache folder or the network: ``(H, W, 3)`` uint8 RGB.

    Raises:
        SourceError: it is not here, and cannot be fetched.
    """
    file = cache_of("pictures") / name
    if file.is_file():
        try:
            return _read(file)
        except SourceError:
            pass  # fetched anew
    url = f"{HOST}/{name}"

    def fill(part: Path) -> None:
        part.write_bytes(_download(url))
        _read(part)

    try:
        write_whole(file, fill)
    except SourceError as error:
        raise error.at(url).advising(f"that picture can be put there by hand: {file}") from error
    except OSError as error:
        raise SourceError(f"cannot be kept: {reason_of(error)}", where=file) from error
    return _read(file)


def _read(file: Path) -> Image:
    """Decode a picture, if it is what it should be.

    Raises:
        SourceError: it is not.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            head = opened.read(len(_JPEG))
    except OSError as error:
        raise SourceError(f"cannot be read: {reason_of(error)}") from error
    if size > MOST_BYTES:
        raise _too_long()
    if head != _JPEG:
        raise SourceError("what came is no JPEG", advice="a network may ask for a login first")
    picture = next(read_pictures(file, LONGEST_SIDE**2)).rgb
    if not SHORTEST_SIDE <= min(picture.shape[:2]) <= max(picture.shape[:2]) <= LONGEST_SIDE:
        raise SourceError(f"what came is a picture of {picture.shape[1]}x{picture.shape[0]} pixels, none of COCO's")
    return picture


def _download(url: str) -> bytes:
    """What a server answers, through the proxy of the environment if there is one.

    Raises:
        SourceError: nothing, too much, too slowly, an error or a redirection.
    """
    end = time.monotonic() + MOST_SECONDS
    data = bytearray()
    try:
        with build_opener(_NoRedirects).open(url, timeout=SILENCE_SECONDS) as response:
            while chunk := response.read1(_CHUNK_BYTES):
                data += chunk
                if len(data) > MOST_BYTES:
                    raise _too_long()
                if time.monotonic() > end:
                    raise SourceError(f"cannot be fetched: not all has come in {MOST_SECONDS:.0f} s")
    except HTTPError as error:
        with error:
            raise SourceError(f"cannot be fetched: the server answers {error.code}") from error
    except (OSError, HTTPException) as error:
        raise SourceError(f"cannot be fetched: {reason_of(getattr(error, 'reason', None) or error)}") from error
    return bytes(data)


def _too_long() -> SourceError:
    return SourceError(f"what came is longer than {MOST_BYTES >> 20} MiB, and none of COCO's pictures")
