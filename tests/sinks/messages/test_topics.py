"""Topics and how messages travel on them are written down in one place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sinks.messages import topics
from tests.paths import ROOT

FILES = sorted(
    file for wing in ("sinks", "streaming") for file in (ROOT / wing).rglob("*.py") if file != Path(topics.__file__)
)
LEVELS = "|".join({topic.address.removeprefix("{prefix}/{stream}").split("/")[1] for topic in topics.TOPICS.values()})


def literals(tree: ast.AST) -> Iterator[str]:
    """What a file says of topics on its own: their names, and how messages are to travel."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in {"qos", "retain"} and isinstance(node.value, ast.Constant):
            yield f"line {node.value.lineno}: {node.arg}={node.value.value}"
        elif isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            if re.search(rf"\{{\}}/({LEVELS})(/|$)", text):
                yield f"line {node.lineno}: {text}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_only_the_table_names_topics_and_says_how_messages_travel(file: Path) -> None:
    assert not list(literals(ast.parse(file.read_text(encoding="utf-8"))))


def test_what_the_test_looks_for_is_found() -> None:
    code = 'publish(f"{base}/control/reply", b"", qos=1, retain=True, expiry=limit)'
    assert len(list(literals(ast.parse(code)))) == 3


def test_a_topic_is_made_of_prefix_and_stream() -> None:
    assert topics.REPLY.at("site/north", "door") == "site/north/door/control/reply"
    assert topics.PROCESS.at("site") == "site/status"
    assert topics.retained_topics("site", "door") == [
        "site/door/status",
        "site/door/counts",
        "site/door/totals",
        "site/door/image",
    ]
