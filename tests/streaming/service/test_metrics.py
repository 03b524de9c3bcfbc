"""What a scrape says, and that months of reloads and prompt changes leave no series behind."""

import subprocess
import sys
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from maskcast.places import Tally
from streaming.process import heap_in_use
from streaming.service.metrics import STAGES, Metrics
from streaming.service.tracking import WorkerView
from tests.paths import ROOT


@pytest.fixture
def metrics():
    return Metrics()


def scrape(metrics):
    """All samples as Prometheus would read them."""
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {(sample.name, *sorted(sample.labels.items())): sample.value for f in families for sample in f.samples}


def tally(*, entered=0, crossed=0, inside=1):
    return Tally(
        datetime(2026, 1, 1, tzinfo=UTC),
        {"gate": {"person": inside, "gone": 1}},
        {"gate": {"person": entered, "gone": 1}},
        {"step": {"in": {"person": crossed, "gone": 1}}},
    )


def everything(metrics, stream, total=3):
    metrics.stream_up(stream, online=True)
    metrics.reconnected(stream)
    metrics.frame_tracked(stream)
    metrics.frames_dropped(stream, "reader", total)
    metrics.rate(stream, 25.0, 12.5)
    metrics.tracks(stream, "person", 2)
    metrics.places(stream, tally(entered=total, crossed=total), ["person"])
    metrics.broker(stream, connected=True, dropped_frames_total=total)
    metrics.journal(stream, 7, total)
    metrics.recording(stream, on=True, failures_total=total)
    metrics.control(stream, "rejected")
    metrics.errors(stream, "source")


def test_every_report_is_in_the_scrape(metrics):
    everything(metrics, "door")
    metrics.overloaded(on=True)
    metrics.build_info("1.2.3", "nano")
    samples = scrape(metrics)
    door = ("stream", "door")
    assert samples["maskcast_stream_up", door] == 1
    assert samples["maskcast_reconnects_total", door] == 1
    assert samples["maskcast_frames_total", door] == 1
    assert samples["maskcast_frames_dropped_total", door, ("where", "reader")] == 3
    assert samples["maskcast_offered_frames_per_second", door] == 25
    assert samples["maskcast_tracked_frames_per_second", door] == 12.5
    assert samples["maskcast_tracks_visible", ("prompt", "person"), door] == 2
    assert samples["maskcast_broker_connected", door] == 1
    assert samples["maskcast_broker_frames_dropped_total", door] == 3
    assert samples["maskcast_journal_events", door] == 7
    assert samples["maskcast_journal_events_dropped_total", door] == 3
    assert samples["maskcast_recording", door] == 1
    assert samples["maskcast_recording_failures_total", door] == 3
    assert samples["maskcast_control_messages_total", ("outcome", "rejected"), door] == 1
    assert samples["maskcast_errors_total", ("kind", "source"), door] == 1
    assert samples["maskcast_overloaded",] == 1
    assert samples["maskcast_build_info", ("model", "nano"), ("version", "1.2.3")] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_is_measured(metrics):
    samples = scrape(metrics)
    assert samples["process_resident_memory_bytes",] > 1e6
    assert samples["process_open_fds",] > 2
    assert samples["maskcast_threads",] >= 1
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    assert scrape(metrics)["maskcast_threads",] > samples["maskcast_threads",]
    done.set()
    thread.join()


def test_a_latency_falls_into_its_stage_and_bucket(metrics):
    for stage in STAGES:
        metrics.observe(stage, 0.02)
    metrics.observe("model", 99.0)
    metrics.observe("queue", -0.5)  # clocks of two threads
    samples = scrape(metrics)
    model = ("stage", "model")
    assert samples["maskcast_latency_seconds_bucket", ("le", "0.01"), model] == 0
    assert samples["maskcast_latency_seconds_bucket", ("le", "0.025"), model] == 1
    assert samples["maskcast_latency_seconds_bucket", ("le", "30.0"), model] == 1
    assert samples["maskcast_latency_seconds_count", model] == 2
    assert samples["maskcast_latency_seconds_sum", ("stage", "queue")] == pytest.approx(0.02)


