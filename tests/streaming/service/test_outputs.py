"""What a stream of `maskcast run` produces, without a broker and a source."""

import pytest

from maskcast.errors import UsageError
from sinks.datasets.jsonl import JsonLinesSink
from sinks.mqtt.publisher import PublisherSink
from sinks.video.recording import RecordingSink
from sinks.video.still import StillSink
from streaming.page.history import History
from streaming.page.history_sink import HistorySink
from streaming.service import outputs
from streaming.service.outputs import StreamOutputs
from streaming.settings.tables import Settings


class Publisher:
    """As much of one as its sinks take hold of before they start."""

    stream = "door"
    publish_still = still_room = None


def made(tmp_path, publisher, history=None, **door):
    tables = {"streams": {"door": {"source": "a.mp4", "prompts": ["cat"], **door}}}
    settings = Settings.model_validate(tables, context={"folder": tmp_path})
    of_door = StreamOutputs("door", settings.streams["door"], stills=True, history=history)
    return of_door, [type(sink) for sink in of_door.make(publisher, None)]


def test_a_stream_produces_what_its_settings_ask_for(tmp_path):
    recording = {"folder": "rec", "keep_files": 1}
    assert made(tmp_path, None)[1] == []
    assert made(tmp_path, Publisher())[1] == [PublisherSink, StillSink]
    _, kinds = made(tmp_path, Publisher(), recording=recording, out=["{stream}.jsonl"])
    assert kinds == [PublisherSink, StillSink, RecordingSink, JsonLinesSink]
    assert made(tmp_path, None, History(None))[1] == [HistorySink], "the page needs no broker"


def test_who_needs_a_sink_finds_the_present_one_by_its_kind(tmp_path):
    of_door, _ = made(tmp_path, Publisher())
    first = of_door.find(StillSink)
    assert first is not None
    assert of_door.find(RecordingSink) is None
    of_door.make(Publisher(), None)
    assert of_door.find(StillSink) not in {None, first}


def test_one_more_factory_is_one_more_output(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "FACTORIES", (*outputs.FACTORIES, lambda wanted: [StillSink(print, on_events=False)]))
    assert made(tmp_path, None)[1] == [StillSink]


def test_a_name_that_no_file_can_have_is_told(tmp_path):
    tables = {"streams": {"door": {"source": "a.mp4", "prompts": ["cat"], "out": ["{stream}.jsonl"]}}}
    settings = Settings.model_validate(tables, context={"folder": tmp_path})
    with pytest.raises(UsageError, match="cannot name a file"):
        StreamOutputs("..", settings.streams["door"], stills=True).make(None, None)
