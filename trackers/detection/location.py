"""Find the folders of checkpoints by their names: embedded, on this disk, or of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from maskcast.errors import ModelError
from trackers.detection.architecture import MLX, MODEL, TRACKER, Role, kind_of, of_mlx
from trackers.detection.config import read_config
from trackers.detection.folder import CONFIG, FILES, INDEX, WEIGHTS, CheckpointFolder, no_weights
from trackers.hub.cache import Cache
from trackers.hub.download import download
from trackers.hub.name import EMBEDDED, ModelName, parse
from trackers.hub.progress import Report
from trackers.hub.repository import Repository, describe


class NotFetchedError(ModelError):
    """A checkpoint of the hub that is not, or not whole, in the cache, where nothing may be fetched."""


@dataclass(frozen=True)
class Remote:
    """A checkpoint that is to be fetched, and can be.

    Attributes:
        text: the name, as the user wrote it.
        ref: the branch or tag that was asked for.
        repository: what the hub has.
    """

    text: str
    ref: str
    repository: Repository

    @property
    def bytes(self) -> int:
        """What is to come, some of which may be here."""
        files = self.repository.files
        return sum(file.bytes for file in files if any(fnmatch(file.name, pattern) for pattern in FILES))


def wanted(model: str, tracker_from: str | None) -> list[tuple[str, Role]]:
    """What the names of a model and of a checkpoint whose tracker to take, if any, ask for."""
    return [(model, MODEL), *([] if tracker_from is None else [(tracker_from, TRACKER)])]


def locate(names: Sequence[tuple[str, Role]], *, fetch: bool, report: Report | None = None) -> list[CheckpointFolder]:
    """Find checkpoints, and fetch those that are not here, none before it is known of all that they can be used.

    Args:
        names: see `examine`.
        fetch: False to fetch nothing, and not to ask the hub.
        report: see `trackers.hub.download.download`.

    Returns:
        The folder of each.

    Raises:
        ModelError: see `examine`; or one cannot be fetched.
        NotFetchedError: one would have to be fetched, and `fetch` is False.
    """
    found = examine(names, fetch=fetch)
    return [_fetched(place, report) if isinstance(place, Remote) else place for place in found]


def examine(names: Sequence[tuple[str, Role]], *, fetch: bool) -> list[CheckpointFolder | Remote]:
    """Find checkpoints, here or on the hub, where it is asked whether they may be fetched and would be of use.

    What is in the cache is used as it is, without asking the hub whether a branch has moved since.

    Args:
        names: each `nano`, a folder, or `owner/name` or `owner/name@revision` of the hub, and what each is for.
        fetch: False not to ask the hub.

    Returns:
        The folder of each, or what is to be fetched.

    Raises:
        ModelError: there is none, it may not be fetched, or is of no use.
        NotFetchedError: one is not here, and `fetch` is False.
    """
    found = []
    for name, role in names:
        try:
            found.append(_find(name, role, fetch=fetch))
        except NotFetchedError:
            raise
        except ModelError as error:
            raise error if role.otherwise is None else error.advising(role.otherwise) from error
    return found


def judge(name: ModelName, *roles: Role) -> Repository:
    """Ask the hub whether a checkpoint may be fetched, and see by its small files whether it is of use.

    Args:
        name: which.
        roles: what it could be used for; one of them will do.

    Raises:
        ModelError: it may not be fetched, or is of no use.
    """
    repository = describe(name, FILES)
    names = [file.name for file in repository.files]
    if not {WEIGHTS, INDEX} & set(names):
        raise no_weights(names, str(name))
    if MLX in repository.tags:
        raise of_mlx(str(name))
    snapshot = download(repository, [CONFIG], lambda _: None)  # too small to tell of
    config = read_config(CheckpointFolder(str(name), snapshot, commit=repository.commit))
    refusals: list[ModelError] = []
    for role in roles:
        try:
            kind_of(config, str(name), role)
        except ModelError as error:
            refusals.append(error)
    if len(refusals) == len(roles):
        raise refusals[0]
    return repository


def _find(name: str, role: Role, *, fetch: bool) -> CheckpointFolder | Remote:
    """A checkpoint that is here, or what the hub has of it."""
    place = parse(name)
    if isinstance(place, Path):
        if name in EMBEDDED and not (place / CONFIG).is_file():
            raise ModelError("the embedded checkpoint is not part of this installation", where=f"model {name}")
        return CheckpointFolder(name, place)
    missing, asked = "not in the cache", place
    if (snapshot := _cached(place)) is not None:
        found = CheckpointFolder(name, snapshot, commit=snapshot.name)
        if found.is_whole():
            return found
        missing = "not whole in the cache"
        asked = replace(place, revision=snapshot.name)  # goes on with what it has begun
    if not fetch:
        raise NotFetchedError(missing, where=f"model {name}")
    return Remote(name, place.ref, judge(asked, role))


def _fetched(remote: Remote, report: Report | None) -> CheckpointFolder:
    """Fetch a checkpoint. Its branch is noted when it is whole: from then on it is found by it, and not asked for."""
    commit = remote.repository.commit
    snapshot = download(remote.repository, FILES, report)
    with suppress(OSError):  # then it is asked for once more
        Cache(remote.repository.id).remember(remote.ref, commit)
    return CheckpointFolder(remote.text, snapshot, commit=commit)


def _cached(name: ModelName) -> Path | None:
    """The folder in the cache, whole or not, of the commit that a branch was when it was fetched."""
    cache = Cache(name.id)
    commit = name.commit or cache.commit(name.ref)
    if commit is None or not cache.snapshot(commit).is_dir():
        return None
    return cache.snapshot(commit)
