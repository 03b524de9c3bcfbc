"""What a repository of the hub holds at one commit, asked before anything of it is fetched."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from itertools import islice
from typing import TYPE_CHECKING, Any

from maskcast.threads import SerialThread
from trackers.hub.access import NotTheHubError, refused
from trackers.hub.name import ModelName

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# Longest wait for all answers, as a multiple of that for a sign of each.
_PATIENCE = 4
# Of the top of a repository; the largest models have some hundred files.
_MOST_ENTRIES = 10_000
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository.

    Attributes:
        name: of a file at the top of the repository.
        bytes: its size.
        sha256: of its content, for one in large file storage (Git LFS), as weights are, or handed out by this checksum;
            None for any other.
        git_sha1: of its blob in Git: of the content behind the header ``blob SIZE NUL``, or, in large file storage, of
            the pointer.
    """

    name: str
    bytes: int
    sha256: str | None
    git_sha1: str

    @property
    def etag(self) -> str:
        """By what the hub and its cache call the content: `sha256` if there is one, else `git_sha1`."""
        return self.sha256 or self.git_sha1


@dataclass(frozen=True)
class Repository:
    """A repository at one commit.

    Attributes:
        id: such as `facebook/sam3`.
        commit: 40 hexadecimal digits.
        files: those at its top, by name; what lies in folders is never read.
        tags: as its page shows them, such as ``mlx``.
    """

    id: str
    commit: str
    files: tuple[RemoteFile, ...]
    tags: frozenset[str] = frozenset()

    def file(self, name: str) -> RemoteFile | None:
        """The file of that name, if there is one."""
        return next((file for file in self.files if file.name == name), None)


def describe(name: ModelName, names: Collection[str] = ()) -> Repository:
    """Ask the hub for the files of a repository, and whether this user may fetch them.

    A few small requests, each of which waits for a sign of the hub `HF_HUB_ETAG_TIMEOUT` seconds at most (10 unless
    set), and four times as long together, also where names are not resolved or an answer comes by drops. The hub is the
    one at `HF_ENDPOINT`, the token that of `HF_TOKEN` or of `hf auth login`.

    Args:
        name: which.
        names: of the files, or patterns, that are to be fetched: those in Git itself are asked one by one for the
            checksum under which they are handed out, which is another than Git's where a mirror stores them otherwise.

    Raises:
        ModelError: it cannot be fetched, with advice for the case; see `trackers.hub.access`.
    """
    from huggingface_hub import constants

    seconds = float(constants.HF_HUB_ETAG_TIMEOUT)
    thread = SerialThread("ask the hub")
    try:
        return thread.submit(lambda: _ask(name, names, seconds)).result(_PATIENCE * seconds)
    except TimeoutError as error:  # nothing interrupts the thread, which waits on by itself
        raise refused(error, name) from error
    finally:
        thread.close()


def _ask(name: ModelName, names: Collection[str], seconds: float) -> Repository:
    from huggingface_hub import HfApi, RepoFile

    hub = HfApi()
    try:
        found = hub.model_info(name.id, revision=name.ref, timeout=seconds)
        commit = _commit(name, found.sha)
        entries = islice(hub.list_repo_tree(name.id, revision=commit), _MOST_ENTRIES)
        files = [_file(entry) for entry in entries if isinstance(entry, RepoFile) and "/" not in entry.path]
        files = _as_handed_out(hub, name.id, commit, sorted(files, key=lambda file: file.name), names, seconds)
    except Exception as error:  # of the hub, of its HTTP client, of the file of the token
        raise refused(error, name) from error
    return Repository(name.id, commit, tuple(files), frozenset(map(str, found.tags or [])))


def _commit(name: ModelName, told: object) -> str:
    if not _COMMIT.fullmatch(str(told)) or (name.commit is not None and told != name.commit):
        raise NotTheHubError
    return str(told)


def _as_handed_out(
    hub: HfApi, repository: str, commit: str, files: list[RemoteFile], names: Collection[str], seconds: float
) -> list[RemoteFile]:
    """The files, with the checksums of those in Git as they themselves have them.

    At least one is asked: the list of a gated repository is public, only a file says whether its content is for this
    user.
    """
    from huggingface_hub import hf_hub_url

    asked = {file.name for file in files if file.sha256 is None and any(fnmatch(file.name, name) for name in names)}
    if files and not asked:
        asked = {"config.json" if any(file.name == "config.json" for file in files) else files[0].name}
    answered = []
    for file in files:
        if file.name in asked:
            url = hf_hub_url(repository, file.name, revision=commit)
            file = _named_by(file, hub.get_hf_file_metadata(url=url, timeout=seconds).etag)  # noqa: PLW2901
        answered.append(file)
    return answered


def _named_by(file: RemoteFile, etag: str | None) -> RemoteFile:
    if etag is None:
        raise NotTheHubError
    if file.sha256 is None and _SHA256.fullmatch(etag):
        return replace(file, sha256=etag)
    if file.sha256 is None and _COMMIT.fullmatch(etag):
        return replace(file, git_sha1=etag)
    return file


def _file(entry: Any) -> RemoteFile:
    """A line of the list, of which nothing is taken for granted: what stands in the way may have written it."""
    stored = None if entry.lfs is None else entry.lfs.sha256
    name, size, blob = entry.path, entry.size, entry.blob_id
    if (
        not isinstance(size, int)
        or size < 0
        or not _COMMIT.fullmatch(str(blob))
        or (stored is not None and not _SHA256.fullmatch(str(stored)))
        or name in {"", ".", ".."}
    ):
        raise NotTheHubError
    return RemoteFile(name, size, stored, blob)
