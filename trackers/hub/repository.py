"""What a repository of the hub holds at one commit, asked before anything of it is fetched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from maskcast.threads import SerialThread
from trackers.hub.access import NotTheHubError, refused
from trackers.hub.name import ModelName

# Longest wait for both answers, as a multiple of that for a sign of either.
_PATIENCE = 4
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository.

    Attributes:
        name: of a file at the top of the repository.
        bytes: its size.
        sha256: of its content, for one in large file storage (Git LFS), as weights are; None for any other.
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


def describe(name: ModelName) -> Repository:
    """Ask the hub for the files of a repository, and whether this user may fetch them.

    Two small requests, each of which waits for a sign of the hub `HF_HUB_ETAG_TIMEOUT` seconds at most (10 unless set),
    and four times as long together, also where names are not resolved or an answer comes by drops. The hub is the one
    at `HF_ENDPOINT`, the token that of `HF_TOKEN` or of `hf auth login`.

    Raises:
        ModelError: it cannot be fetched, with advice for the case; see `trackers.hub.access`.
    """
    from huggingface_hub import constants

    seconds = float(constants.HF_HUB_ETAG_TIMEOUT)
    thread = SerialThread("ask the hub")
    try:
        return thread.submit(lambda: _ask(name, seconds)).result(_PATIENCE * seconds)
    except TimeoutError as error:  # nothing interrupts the thread, which waits on by itself
        raise refused(error, name) from error
    finally:
        thread.close()


def _ask(name: ModelName, seconds: float) -> Repository:
    from huggingface_hub import HfApi, hf_hub_url

    hub = HfApi()
    try:
        found = hub.model_info(name.id, revision=name.revision, files_metadata=True, timeout=seconds)
        repository = _repository(name, found)
        if repository.files:
            # The list of a gated repository is public; only a file says whether its content is for this user.
            config = repository.file("config.json") or repository.files[0]
            url = hf_hub_url(name.id, config.name, revision=repository.commit)
            _check_etag(hub.get_hf_file_metadata(url=url, timeout=seconds).etag)
    except Exception as error:  # of the hub, of its HTTP client, of the file of the token
        raise refused(error, name) from error
    return repository


def _check_etag(etag: str | None) -> None:
    if etag is None:
        raise NotTheHubError


def _repository(name: ModelName, found: Any) -> Repository:
    """The answer, of which nothing is taken for granted: whatever stands in the way to the hub may have written it."""
    files = [_file(sibling) for sibling in found.siblings or [] if "/" not in sibling.rfilename]
    if not _COMMIT.fullmatch(str(found.sha)) or (name.commit is not None and found.sha != name.commit):
        raise NotTheHubError
    tags = frozenset(map(str, found.tags or []))
    return Repository(name.id, found.sha, tuple(sorted(files, key=lambda file: file.name)), tags)


def _file(sibling: Any) -> RemoteFile:
    stored = None if sibling.lfs is None else sibling.lfs.sha256
    name, size, blob = sibling.rfilename, sibling.size, sibling.blob_id
    if (
        not isinstance(size, int)
        or size < 0
        or not _COMMIT.fullmatch(str(blob))
        or (stored is not None and not _SHA256.fullmatch(str(stored)))
        or name in {"", ".", ".."}
    ):
        raise NotTheHubError
    return RemoteFile(name, size, stored, blob)
