"""What the process has once, for all its streams."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sinks.mqtt.journal import Journal
from streaming.page.board import Board
from streaming.page.history import History
from streaming.service.metrics import Metrics
from streaming.service.retained import Retained
from streaming.service.tracking import Tracking
from streaming.settings.tables import Settings


@dataclass(frozen=True)
class Resources:
    """What the process has once, for all its streams.

    Attributes:
        settings: of the process.
        tracking, journal, retained, metrics: see there.
        board: what the page shows; None without one.
        history: what the page tells of the past; None without one.
        one_by_one: lets one stream that ends, such as a file, run at a time.
    """

    settings: Settings
    tracking: Tracking
    journal: Journal
    retained: Retained
    metrics: Metrics
    board: Board | None = None
    history: History | None = None
    one_by_one: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
