"""What a command is asked to look for: phrases, those of a file, and bounds of size for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from maskcast.errors import UsageError
from maskcast.prompts import Prompt, clean_prompts


def wanted_prompts(
    phrases: Sequence[str], file: Path | None = None, *, min_area: float = 0.0, max_area: float = 1.0
) -> tuple[Prompt, ...]:
    """The prompts of the command line.

    Args:
        phrases: each a prompt without conditions.
        file: more of them, see `load_prompts`.
        min_area: share of the picture that matches of every prompt cover at least, beside its own bound.
        max_area: likewise at most.

    Raises:
        UsageError: there is none, or they cannot be.
    """
    given: list[str | Prompt] = list(phrases)
    if file is not None:
        from streaming.settings.prompt_file import load_prompts

        given += load_prompts(file)
    try:
        return tuple(_bounded(prompt, min_area, max_area) for prompt in clean_prompts(given))
    except ValueError as error:
        raise UsageError(str(error)) from None


def _bounded(prompt: Prompt, min_area: float, max_area: float) -> Prompt:
    try:
        return replace(prompt, min_area=max(prompt.min_area, min_area), max_area=min(prompt.max_area, max_area))
    except ValueError as error:
        raise ValueError(f"prompt {prompt.name[:60]!r}: {error}") from None
