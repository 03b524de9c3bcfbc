"""Whether the streams ask for more than the model can track."""

from __future__ import annotations

import logging

from streaming.rates import is_overloaded
from streaming.service.metrics import Metrics

logger = logging.getLogger(__name__)


class Overload:
    """Says so when it begins and when it ends."""

    def __init__(self, metrics: Metrics) -> None:
        """Begin without."""
        self._metrics, self._on = metrics, False

    def look(self, wanted: float, got: float) -> None:
        """Compare the frames a second that all streams want and get."""
        on = is_overloaded(wanted, got)
        self._metrics.overloaded(on)
        if on and not self._on:
            logger.warning(
                "overloaded: streams offer %.1f frames/s, the model tracks %.1f; all live streams give way evenly",
                wanted,
                got,
            )
        elif self._on and not on:
            logger.info("no longer overloaded: %.1f frames/s", got)
        self._on = on
