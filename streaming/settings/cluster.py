"""The table `[cluster]`: workers on other GPUs and other machines, which track in place of this process."""

from __future__ import annotations

from pydantic import Field

from streaming.settings.table import Table
from streaming.settings.values import RayAddress, WorkerCount


class ClusterSettings(Table):
    """Workers that Ray begins, each with a model of its own, share the streams. Without it, this process tracks."""

    workers: WorkerCount = Field(
        default="auto",
        description="How many; `auto` for one a GPU, or without GPUs for one a few cores, of the machines that are "
        "there at the start.",
    )
    address: RayAddress | None = Field(
        default=None,
        description="A Ray cluster to join: `auto` for the one that this machine is part of, `host:port`, or "
        "`ray://host:port` from outside of it. By default Ray is started on this machine, for this process alone.",
    )

    @property
    def count(self) -> int | None:
        """How many workers; None for as many as are best."""
        return None if self.workers == "auto" else self.workers
