"""What is generated under docs is what the code says, and what generates it is not installed."""

from __future__ import annotations

import re
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from docs.generate.__main__ import documents
from docs.generate.markdown import renewed
from tests.paths import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="the process metrics come from /proc")
@pytest.mark.parametrize("file", list(documents()), ids=lambda file: file.name)
def test_nothing_drifts(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == documents()[file](), "run: python -m docs.generate"


def test_a_mark_of_nothing_is_an_error() -> None:
    with pytest.raises(KeyError):
        renewed("<!-- generated: nothing -->\n<!-- end -->", {})


def test_what_generates_is_not_installed_and_nothing_installed_needs_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert not [pattern for pattern in installed if fnmatch("docs.generate", pattern) or fnmatch("docs", pattern)]
    for pattern in installed:
        for file in (ROOT / pattern.rstrip("*")).rglob("*.py"):
            assert not re.search(r"^\s*(from|import) docs\b", file.read_text(encoding="utf-8"), re.MULTILINE), file
