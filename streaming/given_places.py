"""Zones and lines as the Python API takes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from maskcast.errors import UsageError
from maskcast.places import Places
from maskcast.prompts import Prompt, groups, names
from streaming.zones.checks import check_places
from streaming.zones.stage import ZonesStage

# Themselves, or a TOML file of tables `[zones.NAME]` and `[lines.NAME]`.
GivenPlaces: TypeAlias = Places | str | Path


def given_places(given: GivenPlaces, prompts: Sequence[Prompt]) -> Places:
    """Read and check places.

    Args:
        given: by the caller.
        prompts: what is looked for.

    Raises:
        UsageError: they cannot be read, or cannot be meant.
    """
    if not isinstance(given, Places):
        from streaming.settings.places import load_places

        return load_places(Path(given), names(prompts))
    try:
        check_places(given, names(prompts))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return given


def zones_stage(places: Places, prompts: Sequence[Prompt], lost_after: float) -> ZonesStage:
    """A stage that begins now; `lost_after` is the tracker's."""
    return ZonesStage(places, groups=groups(prompts), lost_after=lost_after, since=datetime.now(UTC))
