"""How a process is, for those who ask over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Health:
    """The answer to one question about the process.

    Attributes:
        ok: decides between the statuses 200 and 503.
        reason: what is wrong; one line for a person.
        details: more for the JSON body, such as the state of each stream.
    """

    ok: bool
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
