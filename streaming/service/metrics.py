"""What Prometheus sees of the process.

Each `Metrics` has a registry of its own. Its methods take microseconds and may be called from any thread.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import ClassVar, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from maskcast.places import Tally
from streaming.process import heap_in_use
from streaming.service.tracking import WorkerView

Stage = Literal["queue", "model", "publish", "total"]
STAGES: tuple[Stage, ...] = ("queue", "model", "publish", "total")

# Seconds: from a frame that only passes through, to one that waited for a full-size model on a CPU.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_Series = tuple["Counter | Gauge", tuple[str, ...]]


class Metrics:
    """Counters, gauges and one histogram, by stream where that says something.

    All series of a stream vanish with `remove_stream`, those of a prompt with `prompts`, so that months of reloads
    and prompt changes leave nothing behind. Counters that others keep as a growing total are taken as such: a total
    that fell has started anew, as after a reconnect.

    Attributes:
        registry: what the web server exposes.
        label_names: of each of Maskcast's own metrics, by its name without suffix.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside every counter, which nobody reads
        self.registry = registry = CollectorRegistry()
        self.label_names: dict[str, tuple[str, ...]] = {
            "maskcast_build": ("version", "model"),
            "maskcast_latency_seconds": ("stage",),
            "maskcast_gpu_memory_allocated_bytes": ("device",),
            "maskcast_gpu_memory_reserved_bytes": ("device",),
            **dict.fromkeys(_Workers.NAMES, ("worker",)),
        }
        self._lock = threading.Lock()
        self._series: dict[str, set[_Series]] = {}
        self._totals: dict[str, dict[_Series, float]] = {}

        def counter(name: str, documentation: str, *labels: str) -> Counter:
            self.label_names[f"maskcast_{name.removesuffix('_total')}"] = labels
            return Counter(f"maskcast_{name}", documentation, labels, registry=registry)

        def gauge(name: str, documentation: str, *labels: str) -> Gauge:
            self.label_names[f"maskcast_{name}"] = labels
            return Gauge(f"maskcast_{name}", documentation, labels, registry=registry)

        self._build = Info("maskcast_build", "Version and model; always 1.", registry=registry)
        self._up = gauge("stream_up", "1 while the source delivers frames, 0 while it is down.", "stream")
        self._reconnects = counter("reconnects_total", "Times that the source was lost and opened again.", "stream")
        self._frames = counter("frames_total", "Frames that the model tracked.", "stream")
        self._dropped = counter(
            "frames_dropped_total",
            "Frames that were dropped, by place: reader (a newer one was there) or sink (it was slow).",
            "stream",
            "where",
        )
        self._offered = gauge(
            "offered_frames_per_second", "Frames a second that the stream asks the model for.", "stream"
        )
        self._tracked = gauge("tracked_frames_per_second", "Frames a second that the model grants it.", "stream")
        self._overloaded = gauge("overloaded", "1 while the streams ask for more frames than the model can track.")
        self._latency = Histogram(
            "maskcast_latency_seconds",
            "Time of a frame by stage: queue (decoded until the model takes it), model, publish (result until handed "
            "to the network), total (decoded until handed to the network).",
            ["stage"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._stages = {stage: self._latency.labels(stage) for stage in STAGES}
        self._visible = gauge("tracks_visible", "Tracks in the stream's newest result.", "stream", "prompt")
        self._inside = gauge("zone_tracks", "Tracks that are in a zone.", "stream", "zone", "prompt")
        self._entered = counter("zone_entered_total", "Tracks that came into a zone.", "stream", "zone", "prompt")
        self._crossed = counter(
            "line_crossed_total", "Tracks that crossed a line.", "stream", "line", "direction", "prompt"
        )
        self._connected = gauge("broker_connected", "1 while connected to the stream's MQTT broker.", "stream")
        self._unsent = counter(
            "broker_frames_dropped_total",
            "Messages of frames that were dropped: the broker was slow, away, or refused them.",
            "stream",
        )
        self._journal_events = gauge("journal_events", "Events on disk that wait for the broker.", "stream")
        self._journal_dropped = counter(
            "journal_events_dropped_total", "Events dropped because the journal was full.", "stream"
        )
        self._in_memory = gauge(
            "state_in_memory", "1 while the state folder cannot be written and what it should keep is in memory alone."
        )
        self._recording = gauge("recording", "1 while video is being written.", "stream")
        self._recording_failures = counter(
            "recording_failures_total", "Times that recording stopped for an error, such as a full disk.", "stream"
        )
        self._control = counter(
            "control_messages_total", "Control messages by outcome: accepted, rejected.", "stream", "outcome"
        )
        self._errors = counter("errors_total", "Errors by kind: source, sink, model.", "stream", "kind")
        registry.register(_HeapMemory())
        registry.register(_GpuMemory())
        self._workers = _Workers()
        registry.register(self._workers)
        gauge("threads", "Threads of the process, native ones included.").set_function(_threads)
        ProcessCollector(registry=registry)

    def build_info(self, version: str, model: str) -> None:
        """Say which version runs which model."""
        self._build.info({"version": _clean(version), "model": _clean(model)})

    def ask_workers(self, workers: Callable[[], Sequence[WorkerView]]) -> None:
        """Show the workers of a cluster, as they are when somebody asks; called on any thread, and must not wait."""
        self._workers.ask = workers

    def frame_tracked(self, stream: str) -> None:
        """Count a frame that the model has tracked."""
        self._add(self._frames, 1, stream)

    def frames_dropped(self, stream: str, where: Literal["reader", "sink"], count: int) -> None:
        """Count frames that were dropped in one place."""
        self._add(self._dropped, count, stream, where)

    def observe(self, stage: Stage, seconds: float) -> None:
        """Record how long a frame spent in a stage."""
        self._stages[stage].observe(max(seconds, 0.0))

    def reconnected(self, stream: str) -> None:
        """Count a source that was lost and opened again."""
        self._add(self._reconnects, 1, stream)

    def stream_up(self, stream: str, online: bool) -> None:
        """Say whether the source delivers."""
        for counter in (self._reconnects, self._frames):  # there from the start, or `rate` misses what comes first
            self._add(counter, 0, stream)
        for where in ("reader", "sink"):
            self._add(self._dropped, 0, stream, where)
        self._set(self._up, online, stream)

    def tracks(self, stream: str, prompt: str, visible: int) -> None:
        """Say how many tracks of a prompt the newest result shows."""
        self._set(self._visible, visible, stream, prompt)

    def prompts(self, stream: str, wanted: Collection[str]) -> None:
        """Forget the prompts of a stream that are no longer among those `wanted`; show new ones as 0."""
        names = {_clean(prompt) for prompt in wanted}
        with self._lock:
            self._forget(stream, {self._visible, self._inside, self._entered, self._crossed}, names)
            series = self._series.get(_clean(stream), set())
            names -= {labels[-1] for metric, labels in series if metric is self._visible}
        for name in names:
            self._set(self._visible, 0, stream, name)

    def places(self, stream: str, tally: Tally, wanted: Collection[str]) -> None:
        """Say what has been counted at zones and lines; of the prompts `wanted` alone, which bounds the series."""
        for zone, inside in tally.inside.items():
            for prompt in inside.keys() & set(wanted):
                self._set(self._inside, inside[prompt], stream, zone, prompt)
        for zone, entered in tally.entered.items():
            for prompt in entered.keys() & set(wanted):
                self._total(self._entered, entered[prompt], stream, zone, prompt)
        for line, ways in tally.crossed.items():
            for way, crossed in ways.items():
                for prompt in crossed.keys() & set(wanted):
                    self._total(self._crossed, crossed[prompt], stream, line, way, prompt)

    def forget_places(self, stream: str) -> None:
        """Forget the zones and lines of a stream: there are others."""
        with self._lock:
            self._forget(stream, {self._inside, self._entered, self._crossed}, ())

    def rate(self, stream: str, wanted: float, got: float) -> None:
        """Say how many frames a second a stream asks the model for, and how many it is granted."""
        self._set(self._offered, wanted, stream)
        self._set(self._tracked, got, stream)

    def overloaded(self, on: bool) -> None:
        """Say whether the streams ask for more than the model can track."""
        self._overloaded.set(on)

    def journal(self, stream: str, depth: int, dropped_total: float) -> None:
        """Take the number of events on disk, and the growing total of those dropped because it was full."""
        self._set(self._journal_events, depth, stream)
        self._total(self._journal_dropped, dropped_total, stream)

    def state_in_memory(self, on: bool) -> None:
        """Say whether the state folder refuses to be written."""
        self._in_memory.set(on)

    def broker(self, stream: str, connected: bool, dropped_frames_total: float) -> None:
        """Take the state of the connection, and the growing total of frames that were not sent."""
        self._set(self._connected, connected, stream)
        self._total(self._unsent, dropped_frames_total, stream)

    def recording(self, stream: str, on: bool, failures_total: float) -> None:
        """Take whether video is being written, and the growing total of failures."""
        self._set(self._recording, on, stream)
        self._total(self._recording_failures, failures_total, stream)

    def control(self, stream: str, outcome: Literal["accepted", "rejected"], count: int = 1) -> None:
        """Count control messages."""
        self._add(self._control, count, stream, outcome)

    def errors(self, stream: str, kind: str) -> None:
        """Count an error; `kind` is one of a few fixed words, never a message."""
        self._add(self._errors, 1, stream, kind)

    def remove_stream(self, stream: str) -> None:
        """Forget all series of a stream. What is reported of it afterwards brings it back, so call this last."""
        with self._lock:
            for metric, labels in self._series.pop(_clean(stream), ()):
                metric.remove(*labels)
            self._totals.pop(_clean(stream), None)

    def _forget(self, stream: str, metrics: Collection[Counter | Gauge], but: Collection[str]) -> None:
        """Remove the series of these metrics of a stream, except those of prompts of these names; under the lock."""
        series = self._series.get(_clean(stream), set())
        for metric, labels in [entry for entry in series if entry[0] in metrics and entry[1][-1] not in but]:
            series.discard((metric, labels))
            metric.remove(*labels)
            self._totals.get(labels[0], {}).pop((metric, labels), None)

    def _set(self, metric: Gauge, value: float, *labels: str) -> None:
        with self._lock:
            metric.labels(*self._known(metric, labels)).set(value)

    def _add(self, metric: Counter, amount: float, *labels: str) -> None:
        with self._lock:
            metric.labels(*self._known(metric, labels)).inc(amount)

    def _total(self, metric: Counter, total: float, *labels: str) -> None:
        with self._lock:
            labels = self._known(metric, labels)
            child = metric.labels(*labels)
            totals = self._totals.setdefault(labels[0], {})
            known = totals.get((metric, labels), 0.0)
            child.inc(total - known if total >= known else max(total, 0.0))
            totals[metric, labels] = total

    def _known(self, metric: Counter | Gauge, labels: tuple[str, ...]) -> tuple[str, ...]:
        """The labels as they are exposed, noted for removal; under the lock, so that no child outlives it."""
        labels = tuple(_clean(label) for label in labels)
        self._series.setdefault(labels[0], set()).add((metric, labels))
        return labels


class _HeapMemory(Collector):
    """What the C heap has handed out; no series where that is not known."""

    def collect(self) -> Iterable[Metric]:
        used = GaugeMetricFamily(
            "maskcast_heap_in_use_bytes",
            "Main memory in use, without the free memory that the process keeps: where this rises for days, there is "
            "a leak (glibc only).",
        )
        if (size := heap_in_use()) is not None:
            used.add_metric([], size)
        return (used,)


class _GpuMemory(Collector):
    """What PyTorch's allocator holds on each GPU.

    It asks the allocator alone, never the driver: a call into CUDA from a scrape could wait for the model or
    disturb the capture of a CUDA graph.
    """

    def collect(self) -> Iterable[Metric]:
        allocated = GaugeMetricFamily(
            "maskcast_gpu_memory_allocated_bytes", "GPU memory that tensors occupy.", labels=["device"]
        )
        reserved = GaugeMetricFamily(
            "maskcast_gpu_memory_reserved_bytes",
            "GPU memory that PyTorch holds, free blocks included.",
            labels=["device"],
        )
        # Looked up, not imported: a process without a model must not load torch for its metrics.
        cuda = getattr(sys.modules.get("torch"), "cuda", None)
        if cuda is not None and cuda.is_initialized():
            for device in range(cuda.device_count()):
                allocated.add_metric([str(device)], cuda.memory_allocated(device))
                reserved.add_metric([str(device)], cuda.memory_reserved(device))
        return allocated, reserved


class _Workers(Collector):
    """The workers of a cluster; no series without one. What a scrape does not find any more is gone."""

    # What each is called, what it means, and what it is.
    GAUGES: ClassVar[Sequence[tuple[str, str, Callable[[WorkerView], float | None]]]] = (
        ("up", "1 while the worker is ready and answers, 0 while it is begun or dead.", lambda one: one.up),
        ("streams", "Streams that the worker has.", lambda one: len(one.streams)),
        ("busy", "Share of the time in which the worker's model is at work, 0 to 1.", lambda one: one.busy),
        ("gpu_memory_used_bytes", "Memory in use on the worker's GPU, by all processes.", lambda one: one.gpu_bytes),
        ("gpu_memory_total_bytes", "Memory of the worker's GPU.", lambda one: one.gpu_total),
        ("resident_memory_bytes", "Memory of the worker's process.", lambda one: one.rss_bytes),
    )
    DEATHS = "deaths"
    NAMES = (*(f"maskcast_worker_{name}" for name, _, _ in GAUGES), f"maskcast_worker_{DEATHS}")

    def __init__(self) -> None:
        self.ask: Callable[[], Sequence[WorkerView]] = tuple

    def collect(self) -> Iterable[Metric]:
        workers = self.ask()
        for name, meaning, value_of in self.GAUGES:
            gauge = GaugeMetricFamily(f"maskcast_worker_{name}", meaning, labels=["worker"])
            for worker in workers:
                if (value := value_of(worker)) is not None:
                    gauge.add_metric([_clean(worker.name)], value)
            yield gauge
        deaths = CounterMetricFamily(
            f"maskcast_worker_{self.DEATHS}", "Times that the worker died and was begun anew.", labels=["worker"]
        )
        for worker in workers:
            deaths.add_metric([_clean(worker.name)], worker.deaths)
        yield deaths


def _threads() -> float:
    try:
        return float(len(os.listdir("/proc/self/task")))  # noqa: PTH208 - names are enough
    except OSError:  # not Linux
        return float(threading.active_count())


def _clean(label: str) -> str:
    """A label that can be encoded: one lone surrogate, which JSON allows, would make every scrape fail."""
    return label.encode("utf-8", "replace").decode()