def test_stages_without_a_frame_are_there_as_zero(metrics):
    assert all(scrape(metrics)["maskcast_latency_seconds_count", ("stage", stage)] == 0 for stage in STAGES)


def test_a_total_that_starts_anew_keeps_the_counter_growing(metrics):
    for total in (5, 5, 8, 0, 2, 4):
        metrics.broker("door", connected=True, dropped_frames_total=total)
    assert scrape(metrics)["maskcast_broker_frames_dropped_total", ("stream", "door")] == 8 + 4


def test_counts_of_two_places_do_not_mix(metrics):
    metrics.frames_dropped("door", "reader", 5)
    metrics.frames_dropped("door", "sink", 7)
    metrics.frames_dropped("door", "reader", 1)
    samples = scrape(metrics)
    assert samples["maskcast_frames_dropped_total", ("stream", "door"), ("where", "reader")] == 6
    assert samples["maskcast_frames_dropped_total", ("stream", "door"), ("where", "sink")] == 7


def test_a_stream_is_at_zero_before_its_first_frame_and_reconnect(metrics):
    metrics.stream_up("door", online=False)
    assert scrape(metrics)["maskcast_frames_total", ("stream", "door")] == 0
    assert scrape(metrics)["maskcast_reconnects_total", ("stream", "door")] == 0


def test_a_removed_stream_leaves_nothing_and_others_stay(metrics):
    everything(metrics, "yard")
    before = scrape(metrics)
    for number in range(300):
        everything(metrics, f"camera {number}")
        metrics.remove_stream(f"camera {number}")
    samples = scrape(metrics)
    assert not [key for key in samples if "camera" in str(key)]
    assert set(samples) == set(before)
    assert set(metrics._series) == set(metrics._totals) == {"yard"}


def test_a_stream_that_comes_back_starts_at_zero(metrics):
    everything(metrics, "door", total=100)
    metrics.remove_stream("door")
    everything(metrics, "door", total=1)
    assert scrape(metrics)["maskcast_journal_events_dropped_total", ("stream", "door")] == 1


def test_removing_an_unknown_stream_is_no_error(metrics):
    metrics.remove_stream("nowhere")


def test_a_removed_prompt_takes_its_series_with_it(metrics):
    metrics.tracks("door", "person", 2)
    metrics.tracks("door", "dog", 1)
    metrics.tracks("yard", "dog", 3)
    metrics.frame_tracked("door")
    metrics.prompts("door", ["person", "cat"])
    samples = scrape(metrics)
    shown = {key[1:]: value for key, value in samples.items() if key[0] == "maskcast_tracks_visible"}
    assert shown == {
        (("prompt", "person"), ("stream", "door")): 2,
        (("prompt", "cat"), ("stream", "door")): 0,
        (("prompt", "dog"), ("stream", "yard")): 3,
    }
    assert samples["maskcast_frames_total", ("stream", "door")] == 1


@pytest.mark.parametrize("prompt", ['a "quoted"\nbreak\\', "\ud800 lone surrogate", "Füchse 🦊", ""])
def test_no_prompt_breaks_the_scrape(metrics, prompt):
    metrics.tracks("door", prompt, 4)
    assert 4 in scrape(metrics).values()
    metrics.prompts("door", [])
    assert not [key for key in scrape(metrics) if key[0] == "maskcast_tracks_visible"]


def test_two_instances_share_nothing(metrics):
    metrics.frame_tracked("door")
    assert not [key for key in scrape(Metrics()) if "door" in str(key)]


def test_threads_lose_no_count_while_scrapes_and_removals_go_on(metrics):
    def count():
        for _ in range(2000):
            metrics.frame_tracked("door")
            metrics.frame_tracked("passing")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        metrics.remove_stream("passing")
        scrape(metrics)
    metrics.remove_stream("passing")
    samples = scrape(metrics)
    assert samples["maskcast_frames_total", ("stream", "door")] == 8000
    assert not [key for key in samples if "passing" in str(key)]


