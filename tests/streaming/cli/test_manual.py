"""The help, the version and the completion of shells, as a person meets them."""

import os
import re
import subprocess
import sys
import textwrap
import tomllib
from functools import cache
from importlib import metadata

import pytest

from streaming.cli import manual
from streaming.settings.tables import Settings
from tests.paths import ROOT


@cache
def maskcast(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "maskcast", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )


def commands():
    listed = maskcast("--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0]
    return re.findall(r"^  (\w+)  ", listed, re.MULTILINE)


def test_the_version_is_that_of_the_distribution():
    said = maskcast("--version")
    assert (said.returncode, said.stdout, said.stderr) == (0, f"maskcast {metadata.version('maskcast')}\n", "")


def test_no_command_is_described_by_half_a_sentence():
    said = maskcast("--help").stdout
    assert len(commands()) >= 4
    assert "..." not in said.partition("Commands:\n")[2]


def test_the_help_of_each_command_has_its_exit_codes():
    for command in commands():
        said = " ".join(maskcast(command, "--help").stdout.split())
        assert " ".join(manual.EXIT_CODES.split()) in said, command


def test_examples_take_options_that_exist():
    for command in commands():
        said = maskcast(command, "--help").stdout
        options, _, below = said.partition("Examples:")
        for line in re.findall(r"^ +maskcast (.*)", below, re.MULTILINE):
            assert line.split()[0] == command
            assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", line)) <= set(re.findall(r"--?[a-z][a-z-]*", options)), line


def test_the_settings_in_the_help_are_valid():
    shown = maskcast("run", "--help").stdout.partition("begins like this:")[2].partition("Exit codes")[0]
    assert textwrap.dedent(shown).strip() == manual.LEAST_SETTINGS.strip()
    assert list(Settings.model_validate(tomllib.loads(shown)).streams) == ["door"]


@pytest.mark.parametrize(
    ("words", "offered"), [("maskcast tr", ["track"]), ("maskcast track --mod", ["--model"]), ("maskcast x", [])]
)
def test_a_shell_completes_commands_and_options(words, offered):
    position = str(len(words.split()) - 1)
    # As `python -m` the program has another name, and so has the variable.
    code = "import sys; sys.argv[0] = 'maskcast'; from maskcast.__main__ import main; main()"
    environment = {"_MASKCAST_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": position}
    said = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert said.stdout.split() == offered, said.stderr
