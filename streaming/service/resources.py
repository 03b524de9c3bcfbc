"""What the process has once, for all its streams."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sinks.mqtt.journal import Journal
from streaming.page.board import Board
from streaming.page.history import History
from streaming.pipeline.worker import Worker
from streaming.service.metrics import Metrics
from streaming.service.retained import Retained
from streaming.settings.tables import Settings


@dataclass(frozen=True)
class Resources:
    """What the process has once, for all its streams.

    Attributes:
        settings: of the process.
        worker, journal, retained, metrics: see there.
        track_states: whether the tracker can save its state.
        board: what the page shows; None without one.
        history: what the page tells of the past; None without one.
        one_by_one: lets one stream that ends, such as a file, run at a time.
    """

    settings: Settings
    worker: Worker
    journal: Journal
    retained: Retained
    metrics: Metrics
    track_states: bool
    board: Board | None = None
    history: History | None = None
    one_by_one: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
