"""The checksums by which the hub names a file's content: SHA-256 of large ones (Git LFS), Git's own SHA-1 of others."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

# What a file of the cache is called: 64 digits of SHA-256, or 40 of Git's SHA-1.
_CHECKSUM = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def is_checksum(name: str) -> bool:
    """Whether a file's name says what it has to hold."""
    return bool(_CHECKSUM.fullmatch(name))


def matches(file: Path, wanted: str) -> bool:
    """Whether a file holds what the hub says.

    Args:
        file: which is read whole.
        wanted: 64 hexadecimal digits of SHA-256, or 40 of a Git blob's SHA-1, which begins with its length
            (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as content:
        if len(wanted) == hashlib.sha256().digest_size * 2:
            return hashlib.file_digest(content, "sha256").hexdigest() == wanted
        git = hashlib.sha1(f"blob {file.stat().st_size}\0".encode(), usedforsecurity=False)
        while chunk := content.read(1 << 20):
            git.update(chunk)
        return git.hexdigest() == wanted
