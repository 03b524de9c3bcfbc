"""Fetch a model's files into the hub's cache: resumed after a kill, verified before they get their names.

huggingface_hub begins anew after a kill and leaves what it had (its issue 4196), because each of its processes writes a
file of its own. Here the partial file is named by what it has to hold, so any later process goes on with it; the sum
of the whole file decides whether that was right.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import Path

from maskcast.errors import ModelError, reason_of
from maskcast.files import partial_name, publish
from trackers.hub.cache import Cache, length
from trackers.hub.checksum import matches
from trackers.hub.name import ModelName
from trackers.hub.progress import MEGABYTE, Progress, ProgressLines, Report
from trackers.hub.repository import RemoteFile, Repository
from trackers.hub.transfer import transfer

# What a disk has to have left after a download, for others that write to it meanwhile.
SPARE_BYTES = 256 << 20


def download(repository: Repository, names: Collection[str], report: Report | None = None) -> Path:
    """Bring files of a repository into the cache, where they are not in it. One that is there is not looked into.

    Args:
        repository: as `describe` has it.
        names: of its files, or patterns such as ``model-*-of-*.safetensors``; what it does not have is passed over.
        report: called often with how far it is; None to log a line a minute.

    Returns:
        The folder of the commit, in the hub's own layout.

    Raises:
        ModelError: the disk is too small or refuses, or the hub does not give them; what came is kept.
    """
    cache, commit = Cache(repository.id), repository.commit
    wanted = [file for file in repository.files if any(fnmatch(file.name, name) for name in names)]
    missing = sorted((file for file in wanted if not cache.has(commit, file)), key=lambda file: file.bytes)
    try:
        if missing:
            _check_space(repository, cache, missing)
            fetching = _Fetching(repository, cache, wanted, report or ProgressLines())
            for file in missing:
                fetching.fetch(file)
            cache.tidy({file.etag for file in repository.files})
    except OSError as error:
        advice = "make room or give this user the right to write there, or set HF_HOME to another folder"
        what = f"cannot be written to {cache.folder}: {reason_of(error)}"
        raise ModelError(what, where=f"model {repository.id}", advice=advice) from error
    return cache.snapshot(commit)


def _check_space(repository: Repository, cache: Cache, missing: list[RemoteFile]) -> None:
    """Refuse before anything is fetched what the disk has no room for.

    Raises:
        ModelError: it has none.
    """
    blobs = {file.etag: file for file in missing}
    coming = sum(max(0, file.bytes - _here(cache, file)) for file in blobs.values())
    folder = next(folder for folder in (cache.folder, *cache.folder.parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    if free < coming + SPARE_BYTES:
        what = (
            f"{coming // MEGABYTE} MB are to be fetched and {SPARE_BYTES // MEGABYTE} MB to be left over, but "
            f"{folder} has {free // MEGABYTE} MB free"
        )
        advice = "make room, or set HF_HOME to a folder on a larger disk"
        raise ModelError(what, where=f"model {repository.id}", advice=advice)


def _here(cache: Cache, file: RemoteFile) -> int:
    """Bytes of a file that need not come again."""
    blob = cache.blob(file.etag)
    return max(length(blob), length(partial_name(blob)))


class _Fetching:
    """The files of one repository, one after another."""

    def __init__(self, repository: Repository, cache: Cache, wanted: list[RemoteFile], report: Report) -> None:
        self._repository, self._cache, self._report = repository, cache, report
        self._name = ModelName(repository.id)
        self._total = sum(file.bytes for file in wanted)
        self._done = sum(file.bytes for file in wanted if cache.has(repository.commit, file))

    def fetch(self, file: RemoteFile) -> None:
        """Bring one file into the cache, or wait until another process has.

        Raises:
            ModelError: it cannot be had.
            OSError: the disk refuses.
        """
        cache, commit = self._cache, self._repository.commit
        blob = cache.blob(file.etag)
        blob.parent.mkdir(parents=True, exist_ok=True)
        with cache.lock(file.etag, lambda: self._tell(file, _here(cache, file), "another process fetches it")):
            if not cache.has(commit, file):
                if length(blob) != file.bytes:
                    self._bring(file, blob)
                cache.link(commit, file.name, blob)
        self._done += file.bytes
        self._tell(file, 0, "")

    def _bring(self, file: RemoteFile, blob: Path) -> None:
        """Fetch, verify, and only then rename. What is wrong is fetched once more, from its beginning."""
        part = partial_name(blob)
        if length(part) > file.bytes:
            part.unlink()
        for hindrance in ("it came damaged, once more from its beginning", ""):
            transfer(
                self._name,
                self._repository.commit,
                file,
                part,
                lambda here, hindrance: self._tell(file, here, hindrance),
            )
            if matches(part, file.etag):
                publish(part, blob)
                return
            part.unlink()
            self._tell(file, 0, hindrance)
        what = f"{file.name} came damaged, twice: it is not what the hub says"
        advice = "a proxy or a mirror (HF_ENDPOINT) may change it: try another network"
        raise ModelError(what, where=f"model {self._repository.id}", advice=advice)

    def _tell(self, file: RemoteFile, here: int, hindrance: str) -> None:
        self._report(Progress(self._repository.id, file.name, self._done + here, self._total, hindrance))
