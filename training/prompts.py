"""The phrases that ``nano`` understands, and the tokenizer for them.

A prompt names a colour, a shape, both or neither ("object"). Its wording varies: plural, and with an article.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scenes import COLOURS, SHAPES
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

CONTEXT = 16
"""Tokens of a padded prompt."""
_PLURALS = {**{shape: shape + "s" for shape in SHAPES}, "cross": "crosses", "object": "objects"}
_ARTICLES = ("the", "a", "an", "all", "every", "any")
_PAD, _START, _UNKNOWN, _END = "<pad>", "<start>", "<unk>", "<end>"
VISUAL = "visual"
"""What stands for the phrase where boxes alone say what to look for: SAM 3's own word."""
_WORDS = (_PAD, _START, _UNKNOWN, *COLOURS, *SHAPES, "object", *_PLURALS.values(), *_ARTICLES, VISUAL)
VISUAL_TOKEN = len(_WORDS) - 1
VOCABULARY_SIZE = 40
"""Rows of the token table; the end token is the last because the text encoder pools at ``input_ids.argmax()``."""


Kind = tuple[int, int]
"""Colour and shape of an object, as indices into ``COLOURS`` and ``SHAPES``."""


@dataclass(frozen=True)
class Prompt:
    """What to look for; ``None`` means any."""

    colour: int | None
    shape: int | None

    def matches(self, kind: Kind) -> bool:
        """Whether an object of this kind is asked for."""
        return self.colour in (None, kind[0]) and self.shape in (None, kind[1])

    @property
    def form(self) -> str:
        """The form of the phrase, for tables of results."""
        match self.colour is not None, self.shape is not None:
            case True, True:
                return "colour shape"
            case False, True:
                return "shape"
            case True, False:
                return "colour object"
            case _:
                return "object"

    def text(self, *, plural: bool = False, article: str = "") -> str:
        """Say the prompt, e.g. ``"the red circles"``."""
        noun = "object" if self.shape is None else SHAPES[self.shape]
        words = [article, COLOURS[self.colour] if self.colour is not None else "", _PLURALS[noun] if plural else noun]
        return " ".join(word for word in words if word)

    def random_text(self, rng: np.random.Generator) -> str:
        """Say the prompt in a random form: half of the time the plain singular."""
        if rng.random() < 0.5:
            return self.text()
        plural = bool(rng.random() < 0.5)
        article = str(rng.choice(("", "the", "all") if plural else ("", "the", "a", "an", "every", "any")))
        return self.text(plural=plural, article=article)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A lower-casing word-level tokenizer; pads on the right, wraps each phrase in start and end tokens."""
    vocabulary = {word: index for index, word in enumerate(_WORDS)}
    vocabulary[_END] = VOCABULARY_SIZE - 1
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}",
        special_tokens=[(_START, vocabulary[_START]), (_END, vocabulary[_END])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=CONTEXT,
        pad_token=_PAD,
        bos_token=_START,
        eos_token=_END,
        unk_token=_UNKNOWN,
    )


def present_prompt(rng: np.random.Generator, kinds: Sequence[Kind]) -> Prompt:
    """A prompt that at least one of the objects answers."""
    colour, shape = kinds[int(rng.integers(len(kinds)))]
    form = int(rng.choice(4, p=(0.45, 0.25, 0.15, 0.15)))
    return Prompt(colour if form in (0, 2) else None, shape if form in (0, 1) else None)


def absent_prompt(rng: np.random.Generator, kinds: Sequence[Kind]) -> Prompt | None:
    """A prompt that no object answers, often a near miss (right colour, wrong shape); ``None`` if none was found."""
    for _ in range(30):
        colour, shape = (int(v) for v in rng.integers(0, 6, 2))
        if kinds:
            near, other = rng.random(), kinds[int(rng.integers(len(kinds)))]
            colour = other[0] if near < 0.3 else colour
            shape = other[1] if 0.3 <= near < 0.6 else shape
        form = int(rng.choice(3, p=(0.6, 0.25, 0.15)))
        prompt = Prompt(colour if form in (0, 2) else None, shape if form in (0, 1) else None)
        if not any(prompt.matches(kind) for kind in kinds):
            return prompt
    return None


def random_prompt(rng: np.random.Generator, kinds: Sequence[Kind], absent: float = 0.3) -> Prompt:
    """A prompt about a picture; with chance ``absent`` nothing in it matches."""
    if not kinds or rng.random() < absent:
        missing = absent_prompt(rng, kinds)
        if missing is not None:
            return missing
    return present_prompt(rng, kinds) if kinds else Prompt(None, None)


def encode(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, length: int = CONTEXT
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and attention mask, each int64 ``(len(texts), length)``."""
    coded = tokenizer(list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="np")
    return coded["input_ids"].astype(np.int64), coded["attention_mask"].astype(np.int64)
