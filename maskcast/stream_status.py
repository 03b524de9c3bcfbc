"""How a stream is, as subscribers are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """How a stream is.

    Attributes:
        online: whether frames come and results are published.
        reason: why not.
        prompts: what is looked for.
        paused: whether it is paused on request.
    """

    online: bool = True
    reason: str | None = None
    prompts: tuple[str, ...] = ()
    paused: bool = False
