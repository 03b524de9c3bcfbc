"""The pipeline: types that cross borders, scheduling, the command line. `track` is the whole Python API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streaming.api import track

__all__ = ["track"]


def __getattr__(name: str) -> Any:
    # The types in this package are imported by all others; the API imports all others. Lazily, there is no circle.
    if name == "track":
        from streaming.api import track

        return track
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
