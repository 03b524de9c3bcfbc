"""The hub's cache on this disk, in the layout that huggingface_hub and Transformers read, too.

``models--owner--name/`` holds ``blobs/SUM``, the files by what they hold, ``snapshots/COMMIT/NAME``, links to them, and
``refs/REVISION``, which commit a branch or tag was when it was asked for
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from maskcast.files import PARTIAL, partial_name
from maskcast.lock import open_locked
from trackers.hub.checksum import is_checksum
from trackers.hub.repository import RemoteFile

# Between two looks whether another process is done with a file.
_POLL_SECONDS = 0.5
# After which nobody works on what huggingface_hub has begun; it never goes on with one.
_ABANDONED_SECONDS = 86400.0
_INCOMPLETE = ".incomplete"


class Cache:
    """What the cache holds of one repository.

    Attributes:
        folder: where it lies; it need not exist.
    """

    def __init__(self, repository: str) -> None:
        """`repository` is its id, such as ``facebook/sam3``."""
        from huggingface_hub import constants

        name = "--".join(("models", *repository.split("/")))
        hub = Path(constants.HF_HUB_CACHE)
        self.folder, self._locks = hub / name, hub / ".locks" / name

    def commit(self, revision: str) -> str | None:
        """The commit that a branch or a tag was when it was last asked for; None if it never was."""
        try:
            found = (self.folder / "refs" / revision).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
        return found or None

    def remember(self, revision: str, commit: str) -> None:
        """Note which commit a branch or a tag is.

        Raises:
            OSError: it cannot be written.
        """
        if revision == commit or self.commit(revision) == commit:
            return
        file = self.folder / "refs" / revision
        file.parent.mkdir(parents=True, exist_ok=True)
        part = partial_name(file)
        part.write_text(commit, encoding="ascii")
        part.replace(file)

    def snapshot(self, commit: str) -> Path:
        """The folder of a commit's files; it need not exist."""
        return self.folder / "snapshots" / commit

    def blob(self, digest: str) -> Path:
        """Where a file is that holds this; it need not exist."""
        return self.folder / "blobs" / digest

    def has(self, commit: str, file: RemoteFile) -> bool:
        """Whether a commit's file is there, as long as it should be. Its sum is not looked at."""
        return length(self.snapshot(commit) / file.name) == file.bytes

    def link(self, commit: str, name: str, blob: Path) -> None:
        """Let a commit's file be this one.

        Where the disk has no links the file itself goes there, as huggingface_hub has it.

        Raises:
            OSError: the disk refuses.
        """
        target = self.snapshot(commit) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            target.unlink()
        try:
            target.symlink_to(os.path.relpath(blob, target.parent))
        except FileExistsError:  # another process was quicker
            pass
        except OSError:
            shutil.move(blob, target)

    @contextmanager
    def lock(self, digest: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Be the only process, huggingface_hub's included, that fetches a file. The kernel frees it from who is killed.

        Args:
            digest: what it holds.
            waiting: called while another process has it.

        Raises:
            OSError: the disk refuses.
        """
        path = self._lock(digest)
        while (descriptor := open_locked(path, os.O_RDWR | os.O_CREAT)) is None:
            waiting()
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            os.close(descriptor)

    def _lock(self, digest: str) -> Path:
        self._locks.mkdir(parents=True, exist_ok=True)
        return self._locks / f"{digest}.lock"

    def tidy(self, kept: Collection[str]) -> None:
        """Remove what interrupted downloads have left and no process works on.

        Of ours, all but that of these checksums; of huggingface_hub's, what is older than a day: it begins each time
        with a new one.
        """
        for file in (self.folder / "blobs").glob("*"):
            with suppress(OSError):
                if file.name.endswith(PARTIAL):
                    digest = file.name.removesuffix(PARTIAL).removeprefix(".")
                elif file.name.endswith(_INCOMPLETE) and time.time() - file.stat().st_mtime > _ABANDONED_SECONDS:
                    digest = file.name.partition(".")[0]
                else:
                    continue
                if (
                    is_checksum(digest)
                    and digest not in kept
                    and (descriptor := open_locked(self._lock(digest), os.O_RDWR | os.O_CREAT))
                ):
                    try:
                        file.unlink()
                    finally:
                        os.close(descriptor)


def length(file: Path) -> int:
    """Bytes of a file; 0 if there is none."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
