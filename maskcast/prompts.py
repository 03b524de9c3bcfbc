"""Prompts as the whole program knows them: cleaned once, at the door where they come in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from maskcast.printable import check_printable

# Of a live stream or a settings file: each costs a share of the decoder's pass, and all streams share the model.
MOST_PROMPTS = 32


def listed(prompts: str | Sequence[str]) -> Sequence[str]:
    """Several prompts, where one alone may have been given as it is."""
    return [prompts] if isinstance(prompts, str) else prompts


def clean_prompt(prompt: str) -> str:
    """A prompt without blanks around it, and with single ones between its words.

    Raises:
        ValueError: it cannot be a prompt; the message goes on after its name.
    """
    cleaned = check_printable(" ".join(prompt.split()))
    if not cleaned:
        raise ValueError("is empty: say what to look for")
    return cleaned


def clean_prompts(prompts: Iterable[str]) -> tuple[str, ...]:
    """Each prompt cleaned, in the order given, repeats left out: they would be one category under two numbers.

    Raises:
        ValueError: there is none, or one of them cannot be a prompt.
    """
    given = list(prompts)
    if not any(prompt.strip() for prompt in given):
        raise ValueError("no prompt: say what to look for, for example --prompt person")
    cleaned: dict[str, None] = {}
    for number, prompt in enumerate(given, 1):
        try:
            cleaned[clean_prompt(prompt)] = None
        except ValueError as error:
            raise ValueError(f"prompt {number} {error}") from None
    return tuple(cleaned)
