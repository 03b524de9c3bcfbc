"""How long to wait before the next attempt."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.5
# Short enough that a camera is back within 5 s of its server; one attempt every 2 s on average costs next to nothing.
LONGEST_SECONDS = 4.0


class Backoff:
    """Exponential back-off with full jitter.

    Full jitter (a wait drawn evenly from zero to the bound) spreads the attempts of many clients of one server best:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    def __init__(self, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> None:
        """Begin.

        Args:
            first: bound of the first wait in seconds; it doubles with every attempt.
            longest: what the bound does not grow past, in seconds, however often the attempts fail.
        """
        self._first, self._longest = first, longest
        self._bound = first

    def wait(self) -> float:
        """Seconds to wait before the next attempt."""
        bound, self._bound = self._bound, min(2 * self._bound, self._longest)
        return random.uniform(0.0, bound)  # noqa: S311 - no secret

    def reset(self) -> None:
        """Begin again, after success."""
        self._bound = self._first
