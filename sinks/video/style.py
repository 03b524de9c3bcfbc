"""How objects are shown in annotated pictures: outlined, or hidden. Imports no encoder."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast, get_args

from maskcast.prompts import clean_prompt

# `outline`: contour and faint fill. `blur`, `pixelate`, `fill`: the object is hidden. `only`: all but the objects is.
Style: TypeAlias = Literal["outline", "blur", "pixelate", "fill", "only"]
STYLES: tuple[Style, ...] = get_args(Style)
DEFAULT_STYLE: Style = "outline"


@dataclass(frozen=True, slots=True)
class Styles:
    """The style of each prompt's objects.

    Attributes:
        default: of prompts that are not in `prompts`.
        prompts: by name of the prompt.
    """

    default: Style = DEFAULT_STYLE
    prompts: Mapping[str, Style] = field(default_factory=dict)

    def __getitem__(self, prompt: str) -> Style:
        return self.prompts.get(prompt, self.default)

    @property
    def hide(self) -> bool:
        """Whether anything is ever hidden."""
        return any(style != "outline" for style in self._all())

    @property
    def only(self) -> bool:
        """Whether what is no object is hidden."""
        return "only" in self._all()

    def _all(self) -> set[Style]:
        return {self.default, *self.prompts.values()}

    def check(self, prompts: Iterable[str]) -> None:
        """Refuse a style for what is not looked for: a slip of the pen would leave objects unhidden.

        Args:
            prompts: names of those that are looked for.

        Raises:
            ValueError: which one, and what was meant.
        """
        known = list(prompts)
        for prompt in self.prompts:
            if prompt not in known:
                close = difflib.get_close_matches(prompt[:100], known, 1, 0.6)
                meant = f"; did you mean {close[0]!r}?" if close else ""
                raise ValueError(f"style: there is no prompt {prompt[:60]!r}{meant}")


OUTLINED = Styles()


def styles_of(value: Any) -> Styles:
    """Read what a settings file says: a word for all prompts, or a table of prompts and words.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(value, dict):
        return Styles(style_of(value))
    prompts: dict[str, Style] = {}
    for prompt, style in value.items():
        try:
            prompts[clean_prompt(prompt)] = style_of(style)
        except ValueError as error:
            raise ValueError(f"{prompt[:60]}: {error}") from None
    return Styles(DEFAULT_STYLE, prompts)


def style_of(word: Any) -> Style:
    """Read a style's name.

    Raises:
        ValueError: there is none of this name.
    """
    if word not in STYLES:
        close = difflib.get_close_matches(str(word)[:100].lower(), STYLES, 1, 0.6)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"must be {' or '.join(STYLES)}{meant}")
    return cast("Style", word)


def parse_styles(words: Iterable[str]) -> Styles:
    """Read what the command line says: ``blur`` for all prompts, ``person=blur`` for one, each once.

    Raises:
        ValueError: a word is neither, or says a second time what another has said.
    """
    defaults: list[Style] = []
    prompts: dict[str, Style] = {}
    for word in words:
        prompt, equals, named = word.rpartition("=")
        try:
            style = style_of(named.strip())
        except ValueError as error:
            raise ValueError(f"{named[:60]!r} {error}") from None
        if not equals:
            defaults.append(style)
        elif prompts.setdefault(clean_prompt(prompt), style) != style:
            raise ValueError(f"{prompt.strip()[:60]!r} is given two styles")
    if len(set(defaults)) > 1:
        raise ValueError(f"all prompts are given two styles, {' and '.join(dict.fromkeys(defaults))}")
    return Styles(defaults[0] if defaults else DEFAULT_STYLE, prompts)
