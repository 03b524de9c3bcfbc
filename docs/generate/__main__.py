"""Write everything that is generated: ``python -m docs.generate``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from docs.generate.asyncapi import asyncapi_text
from docs.generate.markdown import renewed
from docs.generate.memory import memory_table
from docs.generate.messages import SCHEMAS, TABLES, schema_text
from docs.generate.metrics import metrics_table
from docs.generate.settings import settings_tables

DOCS = Path(__file__).parents[1]


def documents() -> dict[Path, Callable[[], str]]:
    """What makes the text of each document of which all or something is generated, by its path.

    It raises KeyError where a mark in a page names nothing that is generated.
    """
    tables = {**TABLES, "settings": settings_tables, "metrics": metrics_table, "memory": memory_table}
    pages = [DOCS / name for name in ("mqtt.md", "settings.md", "metrics.md", "memory.md")]
    return {
        **{DOCS / "schema" / f"{name}.json": partial(schema_text, message) for name, message in SCHEMAS.items()},
        DOCS / "asyncapi.yaml": asyncapi_text,
        **{page: partial(_page, page, tables) for page in pages},
    }


def _page(page: Path, tables: Mapping[str, Callable[[], str]]) -> str:
    return renewed(page.read_text(encoding="utf-8"), tables)


if __name__ == "__main__":
    for file, text in [(file, make()) for file, make in documents().items()]:
        file.write_text(text, encoding="utf-8")
