"""Real clips that lie beside the repository on some machines; tests that need them skip elsewhere."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "shared" / "media"


def clip(name: str) -> Path:
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"the real clip {name} is not on this machine")
    return path
