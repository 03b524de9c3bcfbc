from __future__ import annotations

import re

import pytest

from sinks.video.style import OUTLINED, Styles, parse_styles


def test_words_of_the_command_line() -> None:
    assert parse_styles([]) == OUTLINED
    assert parse_styles(["blur"]) == Styles("blur")
    assert parse_styles(["fill", "red  car=outline", "a=b=only"]) == Styles(
        "fill", {"red car": "outline", "a=b": "only"}
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["blurr"], "'blurr' must be outline or blur or pixelate or fill or only; did you mean blur?"),
        (["person=hide"], "'hide' must be outline or blur or pixelate or fill or only"),
        (["blur", "fill"], "all prompts are given two styles, blur and fill"),
        (["person=blur", "person=fill"], "'person' is given two styles"),
        (["=blur"], "is empty"),
    ],
)
def test_what_is_no_style_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        parse_styles(words)


def test_a_style_for_no_prompt_is_refused() -> None:
    styles = Styles("outline", {"persn": "blur"})
    with pytest.raises(ValueError, match=r"style: there is no prompt 'persn'; did you mean 'person'\?"):
        styles.check(["person", "car"])
    Styles("blur", {"car": "outline"}).check(["person", "car"])


def test_what_hides() -> None:
    assert not OUTLINED.hide
    assert Styles("outline", {"person": "fill"}).hide
    assert Styles("only", {"person": "outline"}).only
    assert not Styles("blur").only
