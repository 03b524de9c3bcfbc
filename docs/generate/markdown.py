"""Tables in Markdown, and where they stand in a page: between ``<!-- generated: NAME -->`` and ``<!-- end -->``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

_GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def renewed(page: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """`page` with all that is generated in it made anew.

    Raises:
        KeyError: a mark names none of `tables`.
    """
    return _GENERATED.sub(lambda found: f"{found[1]}\n{tables[found[2]]()}\n{found[4]}", page)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table; bars in its cells are escaped."""
    lines = [head, ("---",) * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
