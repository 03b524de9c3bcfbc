"""How many workers there are, and what of its machine each of them takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from maskcast.errors import UsageError

# Decoding, detection, tracking and encoding each have a thread, and torch divides each pass among those it is given.
CORES_A_WORKER = 2


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes:
        name: its host name.
        cpus: cores that Ray gives away there, not only free ones.
        gpus: as `cpus`.
    """

    name: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Workers:
    """What to ask Ray for.

    Attributes:
        count: how many in all; with an autoscaler machines may have to be started for some.
        at_once: how many of them fit onto the machines that are there.
        cpus: what each takes, in cores; Ray gives its process as many threads for torch, rounded down, at least one.
        gpus: what each takes; 0 on CPUs, below 1 where several share one.
    """

    count: int
    at_once: int
    cpus: float
    gpus: float

    @property
    def options(self) -> dict[str, float]:
        """The arguments of Ray for one worker."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}


def divide(nodes: Sequence[Node], wanted: int | None, *, device: str = "auto", local: bool = True) -> Workers:
    """Divide machines among workers.

    One worker a GPU; without GPUs, one for `CORES_A_WORKER` cores of a machine. Where more are wanted than that, they
    share what there is on this machine alone; of a cluster's, they wait for others.

    Args:
        nodes: the machines.
        wanted: how many workers; None for as many as are best.
        device: as `--device` has it; `cpu` leaves GPUs alone.
        local: whether the machines are this one alone.

    Raises:
        UsageError: GPUs are asked for where there are none, or no machine has a core to give.
    """
    if wanted is not None and wanted < 1:
        raise UsageError(f"{wanted} workers", advice="it takes one at least")
    gpus = 0 if device in {"cpu", "mps"} else sum(int(node.gpus) for node in nodes)
    if device.startswith("cuda") and not gpus and local:
        raise UsageError("no GPU for the workers", advice="use --device cpu or auto")
    if gpus or device.startswith("cuda"):
        count = wanted or max(gpus, 1)
        sharing = math.ceil(count / gpus) if local and gpus else 1
        # A core each, or their share of one where a machine has more GPUs than cores.
        cpus = min([1.0, *(node.cpus / (int(node.gpus) * sharing) for node in nodes if int(node.gpus))])
        return Workers(count, min(count, gpus * sharing), cpus=cpus, gpus=1 / sharing)
    if not sum(node.cpus for node in nodes):
        raise UsageError("no machine has a core to give", advice="start Ray with --num-cpus, or nodes with GPUs")
    fitting = sum(max(1, int(node.cpus) // CORES_A_WORKER) for node in nodes if node.cpus >= 1)
    count = wanted or fitting
    if local:
        [node] = nodes
        each = node.cpus / count
        return Workers(count, count, cpus=float(int(each)) if each >= 1 else each, gpus=0)
    each = min(CORES_A_WORKER, *(node.cpus for node in nodes if node.cpus >= 1))
    return Workers(count, min(count, sum(int(node.cpus // each) for node in nodes)), cpus=each, gpus=0)
