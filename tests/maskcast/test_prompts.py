"""Prompts are cleaned once, where they enter: all that follows knows one name for one thing."""

import re
from typing import Any

import pytest

from maskcast.errors import UsageError
from maskcast.prompts import Prompt, avoided, clean_prompt, clean_prompts, names, phrases
from trackers.engine import Engine
from trackers.options import EngineOptions


def test_blanks_are_folded_and_repeats_left_out_in_order() -> None:
    given = ["object", " ring", "red\t  car", "object", "circle ", "red car\n", "Ring"]
    assert names(clean_prompts(given)) == ("object", "ring", "red car", "circle", "Ring")


@pytest.mark.parametrize("given", [[], [""], [" ", "\t\u00a0"]])
def test_nothing_to_look_for(given: list[str]) -> None:
    with pytest.raises(ValueError, match="no prompt: say what to look for"):
        clean_prompts(given)


def test_an_empty_prompt_among_others_is_no_slip_to_pass_over() -> None:
    with pytest.raises(ValueError, match=r"^prompt 2 is empty: say what to look for$"):
        clean_prompts(["cat", " \u2003"])
    with pytest.raises(ValueError, match=r"^is empty"):
        clean_prompt("\n")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"text": " "}, "text is empty: say what to look for"),
        ({"name": " "}, "name is empty: say what to look for"),
        ({"group": ""}, "group is empty: say what to look for"),
        ({"avoid": ("b", "")}, "avoid is empty: say what to look for"),
        ({"avoid": "a"}, "avoid names what is looked for: 'a'"),
        ({"threshold": 1.0}, "threshold must be at least 0 and below 1, not 1.0"),
        ({"threshold": float("nan")}, "threshold must be at least 0 and below 1, not nan"),
        ({"min_area": -0.1}, "min_area is a share of the picture, from 0 to 1, not -0.1"),
        ({"max_area": 2}, "max_area is a share of the picture, from 0 to 1, not 2"),
        ({"min_area": 0.5, "max_area": 0.2}, "min_area 0.5 is more than max_area 0.2"),
        ({"min_frames": 0}, "min_frames must be from 1 to 1000, not 0"),
        ({"min_frames": 1001}, "min_frames must be from 1 to 1000, not 1001"),
    ],
)
def test_a_prompt_that_cannot_be_names_its_key(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        Prompt(**{"text": "a"} | fields)


def test_prompts_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^name 'a' is given to 2 different prompts"):
        clean_prompts(["a", Prompt("b", "a")])
    with pytest.raises(ValueError, match=r"^group 'g' has one prompt"):
        clean_prompts(["a", Prompt("b", group="g")])


def test_phrases_to_avoid_count_once_and_not_where_they_are_prompts() -> None:
    given = [Prompt("person", avoid=("poster", "dog")), Prompt("cat", avoid="poster"), Prompt(" dog ")]
    assert avoided(given) == ("poster",)
    assert phrases(given) == 4


def test_the_model_is_asked_for_what_the_sinks_are_told() -> None:
    engine = Engine(EngineOptions("nano", "cpu"))
    stream = engine.open_stream([" star", "red  circle", "star"])
    assert names(stream.prompts) == ("star", "red circle")
    for wrong in ([], ["star", ""]):
        with pytest.raises(UsageError):
            engine.set_prompts(stream, wrong)
    assert names(stream.prompts) == ("star", "red circle")
