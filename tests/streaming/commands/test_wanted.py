"""What the command line is asked to look for."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from maskcast.errors import UsageError
from maskcast.prompts import Prompt
from streaming.cli.app import app
from streaming.commands.wanted import wanted_prompts

PEOPLE = """
[[prompts]]
text = "person with a helmet"
name = "helmet"
group = "person"
min_area = 0.01

[[prompts]]
text = "person without a helmet"
group = "person"
max_area = 0.3
"""


@pytest.fixture
def people(tmp_path: Path) -> Path:
    file = tmp_path / "people.toml"
    file.write_text(PEOPLE)
    return file


def test_bounds_for_all_and_those_of_each_prompt_hold_both(people: Path) -> None:
    assert wanted_prompts(["dog "], people, min_area=0.001, max_area=0.5) == (
        Prompt("dog", min_area=0.001, max_area=0.5),
        Prompt("person with a helmet", "helmet", min_area=0.01, max_area=0.5, group="person"),
        Prompt("person without a helmet", min_area=0.001, max_area=0.3, group="person"),
    )
    assert wanted_prompts(["dog"]) == (Prompt("dog"),)


def test_what_cannot_be_is_one_line(people: Path) -> None:
    with pytest.raises(UsageError, match=r"^prompt 'person without a helmet': min_area 0.4 is more than max_area 0.3$"):
        wanted_prompts([], people, min_area=0.4)
    with pytest.raises(UsageError, match=r"^prompt 'dog': min_area 0.4 is more than max_area 0.2$"):
        wanted_prompts(["dog"], min_area=0.4, max_area=0.2)
    with pytest.raises(UsageError, match="no prompt: say what to look for"):
        wanted_prompts([])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[prompts]]\ntext = "a"\nmin_area = 2', "people.toml: prompts[0].min_area = 2: must be from 0 to 1"),
        ('[[prompts]]\ntext = "a"\ngroup = "g"', "people.toml: prompts: group 'g' has one prompt"),
        ('[[prompt]]\ntext = "a"', "people.toml: prompts is missing"),
        ("prompts = [1]", "people.toml: prompts[0] = 1: must be a string or a table"),
        ("prompts = ", "people.toml: at its end: not TOML"),
    ],
)
def test_a_file_that_cannot_be_names_the_key_and_ends_with_2(people: Path, text: str, said: str) -> None:
    people.write_text(text)
    done = CliRunner().invoke(app, ["track", "nothing.mp4", "--prompts", str(people)])
    assert done.exit_code == 2
    assert said in done.stderr
