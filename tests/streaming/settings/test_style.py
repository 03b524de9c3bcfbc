"""`style` in a settings file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sinks.video.style import OUTLINED, Styles
from tests.settings_files import load, refusal, stream


@pytest.mark.parametrize(
    ("text", "styles"),
    [
        ("", OUTLINED),
        ('style = "only"', Styles("only")),
        ('style = { dog = "fill", " person" = "blur" }', Styles("outline", {"dog": "fill", "person": "blur"})),
    ],
)
def test_a_word_or_a_table_of_prompts(tmp_path: Path, text: str, styles: Styles) -> None:
    assert load(tmp_path, stream(text, prompts='["person", "dog"]')).streams["door"].styles() == styles


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'style = "blured"',
            'door.style = "blured": must be outline or blur or pixelate or fill or only; did you mean blur?',
        ),
        ("style = 5", "door.style = 5: must be outline or blur or pixelate or fill or only"),
        ('style = ["blur"]', "door.style: must be outline or blur or pixelate or fill or only"),
        ('style = { person = "none" }', "door.style: person: must be outline or blur or pixelate or fill or only"),
        ("style = { person = { a = 1 } }", "door.style: person: must be outline or blur or pixelate or fill or only"),
        ('style = { persn = "blur" }', "door: style: there is no prompt 'persn'; did you mean 'person'?"),
    ],
)
def test_what_is_no_style_is_refused_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, stream(text))
