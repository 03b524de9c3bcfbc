"""Write everything that is generated: ``python -m docs.generate``."""

from __future__ import annotations

from pathlib import Path

from docs.generate.asyncapi import asyncapi_text
from docs.generate.markdown import renewed
from docs.generate.memory import memory_table
from docs.generate.messages import SCHEMAS, TABLES, schema_text
from docs.generate.metrics import metrics_table
from docs.generate.settings import settings_tables

DOCS = Path(__file__).parents[1]


def documents() -> dict[Path, str]:
    """The text of each document of which all or something is generated, by its path.

    Raises:
        KeyError: a mark in a page names nothing that is generated.
    """
    tables = {**TABLES, "settings": settings_tables, "metrics": metrics_table, "memory": memory_table}
    pages = [DOCS / name for name in ("mqtt.md", "settings.md", "metrics.md", "memory.md")]
    return {
        **{DOCS / "schema" / f"{name}.json": schema_text(message) for name, message in SCHEMAS.items()},
        DOCS / "asyncapi.yaml": asyncapi_text(),
        **{page: renewed(page.read_text(encoding="utf-8"), tables) for page in pages},
    }


if __name__ == "__main__":
    for file, text in documents().items():
        file.write_text(text, encoding="utf-8")
