"""Real clips that lie beside the repository on some machines; tests that need them skip elsewhere."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "shared" / "media"


def clip(name: str) -> Path:
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"the real clip {name} is not on this machine")
    return path


def clip_with_results(name: str) -> tuple[Path, Path]:
    """A real clip, and what a detector found in it, as JSON Lines."""
    video, lines = (FOLDER.parent / "real" / f"{name}{suffix}" for suffix in (".mp4", ".jsonl"))
    if not (video.is_file() and lines.is_file()):
        pytest.skip(f"the real clip {name} and its results are not on this machine")
    return video, lines
