"""The name of a model: `nano`, a folder, or a repository of the hub, at a revision or not."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from maskcast.errors import ModelError

EMBEDDED = {"nano": Path(__file__).parents[1] / "nano"}

DEFAULT_BRANCH = "main"
# Branches, tags, commits and `refs/pr/1`, by Git's own rules (git-check-ref-format) for the characters that are used.
_REVISION = re.compile(r"[A-Za-z0-9_][\w.+-]*(/[\w+-][\w.+-]*)*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class ModelName:
    """A repository of the hub.

    Attributes:
        id: such as `facebook/sam3`.
        revision: a branch, a tag or a commit; None for the default branch.
    """

    id: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.id if self.revision is None else f"{self.id}@{self.revision}"

    @property
    def ref(self) -> str:
        """The revision under which the hub's cache notes its commit."""
        return self.revision or DEFAULT_BRANCH

    @property
    def commit(self) -> str | None:
        """The commit, if the revision is a whole one: what it holds never changes."""
        return self.revision if self.revision is not None and _COMMIT.fullmatch(self.revision) else None


def without_revision(text: str) -> str:
    """The name alone of `owner/name` or `owner/name@revision`; any other text without what follows an @."""
    return text.partition("@")[0]


def parse(text: str) -> ModelName | Path:
    """What a name stands for. Nothing is asked of the hub, and of the disk only whether there is such a folder.

    Args:
        text: `nano`, a folder, or `owner/name` or `owner/name@revision`. A folder that exists comes first.

    Returns:
        The folder, also of an embedded model, or the repository.

    Raises:
        ModelError: it is neither.
    """
    if text in EMBEDDED:
        return EMBEDDED[text]
    # os.path's questions, unlike pathlib's, have an answer for every string, such as one that is too long.
    folder = os.path.expanduser(text)  # noqa: PTH111
    if os.path.isdir(folder):  # noqa: PTH112
        return Path(folder)
    identity, at, revision = text.partition("@")
    if os.path.isfile(folder) or text.startswith((".", "/", "~")) or identity.count("/") != 1:  # noqa: PTH113
        advice = "give a folder that holds config.json, or owner/name of a hub"
        raise ModelError("no such folder", where=f"model {text}", advice=advice)
    _check_id(identity, text)
    if at and (not _REVISION.fullmatch(revision) or ".." in revision or revision.endswith((".", ".lock"))):
        advice = "after @ stands a branch, a tag or a commit of the repository"
        raise ModelError("its revision is none", where=f"model {text}", advice=advice)
    return ModelName(identity, revision if at else None)


def _check_id(identity: str, text: str) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.errors import HFValidationError

    try:
        hf_hub_url(identity, "")  # asks nobody, but looks at the name as all of the library's functions do
    except HFValidationError:
        advice = "a name of the hub is owner/name, of letters, digits, -, _ and ., or give a folder that exists"
        raise ModelError("no such folder, and no name of the hub", where=f"model {text}", advice=advice) from None
