"""Files and names that documents and docstrings point to are there."""

import ast
import re
from functools import cache

import pytest

from tests.paths import ROOT

FOLDERS = "maskcast|sources|trackers|sinks|streaming|tests|benchmarks|training|examples|docs|deploy"
PATH = re.compile(rf"(?<![\w./-])(?:\.\./)?((?:{FOLDERS})/[\w./-]*\w\.\w+)")
NAME = re.compile(r"`((?:maskcast|sources|trackers|sinks|streaming)(?:\.\w+)+)(?:\(\))?`")
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/README.md")]
CODE = [file for folder in FOLDERS.split("|") for file in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_file_that_a_document_names_is_there(document):
    named = set(PATH.findall(document.read_text(encoding="utf-8")))
    assert not {name for name in named if not (ROOT / name).exists()}


@cache
def bound(path):
    """Every name that a module, and each class in it, binds; None for what is no module."""
    file = next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)
    if file is None:
        return None
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return names


def known(name):
    """Whether a dotted name is a module of ours, or bound in one."""
    path, known_names = ROOT, None
    for part in name.split("."):
        below = bound(path / part)
        if below is None:
            return known_names is not None and set(name.split(".")[len(path.relative_to(ROOT).parts) :]) <= known_names
        path, known_names = path / part, below
    return True


def test_every_name_that_code_or_a_document_points_to_is_there():
    unknown = {
        (str(file.relative_to(ROOT)), name)
        for file in [*DOCUMENTS, *CODE]
        for name in NAME.findall(file.read_text(encoding="utf-8"))
        if not known(name)
    }
    assert not unknown
