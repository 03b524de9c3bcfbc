"""How long to wait before the next attempt at what fails."""

from __future__ import annotations

import random


class Backoff:
    """Exponential back-off, which begins anew after what has held for a while.

    Full jitter (a wait drawn evenly from zero to the bound) spreads the attempts of many clients of one server best:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    def __init__(self, first: float, longest: float, *, good: float, jitter: bool = True) -> None:
        """Begin.

        Args:
            first: bound of the first wait in seconds; it doubles with every attempt.
            longest: what the bound does not grow past, in seconds, however often the attempts fail.
            good: what holds for longer than this, in seconds, was a success; see `lasted`.
            jitter: whether a wait is drawn from zero to the bound; otherwise it is the bound.
        """
        self._first, self._longest, self._good, self._jitter = first, longest, good, jitter
        self._bound = first

    def wait(self) -> float:
        """Seconds to wait before the next attempt."""
        bound, self._bound = self._bound, min(2 * self._bound, self._longest)
        return random.uniform(0.0, bound) if self._jitter else bound  # noqa: S311 - no secret

    def lasted(self, seconds: float) -> None:
        """Begin anew if what was attempted has held long enough; what breaks again and again is not hammered."""
        if seconds > self._good:
            self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._bound = self._first
