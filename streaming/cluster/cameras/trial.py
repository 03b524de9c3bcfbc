"""One worker for a moment, as `maskcast check` tries it: whether there is a place for it, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskcast.errors import MaskcastError
from maskcast.prompts import Prompt
from streaming.cluster.cameras.actor import camera_actor
from streaming.cluster.cameras.messages import WorkerFacts
from streaming.cluster.connection import connected
from streaming.cluster.failures import in_one_line
from streaming.cluster.origin import Origin
from streaming.cluster.resources import Workers, divide
from streaming.cluster.waiting import within
from streaming.settings.cluster import ClusterSettings
from streaming.settings.tables import Settings

# Loading a full-size model from a cold disk takes most of it.
LOADING_SECONDS = 180.0
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Trial:
    """What was found.

    Attributes:
        address: of Ray.
        machines: how many there are.
        workers: how many `maskcast run` would begin, and what each takes.
        facts: of the one that was tried.
        refused: why it cannot read the prompts of a stream, by the stream's id.
    """

    address: str
    machines: int
    workers: Workers
    facts: WorkerFacts
    refused: Mapping[str, MaskcastError]


def try_worker(settings: Settings, cluster: ClusterSettings, prompts: Mapping[str, Sequence[Prompt]]) -> Trial:
    """Connect to Ray, begin a worker, and ask it about prompts; blocking, but not for ever.

    Raises:
        MaskcastError: Ray is not to be had, or a worker is not.
    """
    with connected(cluster.address) as found:
        nodes = found.nodes()
        workers = divide(nodes, cluster.count, device=settings.model.device, local=found.local)
        origin = Origin.here()
        worker = within(ANSWER_SECONDS, lambda: camera_actor(settings, workers, origin), "begin a worker")
        facts: WorkerFacts = _answer(worker.start, seconds=LOADING_SECONDS)
        refused = {}
        for stream, wanted in prompts.items():
            try:
                _answer(worker.check_prompts, tuple(wanted), seconds=ANSWER_SECONDS)
            except MaskcastError as error:
                refused[stream] = error
        return Trial(found.address, len(nodes), workers, facts, refused)


def _answer(method: Any, *arguments: object, seconds: float) -> Any:
    """What a method answers.

    Raises:
        MaskcastError: that is an error, or it does not come.
    """
    import ray

    try:
        answer = ray.get(method.remote(*arguments), timeout=seconds)
    except ray.exceptions.GetTimeoutError:
        what = f"a worker has found no place, or not loaded its model, within {seconds:g} s"
        raise MaskcastError(what, advice="see `ray status`") from None
    except Exception as error:
        raise in_one_line(error) from error
    if isinstance(answer, MaskcastError):
        raise answer
    return answer
