"""A prompt as a settings file and a request on `control` write it: a phrase, or a table of one with its conditions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from maskcast.prompts import MOST_MIN_FRAMES, MOST_PROMPTS, Prompt, clean_prompt, clean_prompts

LONGEST_PROMPT = 500  # characters

Phrase: TypeAlias = Annotated[str, Field(min_length=1, max_length=LONGEST_PROMPT)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]


class PromptTable(BaseModel):
    """A phrase with conditions. A phrase alone may stand for a table that has `text` alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)

    text: Phrase = Field(description="The phrase that the model reads.")
    name: Phrase | None = Field(default=None, description="What is published for it; by default the text.")
    threshold: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None, description="Score above which a match counts and starts a track; by default that of the model."
    )
    min_area: Share = Field(default=0.0, description="Share of the picture that a match must cover at least.")
    max_area: Share = Field(default=1.0, description="Share of the picture that a match may cover at most.")
    min_frames: Annotated[int, Field(ge=1, le=MOST_MIN_FRAMES)] | None = Field(
        default=None, description="Frames in a row in which a new track must be seen; by default 3."
    )
    group: Phrase | None = Field(
        default=None, description="Prompts of one group exclude each other: an object is one of them, as scores say."
    )
    avoid: Annotated[tuple[Phrase, ...], Field(strict=False, max_length=MOST_PROMPTS)] = Field(
        default=(), description="Phrases whose matches take those of this prompt away."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.prompt()
        return self

    def prompt(self) -> Prompt:
        """What it says.

        Raises:
            ValueError: that cannot be; never of one that was validated.
        """
        return Prompt(
            self.text,
            self.name or "",
            self.threshold,
            self.min_area,
            self.max_area,
            self.min_frames,
            self.group,
            self.avoid,
        )


def _table_of(written: Any) -> Any:
    """The table that a phrase alone stands for; what is wrong with it is said of the phrase, not of its `text`."""
    if isinstance(written, str):
        if len(written) > LONGEST_PROMPT:
            raise PydanticKnownError("string_too_long", {"max_length": LONGEST_PROMPT})
        return PromptTable.model_construct(text=clean_prompt(written))
    if not isinstance(written, dict | PromptTable):
        raise PydanticCustomError("prompt_type", "must be a string or a table")
    return written


PhraseOrTable: TypeAlias = Annotated[
    PromptTable, BeforeValidator(_table_of, json_schema_input_type=Phrase | PromptTable)
]


def prompts_of(tables: Iterable[PromptTable]) -> tuple[Prompt, ...]:
    """What all tables of a stream say.

    Raises:
        ValueError: one is given twice, or they do not fit together, see `maskcast.prompts.clean_prompts`.
    """
    given = [table.prompt() for table in tables]
    if len(set(given)) < len(given):
        raise ValueError("one of them is given twice")
    return clean_prompts(given)
