"""Prompts as the whole program knows them: cleaned once, at the door where they come in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maskcast.printable import check_printable

# Of a live stream or a settings file: each costs a share of the decoder's pass, and all streams share the model.
MOST_PROMPTS = 32
# So many frames in a row may be asked for before a track is believed: 40 s at 25 frames a second.
MOST_MIN_FRAMES = 1000


@dataclass(frozen=True, slots=True)
class Prompt:
    """What to look for, under which name, and on what conditions. A phrase alone is ``Prompt(phrase)``.

    Attributes:
        text: the phrase that the model reads.
        name: what tracks, events and counts are published under; the text where it is empty.
        threshold: score in [0, 1) above which a match counts and starts a track; None for the model's own.
        min_area, max_area: share of the picture, in [0, 1], that a match must cover at least and at most.
        min_frames: frames in a row in which a new track must be seen to be confirmed; None for the tracker's own.
        group: prompts of one group exclude each other: an object is one track, under the name that fits it best.
        avoid: phrases whose matches take those of this prompt away, such as ``poster`` for ``person``.

    Raises:
        ValueError: one of them cannot be; the message begins with its name.
    """

    text: str
    name: str = ""
    threshold: float | None = None
    min_area: float = 0.0
    max_area: float = 1.0
    min_frames: int | None = None
    group: str | None = None
    avoid: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        def put(key: str, value: object) -> None:
            object.__setattr__(self, key, value)

        put("text", _clean("text", self.text))
        put("name", _clean("name", self.name) if self.name else self.text)
        if self.group is not None:
            put("group", _clean("group", self.group))
        given = [self.avoid] if isinstance(self.avoid, str) else self.avoid
        put("avoid", tuple(dict.fromkeys(_clean("avoid", phrase) for phrase in given)))
        if self.text in self.avoid:
            raise ValueError(f"avoid names what is looked for: {self.text[:60]!r}")
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise ValueError(f"threshold must be at least 0 and below 1, not {self.threshold}")
        for key in ("min_area", "max_area"):
            if not 0 <= (area := getattr(self, key)) <= 1:
                raise ValueError(f"{key} is a share of the picture, from 0 to 1, not {area}")
        if self.min_area > self.max_area:
            raise ValueError(f"min_area {self.min_area} is more than max_area {self.max_area}")
        if self.min_frames is not None and not 1 <= self.min_frames <= MOST_MIN_FRAMES:
            raise ValueError(f"min_frames must be from 1 to {MOST_MIN_FRAMES}, not {self.min_frames}")


def listed(prompts: str | Prompt | Sequence[str | Prompt]) -> Sequence[str | Prompt]:
    """Several prompts, where one alone may have been given as it is."""
    return [prompts] if isinstance(prompts, str | Prompt) else prompts


def names(prompts: Iterable[Prompt]) -> tuple[str, ...]:
    """What they are published under."""
    return tuple(prompt.name for prompt in prompts)


def groups(prompts: Iterable[Prompt]) -> dict[str, str | None]:
    """The group of each by its name; None for none."""
    return {prompt.name: prompt.group for prompt in prompts}


def avoided(prompts: Iterable[Prompt]) -> tuple[str, ...]:
    """The phrases to avoid that are no prompts themselves, each once: they are looked for, and never published."""
    given = list(prompts)
    texts = {prompt.text for prompt in given}
    return tuple(dict.fromkeys(phrase for prompt in given for phrase in prompt.avoid if phrase not in texts))


def clean_prompt(prompt: str) -> str:
    """A phrase without blanks around it, and with single ones between its words.

    Raises:
        ValueError: it cannot be a prompt; the message goes on after its name.
    """
    cleaned = check_printable(" ".join(prompt.split()))
    if not cleaned:
        raise ValueError("is empty: say what to look for")
    return cleaned


def as_prompts(prompts: Iterable[str | Prompt]) -> tuple[Prompt, ...]:
    """Each prompt cleaned, in the order given, repeats left out: they would be one category under two numbers.

    Raises:
        ValueError: one of them cannot be a prompt.
    """
    cleaned: dict[Prompt, None] = {}
    for number, prompt in enumerate(prompts, 1):
        try:
            cleaned[prompt if isinstance(prompt, Prompt) else Prompt(clean_prompt(prompt))] = None
        except ValueError as error:
            raise ValueError(f"prompt {number} {error}") from None
    return tuple(cleaned)


def clean_prompts(prompts: Iterable[str | Prompt]) -> tuple[Prompt, ...]:
    """All that a stream looks for: `as_prompts`, which must fit together.

    Raises:
        ValueError: there is none, one of them cannot be a prompt, two have one name, or a group has one member.
    """
    given = list(prompts)
    if all(isinstance(prompt, str) and not prompt.strip() for prompt in given):
        raise ValueError("no prompt: say what to look for, for example --prompt person")
    cleaned = as_prompts(given)
    for name, count in Counter(names(cleaned)).items():
        if count > 1:
            raise ValueError(f"name {name[:60]!r} is given to {count} different prompts: each needs its own")
    for group, count in Counter(prompt.group for prompt in cleaned).items():
        if group is not None and count == 1:
            raise ValueError(f"group {group[:60]!r} has one prompt: it takes two to exclude each other")
    return cleaned


def phrases(prompts: Iterable[Prompt]) -> int:
    """How many the model looks for in a frame, those to avoid included."""
    given = list(prompts)
    return len(given) + len(avoided(given))


def check_number(prompts: Iterable[Prompt]) -> None:
    """Refuse more than a live stream may look for.

    Raises:
        ValueError: they are too many.
    """
    if (count := phrases(prompts)) > MOST_PROMPTS:
        raise ValueError(
            f"{count} prompts, phrases to avoid included, are too many: a stream looks for {MOST_PROMPTS} at most"
        )


def _clean(key: str, value: str) -> str:
    try:
        return clean_prompt(value)
    except ValueError as error:
        raise ValueError(f"{key} {error}") from None
