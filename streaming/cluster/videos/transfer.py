"""Videos are fetched to the node that tracks them, and outputs are uploaded when they are whole.

Nothing reads or writes over a network while the model waits, and what is seen at a URL is whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from maskcast.errors import MaskcastError, SinkError, SourceError
from maskcast.files import PARTIAL
from sources.location import scheme_of
from streaming.cluster.node_folder import free_bytes, node_folder
from streaming.cluster.videos.storage import (
    OBJECT_STORES,
    answer,
    begun,
    check_url,
    is_remote,
    named,
    opened,
    path_of,
    refused,
)

# Without a byte for so long a video that is fetched is given up.
STILL_SECONDS = 120.0
# Up to 100 MB go to S3 as one request, of which nobody says how far it is: that is 1.3 Mbit/s.
UPLOAD_STILL_SECONDS = 600.0
# Of a transfer that fails, each after another pause in seconds.
PAUSES = (1.0, 5.0)
LOOK_SECONDS = 0.1

# Is told now and then how many bytes have come or gone, and says whether to go on.
Moved: TypeAlias = Callable[[int], bool]


class NotWantedError(MaskcastError):
    """A transfer was stopped by who asked for it."""


@contextmanager
def fetched(source: str, moved: Moved = lambda _: True) -> Iterator[Path]:
    """A source as a local file: what is at a URL is fetched to this node, and removed at the end.

    Args:
        source: a path, which is left as it is, or a URL for which `is_remote` holds.
        moved: see `Moved`.

    Raises:
        UsageError: see `check_url`.
        SourceError: it cannot be fetched, or does not fit on the disk.
        NotWantedError: see `Moved`.
        MaskcastError: there is no temporary folder.
    """
    if not is_remote(source):
        yield Path(source)
        return
    check_url(source)
    with node_folder() as folder:
        local = folder / (PurePosixPath(path_of(source)).name or "video")
        _again(lambda: _fetch(source, local, moved), SourceError, source)
        yield local


def upload(local: Path, url: str, moved: Moved = lambda _: True) -> None:
    """Put a file where a URL says, whole or not at all; one that is there is replaced.

    Args:
        local: the file.
        url: for which `is_remote` holds.
        moved: see `Moved`.

    Raises:
        UsageError: see `check_url`.
        SinkError: it cannot be put there.
        NotWantedError: see `Moved`.
    """
    check_url(url)
    _again(lambda: _upload(local, url, moved), SinkError, url)


def remove(url: str) -> None:
    """Remove a file, if that is possible: it is of no use any more."""

    def work() -> None:
        system, path = opened(url)
        system.rm_file(path)

    with suppress(Exception):
        begun(work).result(STILL_SECONDS)


def _fetch(url: str, local: Path, moved: Moved) -> None:
    def look() -> int | None:
        system, path = opened(url)
        size: int | None = system.info(path).get("size")
        return size

    size = answer(look, SourceError, url)
    if size and size > (free := free_bytes(local.parent)):
        what = f"has {size / 1e6:,.0f} MB, and this node's {local.parent.parent} room for {free / 1e6:,.0f} MB"
        raise SourceError(what, where=named(url), advice="name another folder for temporary files with TMPDIR")

    def get() -> None:
        system, path = opened(url)
        system.get_file(path, str(local))

    _watched(get, lambda: local.stat().st_size if local.exists() else 0, STILL_SECONDS, moved)
    if size is not None and local.stat().st_size != size:
        raise OSError(f"{local.stat().st_size:,} of {size:,} bytes came")


def _upload(local: Path, url: str, moved: Moved) -> None:
    from fsspec.callbacks import Callback

    sent = Callback()
    whole = scheme_of(url) in OBJECT_STORES

    def put() -> None:
        system, path = opened(url)
        if whole:
            system.put_file(str(local), path, callback=sent)
            return
        folder, _, name = path.rpartition("/")
        part = f"{folder}/.{name}{PARTIAL}"
        try:
            system.makedirs(folder, exist_ok=True)
            system.put_file(str(local), part, callback=sent)
            if system.exists(path):  # not all of them rename over another file
                system.rm_file(path)
            system.mv(part, path)
        except BaseException:
            with suppress(Exception):
                system.rm_file(part)
            raise

    _watched(put, lambda: sent.value, UPLOAD_STILL_SECONDS, moved)


def _again(transfer: Callable[[], None], kind: type[MaskcastError], url: str) -> None:
    """Transfer, a few times if need be: a night's results are not lost to a moment without a network.

    Raises:
        MaskcastError: of this kind.
    """
    for pause in (*PAUSES, None):
        try:
            transfer()
        except (FileNotFoundError, PermissionError, MaskcastError) as error:
            raise refused(error, kind, url) from error
        except Exception as error:
            if pause is None or isinstance(error, TimeoutError):
                raise refused(error, kind, url) from error
            time.sleep(pause)
        else:
            return


def _watched(work: Callable[[], None], came: Callable[[], int], still: float, moved: Moved) -> None:
    """Run a transfer for as long as it moves and is wanted.

    Args:
        work: the transfer.
        came: how many bytes did so far.
        still: seconds without a byte after which it is given up.
        moved: see `Moved`.

    Raises:
        TimeoutError: it does not move.
        NotWantedError: see `Moved`.
    """
    running = begun(work)
    last, since = -1, time.monotonic()
    while not running.done():
        with suppress(TimeoutError):
            running.result(LOOK_SECONDS)
        if (now := came()) != last:
            last, since = now, time.monotonic()
        if not moved(now):
            raise NotWantedError("not wanted any more")
        if time.monotonic() - since > still:
            raise TimeoutError(f"nothing moved for {still:.0f} s")
    running.result()
