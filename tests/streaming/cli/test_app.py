"""What is said of options that cannot be."""

import re

import pytest
from typer.testing import CliRunner

from streaming.cli.app import app

CHOICES = ["tracker", "precision", "propagate", "decoder", "rtsp-transport", "context-tokens"]


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_that_does_not_exist_is_told_with_those_that_do(name):
    done = CliRunner().invoke(app, ["track", "clip.mp4", "-p", "star", f"--{name}", "foo"])
    assert done.exit_code == 2
    *_, line = done.stderr.splitlines()
    assert re.fullmatch(rf"Error: Invalid value for '--{name}': 'foo' is not one of '\w+'(, '\w+')+\.", line)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("detect-every", "0", "must be greater than or equal to 1"),
        ("quality", "99", "must be less than or equal to 63"),
        ("max-frames", "many", "must be a valid integer"),
        ("threshold", "high", "must be a valid number"),
    ],
)
def test_a_number_that_cannot_be_is_told_with_what_can(option, value, said):
    done = CliRunner().invoke(app, ["track", "clip.mp4", "-p", "star", f"--{option}", value])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == f"Error: Invalid value for '--{option}': {said}"
