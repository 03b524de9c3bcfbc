"""TOML that a person copies from the page: the places that it gives, and those that a stream counts at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from maskcast.places import NOWHERE, Places
from sinks.messages.places import Lines, Zones, places_of
from streaming.settings.places import load_places
from tests.settings_files import load


def copied_places(
    text: str, folder: Path, *, stream: str | None = None, prompts: Sequence[str] = ("person",)
) -> Places:
    """What TOML says, behind the table of a `stream` in a settings file, or in a file of its own for `--zones`.

    `folder` is where the file is written.
    """
    if stream is None:
        if not text.strip():
            return NOWHERE
        file = folder / "places.toml"
        file.write_text(text, encoding="utf-8")
        return load_places(file, prompts)
    names = json.dumps(list(prompts), ensure_ascii=False)
    table = f"[streams.{json.dumps(stream)}]\nsource = 'rtsp://10.0.0.5/stream1'\nprompts = {names}\n"
    return load(folder, table + text).streams[stream].places()


def counted_places(state: Mapping[str, Any]) -> Places:
    """Those in a stream's state as the page is told it, or in a request."""
    zones, lines = (TypeAdapter(kind).validate_python(state[key]) for kind, key in ((Zones, "zones"), (Lines, "lines")))
    return places_of(zones, lines)
