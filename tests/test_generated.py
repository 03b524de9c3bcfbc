"""What is generated under docs is what the code says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from docs.generate.__main__ import documents
from docs.generate.markdown import renewed


@pytest.mark.skipif(sys.platform != "linux", reason="the process metrics come from /proc")
@pytest.mark.parametrize("file", list(documents()), ids=lambda file: file.name)
def test_nothing_drifts(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == documents()[file], "run: python -m docs.generate"


def test_a_mark_of_nothing_is_an_error() -> None:
    with pytest.raises(KeyError):
        renewed("<!-- generated: nothing -->\n<!-- end -->", {})
