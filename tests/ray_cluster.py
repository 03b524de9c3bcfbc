"""Real Ray for tests: one of the test's process, and clusters of several nodes on this machine, which leave nothing.

To start one takes 5 s of a free machine, so a test does much with it.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from streaming.cluster import connection, guard
from streaming.cluster.connection import connected

STORE_BYTES = 100 * 2**20
# Ray reads its token once in a process, in which a command may run as well: so it is the command's.
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": connection._token}


@contextmanager
def ray_here():
    """A Ray of our own on this machine, as the command starts it without an address: the `Cluster`."""
    with patch.dict(os.environ):
        os.environ.pop("RAY_ADDRESS", None)
        with connected() as cluster:
            yield cluster


class Nodes:
    """A cluster whose machines are processes of this one: raylets, which can be killed."""

    def __init__(self, machines) -> None:
        self._machines = machines
        self.address = machines.address

    def add(self, cpus=1, **resources):
        """Another machine; what Ray's `Cluster` knows it by."""
        return self._machines.add_node(num_cpus=cpus, object_store_memory=STORE_BYTES, resources=resources or None)

    def remove(self, node, *, kindly=False) -> None:
        """Kill a machine: raylet and workers at once, unless kindly."""
        self._machines.remove_node(node, allow_graceful=kindly)


@contextmanager
def ray_nodes(*cpus):
    """A cluster of machines with so many cores each, as `Nodes`; the first is the head, which stays.

    `connected` and `--ray` take its `address`; what is started meanwhile inherits the token that it asks for. Of a
    machine that is removed nothing stays: what Ray leaves alone for a minute is killed at the end.
    """
    from ray._raylet import Config
    from ray.cluster_utils import Cluster

    # Short: sockets have their names in it.
    folder = tempfile.mkdtemp(prefix="rays-", dir="/tmp")
    with patch.dict(os.environ, TOKEN, RAY_TMPDIR=folder, RAY_USAGE_STATS_ENABLED="0"):
        os.environ.pop("RAY_ADDRESS", None)
        Config.initialize("")  # reads them anew
        machines = Cluster()
        try:
            first, *others = cpus or (1,)
            machines.add_node(num_cpus=first, object_store_memory=STORE_BYTES, include_dashboard=False)
            held = Nodes(machines)
            for each in others:
                held.add(each)
            yield held
        finally:
            machines.shutdown()
            guard.clear(Path(folder), grace=0)
