"""Zones and lines in a file of their own, for `--zones`."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from pydantic import Field, ValidationError

from maskcast.errors import SettingsError, UsageError
from maskcast.places import Places
from sinks.messages.places import Lines, Zones, places_of
from streaming.settings.file import fill_in, read_toml
from streaming.settings.problems import found_problems
from streaming.settings.table import Table
from streaming.zones.checks import check_places


class PlacesFile(Table):
    """What a file for `--zones` says."""

    zones: Zones = Field(default={}, description="Areas of the picture.")
    lines: Lines = Field(default={}, description="Lines in the picture.")


def load_places(file: Path, prompts: Collection[str]) -> Places:
    """Read the zones and lines of a file.

    Args:
        file: TOML with tables `[zones.NAME]` and `[lines.NAME]`.
        prompts: names of those that there are.

    Raises:
        SettingsError: the first ten problems.
        UsageError: it cannot be read, is too large, or is not TOML.
    """
    document = read_toml(file)
    filled = fill_in(document, os.environ, file.name)
    try:
        found = PlacesFile.model_validate(filled)
        places = places_of(found.zones, found.lines)
        check_places(places, prompts)
    except ValidationError as error:
        raise SettingsError(found_problems(error, PlacesFile, document, file.name)) from None
    except ValueError as error:
        raise UsageError(str(error), where=file.name) from None
    if not places:
        raise UsageError("no zone and no line", where=file.name, advice="add a table such as [zones.gate]")
    return places
