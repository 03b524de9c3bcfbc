"""Bring a checkpoint into the cache because somebody asks for just that, or see whether what is there is sound."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from maskcast.errors import ModelError, reason_of
from trackers.detection.architecture import Role
from trackers.detection.folder import FILES, CheckpointFolder
from trackers.detection.location import judge
from trackers.hub.cache import Cache
from trackers.hub.download import download
from trackers.hub.name import parse
from trackers.hub.progress import Report
from trackers.hub.repository import describe
from trackers.hub.verification import Verification, remove, verify


@dataclass(frozen=True)
class Fetched:
    """What became of a request.

    Attributes:
        folder: where the checkpoint is.
        came: whether anything had to be fetched.
        again: names of files that were damaged, and were fetched again.
    """

    folder: CheckpointFolder
    came: bool = False
    again: tuple[str, ...] = ()


def fetch(text: str, *roles: Role, update: bool = False, report: Report | None = None) -> Fetched:
    """Bring a checkpoint into the cache, if it is not there.

    Args:
        text: `nano` or a folder, of which nothing is fetched, or `owner/name` or `owner/name@revision` of the hub.
        roles: what it could be used for; one of them must do.
        update: ask the hub for the newest commit of a branch, where the one that is here would do.
        report: see `download`.

    Raises:
        ModelError: there is none, it may not or cannot be fetched, or is of no use.
    """
    name = parse(text)
    if isinstance(name, Path):
        return Fetched(CheckpointFolder(text, name))
    cache, asked = Cache(name.id), name
    commit = name.commit or (None if update else cache.commit(name.ref))
    if commit is not None:
        folder = CheckpointFolder(text, cache.snapshot(commit), commit=commit)
        if folder.path.is_dir() and folder.is_whole():
            return Fetched(folder)
        asked = replace(name, revision=commit)  # goes on with what was begun
    repository = judge(asked, *roles)
    path = download(repository, FILES, report)
    if name.commit is None:
        with suppress(OSError):  # then it is asked for once more
            cache.remember(name.ref, repository.commit)
    return Fetched(CheckpointFolder(text, path, commit=repository.commit), came=True)


def repair(fetched: Fetched, report: Report | None = None) -> Fetched:
    """Read all files of a checkpoint of the hub, and fetch those again that are damaged.

    Raises:
        ModelError: one is damaged, and cannot be fetched again; or a file cannot be read or removed.
    """
    folder, name = fetched.folder, parse(fetched.folder.name)
    if isinstance(name, Path) or folder.commit is None:
        return fetched
    cache, exact = Cache(name.id), replace(name, revision=folder.commit)
    try:
        repository = describe(exact, FILES)
    except ModelError as error:
        found = _read(cache, folder, None)
        if found.damaged:
            damaged = found.damaged[0].resolve()
            what = f"{found.damaged[0].name} is damaged, and cannot be fetched again now ({error.what})"
            advice = f"delete {damaged}, and run `maskcast fetch {folder.name}` where the hub can be reached"
            raise ModelError(what, where=f"model {folder.name}", advice=advice) from error
        if found.unknown:
            raise
        return fetched
    found = _read(cache, folder, {file.name: file.etag for file in repository.files})
    if not found.damaged:
        return fetched
    for file in found.damaged:
        try:
            remove(file)
        except OSError as error:
            what = f"{file.name} is damaged, and cannot be removed: {reason_of(error)}"
            raise ModelError(what, where=f"model {folder.name}", advice=f"delete {file.resolve()}") from error
    download(repository, FILES, report)
    return replace(fetched, again=tuple(file.name for file in found.damaged))


def _read(cache: Cache, folder: CheckpointFolder, told: dict[str, str] | None) -> Verification:
    assert folder.commit is not None
    try:
        return verify(cache, folder.commit, FILES, told)
    except OSError as error:
        raise ModelError(f"cannot be read: {reason_of(error)}", where=f"model {folder.name}") from error
