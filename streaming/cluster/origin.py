"""That a worker runs the same Maskcast as the command that asks for it: they pass values of its types to each other."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from maskcast.errors import UsageError
from maskcast.shadowing import PACKAGES

# The packages lie beside each other, in a checkout and where they are installed.
_HOME = Path(__file__).parents[2]
# Enough to tell two states of a checkout from each other.
DIGITS = 8


@dataclass(frozen=True)
class Origin:
    """Who asks for a worker, to be handed to it.

    Attributes:
        version: of Maskcast.
        digest: the first digits of the SHA-256 of its code, as two states of a checkout have the same version.
    """

    version: str
    digest: str

    @classmethod
    def here(cls) -> Origin:
        """That of this process; it takes some milliseconds."""
        try:
            number = version("maskcast")
        except PackageNotFoundError:
            number = "of a checkout"
        whole = hashlib.sha256()
        for package in ("maskcast", *PACKAGES):
            for file in sorted((_HOME / package).rglob("*.py")):
                whole.update(str(file.relative_to(_HOME)).encode())
                whole.update(file.read_bytes())
        return cls(number, whole.hexdigest()[:DIGITS])

    def check(self) -> None:
        """Return if the process that calls it, a worker, runs the same.

        Raises:
            UsageError: it does not.
        """
        other = Origin.here()
        if other == self:
            return
        words = ("{0.version}",) if other.version != self.version else ("{0.version} ({0.digest})",)
        found, wanted = (f"Maskcast {words[0].format(one)}" for one in (other, self))
        raise UsageError(
            f"it has {found}, and the command is of {wanted}",
            where=platform.node(),
            advice="install the same on all machines",
        )
