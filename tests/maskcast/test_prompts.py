"""Prompts are cleaned once, where they enter: all that follows knows one name for one thing."""

import pytest

from maskcast.errors import UsageError
from maskcast.prompts import clean_prompt, clean_prompts, names
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


def test_the_model_is_asked_for_what_the_sinks_are_told() -> None:
    engine = Engine(EngineOptions("nano", "cpu"))
    stream = engine.open_stream([" star", "red  circle", "star"])
    assert names(stream.prompts) == ("star", "red circle")
    for wrong in ([], ["star", ""]):
        with pytest.raises(UsageError):
            engine.set_prompts(stream, wrong)
    assert names(stream.prompts) == ("star", "red circle")
