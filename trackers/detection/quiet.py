"""Transformers without progress bars and advice, which are noise in a service's log; its errors are exceptions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Let the library be quiet for a while; afterwards it is as the rest of the process wants it."""
    from transformers.utils.logging import EmptyTqdm, set_tqdm_hook

    library = logging.getLogger("transformers")
    level = library.level
    hook = set_tqdm_hook(lambda _, arguments, options: EmptyTqdm(*arguments, **options))  # type: ignore[no-untyped-call]
    library.setLevel(logging.ERROR)
    try:
        yield
    finally:
        library.setLevel(level)
        set_tqdm_hook(hook)