@pytest.mark.skipif(sys.platform != "linux" or heap_in_use() is None, reason="only glibc 2.33 and later tells")
def test_heap_memory_is_what_is_in_use_not_what_is_kept(metrics):
    before = scrape(metrics)["maskcast_heap_in_use_bytes",]
    blocks = [bytearray(1 << 20) for _ in range(64)]
    during = scrape(metrics)["maskcast_heap_in_use_bytes",]
    blocks.clear()
    after = scrape(metrics)["maskcast_heap_in_use_bytes",]
    assert during - before == pytest.approx(64 << 20, rel=0.05)
    assert after - before == pytest.approx(0, abs=4 << 20)


def test_heap_memory_is_absent_where_it_is_not_known(metrics, monkeypatch):
    monkeypatch.setattr("streaming.service.metrics.heap_in_use", lambda: None)
    assert not [key for key in scrape(metrics) if "heap" in key[0]]


def test_gpu_memory_is_absent_without_cuda_and_asks_the_allocator_with_it(metrics, monkeypatch):
    cuda = SimpleNamespace(
        is_initialized=lambda: False,
        device_count=lambda: 2,
        memory_allocated=lambda device: 10 + device,
        memory_reserved=lambda device: 20 + device,
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert not [key for key in scrape(metrics) if "gpu" in key[0]]
    cuda.is_initialized = lambda: True
    samples = scrape(metrics)
    assert samples["maskcast_gpu_memory_allocated_bytes", ("device", "1")] == 11
    assert samples["maskcast_gpu_memory_reserved_bytes", ("device", "0")] == 20


def test_metrics_and_a_scrape_do_not_load_torch():
    program = (
        "import sys; from streaming.service.metrics import Metrics; from prometheus_client import generate_latest\n"
        "generate_latest(Metrics().registry); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_the_reference_names_the_labels_that_a_scrape_has(metrics):
    everything(metrics, "door")
    metrics.build_info("1", "nano")
    for family in metrics.registry.collect():
        for sample in family.samples:
            labels = tuple(label for label in sample.labels if label != "le")
            assert labels == metrics.label_names.get(family.name, ()), family.name


def test_what_is_counted_at_places_never_goes_back(metrics):
    def counted():
        samples = scrape(metrics)
        of = (("prompt", "person"), ("stream", "door"))
        return (
            samples["maskcast_zone_tracks", *of, ("zone", "gate")],
            samples["maskcast_zone_entered_total", *of, ("zone", "gate")],
            samples["maskcast_line_crossed_total", ("direction", "in"), ("line", "step"), *of],
        )

    metrics.places("door", tally(entered=3, crossed=5), ["person"])
    assert counted() == (1, 3, 5)
    metrics.places("door", tally(entered=1, crossed=0, inside=0), ["person"])
    assert counted() == (0, 4, 5), "totals that began anew"
    assert not [sample for sample in scrape(metrics) if ("prompt", "gone") in sample], "the series have a bound"
    metrics.prompts("door", ["dog"])
    assert not [sample for sample in scrape(metrics) if ("prompt", "person") in sample]


def test_workers_are_shown_as_they_are_when_somebody_asks(metrics):
    assert not [name for name, *_ in scrape(metrics) if name.startswith("maskcast_worker")]
    workers = [
        WorkerView("worker 1", True, "a/NVIDIA L4", ("door", "yard"), 2, 0.5, 3 << 30, 24 << 30, 1 << 30),
        WorkerView("worker 2", False, "b/cpu"),
    ]
    metrics.ask_workers(lambda: workers)
    samples = scrape(metrics)
    first, second = ("worker", "worker 1"), ("worker", "worker 2")
    assert samples["maskcast_worker_up", first] == 1
    assert samples["maskcast_worker_up", second] == 0
    assert samples["maskcast_worker_streams", first] == 2
    assert samples["maskcast_worker_deaths_total", first] == 2
    assert samples["maskcast_worker_busy", first] == 0.5
    assert samples["maskcast_worker_gpu_memory_used_bytes", first] == 3 << 30
    assert samples["maskcast_worker_gpu_memory_total_bytes", first] == 24 << 30
    assert samples["maskcast_worker_resident_memory_bytes", first] == 1 << 30
    assert {name for name, *labels in samples if second in labels} == {
        "maskcast_worker_up", "maskcast_worker_streams", "maskcast_worker_deaths_total"
    }  # fmt: skip
    del workers[1]
    assert not [labels for _, *labels in scrape(metrics) if second in labels]
