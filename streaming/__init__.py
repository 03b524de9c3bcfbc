"""Maskcast from a source through the model to the sinks: the pipeline, its settings, its service, its command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streaming.api import track

__all__ = ["track"]


def __getattr__(name: str) -> Any:
    # Lazily: the command starts without the API, which imports all other packages.
    if name == "track":
        from streaming.api import track

        return track
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
