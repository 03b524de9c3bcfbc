"""The videos that a command is given: paths, folders, globs and URLs of recordings."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskcast.errors import UsageError
from maskcast.redaction import UNCLEAR, hide, is_unclear, passwords_of, place_of, without_named_secrets
from sources import STDIN, Kind, expand, kind_of, stream_id
from sources.location import LIVE_SCHEMES, is_hls, scheme_of
from streaming.cluster.videos.ledger import Identity
from streaming.cluster.videos.storage import is_remote, listed, named, shown, stream_of


@dataclass(frozen=True, slots=True)
class Input:
    """A video to track.

    Attributes:
        source: what is read: an absolute path, or a URL, which may hold credentials.
        identity: which input it is.
        name: the stream's id, if no other input has the same.
    """

    source: str
    identity: Identity
    name: str


def inputs_of(sources: Sequence[str]) -> list[Input]:
    """What is to be tracked, each once.

    Raises:
        UsageError: something among it is no recording, or of a file system that cannot be read here.
        SourceError: a file system refuses or does not answer, or there is nothing.
    """
    found: dict[str, Input] = {}
    for given in sources:
        for one in _remote(given) if is_remote(given) else _local(given):
            found.setdefault(one.identity.path, one)
    return list(found.values())


def named_source(source: str) -> str:
    """What errors call a source; of URLs they would leave no more than the host."""
    return named(source) if is_remote(source) else source


def _remote(url: str) -> list[Input]:
    return [Input(one.url, Identity(shown(one.url), one.size, one.version), stream_of(one.url)) for one in listed(url)]


def _local(given: str) -> list[Input]:
    inputs = []
    for source in expand(given):
        endless = kind_of(source) is Kind.NETWORK and (scheme_of(source) in LIVE_SCHEMES or is_hls(source))
        if source == STDIN or kind_of(source) is Kind.CAMERA or endless:
            raise UsageError(f"--workers tracks recordings, and {source} is none", advice="leave --workers out")
        identity = _identity(source)
        inputs.append(Input(source if "://" in source else identity.path, identity, stream_id(source)))
    return inputs


def _identity(source: str) -> Identity:
    """Which input it is, as it may be written into files: without credentials.

    Raises:
        UsageError: it is a URL that can be read in two ways.
    """
    if "://" in source:
        return Identity(_public(source), None, None)
    path = os.path.abspath(source)  # noqa: PTH100 - links stay as they are
    try:
        state = Path(path).stat()
    except (OSError, ValueError):  # whoever opens it says why
        return Identity(path, None, None)
    return Identity(path, state.st_size, str(state.st_mtime_ns))


def _public(url: str) -> str:
    if is_unclear(url):
        raise UsageError(UNCLEAR, where=place_of(url))
    hide(passwords_of(url))
    scheme, _, rest = url.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    return without_named_secrets(f"{scheme}://{rest[authority.rfind('@') + 1 :]}")
