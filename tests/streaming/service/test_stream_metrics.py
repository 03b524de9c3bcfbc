"""What is counted of a stream, from what it says happened."""

from datetime import UTC, datetime

from maskcast.errors import ModelError, SinkError
from maskcast.notices import FramesDropped, PlacesChanged, Problem, PromptsChanged, RequestsAnswered, SourceStatus
from maskcast.places import Tally
from streaming.pipeline.controls import Controls
from streaming.service.metrics import Metrics
from streaming.service.stream_metrics import StreamMetrics
from tests.frames import tracked


def measured():
    metrics, controls = Metrics(), Controls(["cat"])
    one = StreamMetrics("door", metrics, controls, None)
    one.begin()
    return one, controls, metrics.registry


def value(registry, name, **labels):
    return registry.get_sample_value(f"maskcast_{name}", {"stream": "door", **labels})


def test_frames_that_pass_while_it_is_paused_are_no_overload():
    one, controls, _ = measured()
    one.rates()
    controls.pause(True)
    one.notify(FramesDropped("reader", 1000))
    assert one.rates() == (0.0, 0.0)
    controls.pause(False)
    assert one.rates() == (0.0, 0.0), "nor are they afterwards"
    one.notify(FramesDropped("reader", 10))
    wanted, got = one.rates()
    assert wanted > 0
    assert got == 0


def test_each_notice_is_counted_where_it_belongs():
    one, controls, registry = measured()
    assert value(registry, "frames_dropped_total", where="sink") == 0, "there from the start"
    for status in (False, True, True, False, True):
        one.notify(SourceStatus(status))
    assert value(registry, "stream_up") == 1
    assert value(registry, "reconnects_total") == 1, "the first time is none"
    one.notify(tracked(3, 9))
    one.notify(tracked(4))
    assert value(registry, "frames_total") == 2
    assert value(registry, "tracks_visible", prompt="cat") == 1
    for where in ("reader", "sink", "sink"):
        one.notify(FramesDropped(where, 2))
    assert value(registry, "frames_dropped_total", where="sink") == 4
    one.notify(RequestsAnswered(accepted=False, count=7))
    assert value(registry, "control_messages_total", outcome="rejected") == 7
    one.notify(Problem(ModelError("a bad day")))
    one.notify(Problem(SinkError("a full disk")))
    assert value(registry, "errors_total", kind="model") == value(registry, "errors_total", kind="sink") == 1
    controls.set_prompts(["dog"])
    one.notify(PromptsChanged(controls.names))
    assert value(registry, "tracks_visible", prompt="dog") == 0
    assert value(registry, "tracks_visible", prompt="cat") is None
    one.end()
    assert value(registry, "frames_total") is None


def test_series_of_places_come_and_go_with_them():
    one, _, registry = measured()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    first = Tally(now, {"gate": {"cat": 2}}, {"gate": {"cat": 5}}, {"step": {"in": {"cat": 3}}})
    one.notify(PlacesChanged(first))
    assert value(registry, "zone_tracks", zone="gate", prompt="cat") == 2
    one.notify(PlacesChanged(Tally(now, {"yard": {"cat": 1}}, {"yard": {"cat": 0}}, {"step": {"in": {"cat": 0}}})))
    assert value(registry, "zone_tracks", zone="gate", prompt="cat") is None
    assert value(registry, "zone_entered_total", zone="gate", prompt="cat") is None
    assert value(registry, "zone_tracks", zone="yard", prompt="cat") == 1
    assert value(registry, "line_crossed_total", line="step", direction="in", prompt="cat") == 0, "another line"
    one.nothing_visible()
    assert value(registry, "zone_tracks", zone="yard", prompt="cat") == 0
    assert value(registry, "zone_tracks", zone="gate", prompt="cat") is None
    one.notify(PlacesChanged(None))
    one.nothing_visible()
    assert value(registry, "zone_tracks", zone="yard", prompt="cat") is None
    assert value(registry, "tracks_visible", prompt="cat") == 0
    one.end()
