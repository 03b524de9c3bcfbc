"""Prompts in a file of their own, for `--prompts`."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, ValidationError

from maskcast.errors import SettingsError
from maskcast.prompts import Prompt
from sinks.messages.prompt import prompts_of
from streaming.settings.file import fill_in, read_toml
from streaming.settings.problems import found_problems
from streaming.settings.table import Table
from streaming.settings.values import Prompts


class PromptFile(Table):
    """What a file for `--prompts` says."""

    prompts: Prompts = Field(description="What to look for: phrases, or tables of phrases with conditions.")


def load_prompts(file: Path) -> tuple[Prompt, ...]:
    """Read the prompts of a file.

    Args:
        file: TOML with tables `[[prompts]]`, or a list `prompts = [...]` of phrases and tables.

    Raises:
        SettingsError: the first ten problems.
        UsageError: it cannot be read, is too large, or is not TOML.
    """
    document = read_toml(file)
    filled = fill_in(document, os.environ, file.name)
    try:
        return prompts_of(PromptFile.model_validate(filled).prompts)
    except ValidationError as error:
        raise SettingsError(found_problems(error, PromptFile, document, file.name)) from None
