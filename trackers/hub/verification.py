"""Whether the files of the cache hold what they should, by the checksums of the hub, which are their names, too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trackers.hub.cache import Cache
from trackers.hub.checksum import is_checksum, matches


@dataclass(frozen=True)
class Verification:
    """What was found of a commit's files.

    Attributes:
        sound: those that hold what they should.
        damaged: those that do not.
        unknown: those of which nobody says what they should hold.
    """

    sound: tuple[Path, ...]
    damaged: tuple[Path, ...]
    unknown: tuple[Path, ...]


def verify(cache: Cache, commit: str, names: Collection[str], told: Mapping[str, str] | None = None) -> Verification:
    """Read files of a commit that are in the cache.

    Args:
        cache: of the repository.
        commit: which.
        names: of the files, or patterns.
        told: checksums by name, as the hub tells them; None to go by the names in the cache, without network.

    Raises:
        OSError: one cannot be read.
    """
    sound: list[Path] = []
    damaged: list[Path] = []
    unknown: list[Path] = []
    folder = cache.snapshot(commit)
    for file in sorted({file for name in names for file in folder.glob(name) if file.is_file()}):
        digest = (told or {}).get(file.name) or _named(file)
        place = unknown if digest is None else sound if matches(file, digest) else damaged
        place.append(file)
    return Verification(tuple(sound), tuple(damaged), tuple(unknown))


def _named(file: Path) -> str | None:
    """What a link of the cache leads to is named by what it holds; None where the disk has no links."""
    # Not resolved: the hub's client may keep it under yet another name, behind a second link.
    name = file.readlink().name if file.is_symlink() else ""
    return name if is_checksum(name) else None


def remove(file: Path) -> Path:
    """Remove a file of a commit, so that it is fetched again.

    Returns:
        What was removed.

    Raises:
        OSError: the disk refuses.
    """
    blob = file.parent / file.readlink() if file.is_symlink() else file
    blob.unlink()
    with suppress(FileNotFoundError):
        file.unlink()
    return blob.resolve()
