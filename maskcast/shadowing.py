"""Refuse to run where another package of the same name shadows one of Maskcast's.

Other distributions have packages named `trackers`, `streaming`, `sources` and `sinks`, too. The order of `sys.path`
decides which of them Python finds; of two distributions in one environment, the order in which they were installed.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from maskcast.errors import UsageError

# All of Maskcast's but `maskcast` itself.
PACKAGES = ("sinks", "sources", "streaming", "trackers")
# Stands in the first line of `__init__.py` of each of them; what is installed over ours replaces that file.
_MARK = b"Maskcast"
_ROOT = Path(__file__).parent.parent
_ADVICE = (
    "Maskcast wants an environment of its own: install it with pipx, with uv tool, or into a new virtual environment"
)


def refuse_shadows() -> None:
    """Look where Python finds the packages of Maskcast, without importing any.

    Raises:
        UsageError: one is missing, or something else has its name.
    """
    for name in PACKAGES:
        spec = find_spec(name)
        # A folder without `__init__.py` has no origin.
        found = spec.origin or next(iter(spec.submodule_search_locations or ()), None) if spec else None
        if found is None or found == str(_ROOT / name):
            raise UsageError(f"Maskcast's package {name} is missing from this installation", advice=_ADVICE)
        if not _is_ours(name, found):
            owner = _distribution(found)
            told = f", of the distribution {owner}," if owner else ""
            raise UsageError(f"{found}{told} hides Maskcast's package {name}", advice=_ADVICE)


def _is_ours(name: str, origin: str) -> bool:
    try:
        with open(origin, "rb") as file:  # noqa: PTH123 - at every start: pathlib would double what it costs
            return _MARK in file.readline() and os.path.samefile(os.path.dirname(origin), _ROOT / name)  # noqa: PTH120, PTH121
    except IsADirectoryError:
        return False
    except OSError:  # inside a frozen application, which holds only what was put into it
        return True


def _distribution(origin: str) -> str | None:
    """Name and version of the distribution that installed a file, or None if none did."""
    from importlib.metadata import distributions

    for found in distributions():
        if found.name != "maskcast" and any(str(found.locate_file(file)) == origin for file in found.files or ()):
            return f"{found.name} {found.version}"
    return None
