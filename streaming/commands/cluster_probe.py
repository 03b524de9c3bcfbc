"""Find out whether the workers of `[cluster]` can be had: one is begun, which loads the model and reads the prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maskcast.errors import MaskcastError
from maskcast.prompts import Prompt
from sources.location import Kind, kind_of
from streaming.commands.probes import Finding, Verdict, failed
from streaming.settings.cluster import ClusterSettings
from streaming.settings.tables import Settings

# Ray's start, a machine that is slow to answer, and a model that is loaded.
CLUSTER_SECONDS = 360.0


def probe_cluster(settings: Settings, cluster: ClusterSettings) -> list[Finding]:
    """Begin one worker and ask it."""
    from streaming.cluster.cameras.trial import try_worker

    prompts: Mapping[str, Sequence[Prompt]] = {name: stream.wanted() for name, stream in settings.streams.items()}
    try:
        trial = try_worker(settings, cluster, prompts)
    except MaskcastError as error:
        return [failed("cluster", error), *_local_sources(settings, cluster)]
    workers, facts = trial.workers, trial.facts
    found = f"Ray at {trial.address}, {_count(trial.machines, 'machine')}: {_count(workers.count, 'worker')}"
    room = Finding(Verdict.OK, "cluster", found)
    if workers.at_once < workers.count:
        room = Finding(Verdict.WARN, "cluster", f"{found}, of which {workers.at_once} have a place now")
    refused = [failed("prompts", error.at(f"streams.{stream}")) for stream, error in trial.refused.items()]
    read = [Finding(Verdict.OK, "prompts", f"those of {_count(len(prompts), 'stream')} are readable")]
    return [
        room,
        Finding(Verdict.OK, "worker", f"one was begun on {facts.host}: {facts.device}"),
        *(refused or read),
        *_local_sources(settings, cluster),
    ]


def _local_sources(settings: Settings, cluster: ClusterSettings) -> list[Finding]:
    """Sources that a worker on another machine would not find."""
    if cluster.address is None:
        return []
    local = [name for name, stream in settings.streams.items() if kind_of(stream.source) is not Kind.NETWORK]
    detail = "it has to be there on each machine that has a worker"
    return [Finding(Verdict.WARN, f"streams.{name}", detail) for name in local]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
