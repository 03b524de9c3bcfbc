"""The table of ``docs/metrics.md``."""

from __future__ import annotations

from docs.generate.markdown import table
from streaming.service.metrics import Metrics

SUFFIXES = {"counter": "_total", "info": "_info"}


def metrics_table() -> str:
    """All metrics of the process."""
    metrics = Metrics()
    rows = [
        (
            f"`{family.name}{SUFFIXES.get(family.type, '')}`",
            family.type,
            ", ".join(f"`{name}`" for name in metrics.label_names.get(family.name, ())),
            family.documentation,
        )
        for family in metrics.registry.collect()
    ]
    return table(("name", "type", "labels", "meaning"), rows)
