"""What was left at the broker is remembered over restarts, whatever the disk does; and nothing else is believed."""

import asyncio
import json
import logging
import shutil
import stat

import pytest

from sinks.mqtt.broker import parse_address
from streaming.service import retained as module
from streaming.service.retained import MOST_GONE_PLACES, MOST_GONE_PROMPTS, MOST_STREAMS, Retained
from tests.patience import eventually, patient


def remembered(file, url="mqtt://broker/site", discovery="homeassistant"):
    return Retained(file, parse_address(url), discovery)


async def written(file, *streams, url="mqtt://broker/site", discovery="homeassistant"):
    retained = remembered(file, url, discovery)
    for stream in streams:
        retained.note(stream)
    await retained.close()


async def test_prompts_that_are_gone_are_named_also_after_a_restart(tmp_path):
    file = tmp_path / "retained.json"
    first = remembered(file)
    assert first.replace("a", ["person", "car"], ())[0] == []
    assert first.replace("a", ["car", "dog"], ())[0] == ["person"]
    first.replace("b", ["cat"], ())
    await first.close()

    second = remembered(file)
    assert second.streams() == {"a", "b"}
    assert second.replace("a", ["person"], ())[0] == ["car", "dog"], "what is back is not gone"
    second.forget("b")
    second.forget("never heard of")
    await second.close()
    (left,) = json.loads(file.read_text(encoding="utf-8"))["left"]
    assert (left["stream"], left["prompts"]) == ("a", ["car", "dog", "person"])
    assert list(tmp_path.iterdir()) == [file]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "secret" not in file.read_text(encoding="utf-8")


async def test_the_memory_is_bounded(tmp_path):
    retained = remembered(tmp_path / "retained.json")
    for number in range(10 * MOST_GONE_PROMPTS):
        gone, _ = retained.replace("a", [f"prompt {number}"], ())
    assert gone == [f"prompt {number}" for number in range(9 * MOST_GONE_PROMPTS - 1, 10 * MOST_GONE_PROMPTS - 1)]
    for number in range(MOST_STREAMS + 10):
        retained.note(f"stream {number}")
    assert len(retained.streams()) == MOST_STREAMS
    assert f"stream {MOST_STREAMS + 9}" in retained.streams()
    await retained.close()
    assert len(remembered(tmp_path / "retained.json").streams()) == MOST_STREAMS, "what is written can be read"


async def test_all_topics_of_a_stream(tmp_path):
    file = tmp_path / "retained.json"
    await written(file, "door")
    retained = remembered(file)
    topics = retained.topics("door")
    assert topics[:4] == [f"site/door/{name}" for name in ("status", "counts", "totals", "image")]
    assert [topic.startswith("homeassistant/device/maskcast_door_") for topic in topics[4:]] == [True]
    assert (retained.stale("door"), retained.elsewhere()) == ([], [])


async def test_another_prefix_broker_or_place_of_home_assistant(tmp_path):
    file = tmp_path / "retained.json"
    await written(file, "door")
    other = remembered(shutil.copy(file, tmp_path / "others.json"), "mqtt://broker/house")
    (left,) = other.elsewhere()
    assert (other.streams(), left.status_topic(), left.process_topic()) == (set(), "site/door/status", "site/status")
    other.forget_one(left)
    assert not other.elsewhere()
    await other.close()
    assert not remembered(file, "mqtt://another/house").elsewhere(), "nothing can be taken back from here"

    moved = remembered(file, discovery="hass")
    moved.note("door")
    assert [topic.split("/")[0] for topic in moved.topics("door")] == ["site"] * 4 + ["homeassistant", "hass"]
    (stale,) = moved.stale("door")
    assert stale.startswith("homeassistant/")
    moved.forget_stale("door")
    assert not moved.stale("door")
    await moved.close()
    assert [topic.split("/")[0] for topic in remembered(file, discovery=None).stale("door")] == ["hass"]


LEFT = {"broker": "broker:1883", "prefix": "site", "stream": "door"}
DAMAGE = {
    "cut off": "{",
    "a list": "[]",
    "another's": '{"a": 3}',
    "binary": "\x00",
    "deep": "[" * 100_000,
    "deeper": '{"left":' + "[" * 100_000,
    "a wild card": {"left": [LEFT | {"prefix": "#"}]},
    "a topic": {"left": [LEFT | {"topics": ["zigbee2mqtt/bridge/state"]}]},
    "a stream that leaves its level": {"left": [LEFT | {"stream": "door/#"}]},
    "a line end": {"left": [LEFT | {"prefix": "a\nb"}]},
    "prompts that are none": {"left": [LEFT | {"prompts": [1]}]},
    "too many": {"left": [LEFT] * (MOST_STREAMS + 1)},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_what_was_not_written_here_is_set_aside(tmp_path, caplog, damage):
    file = tmp_path / "retained.json"
    file.write_text(damage if isinstance(damage, str) else json.dumps(damage), encoding="utf-8")
    retained = remembered(file)
    assert (retained.streams(), retained.elsewhere()) == (set(), [])
    assert len(caplog.records) == 1
    assert "set aside as retained.json.damaged" in caplog.text
    retained.note("a")
    await retained.close()
    assert remembered(file).streams() == {"a"}
    assert len(caplog.records) == 1


async def test_a_folder_in_its_place_is_set_aside(tmp_path):
    file = tmp_path / "retained.json"
    file.mkdir()
    await written(file, "a")
    assert remembered(file).streams() == {"a"}


async def test_a_disk_that_refuses_is_tried_again_and_said_once(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    folder = tmp_path / "folder"
    folder.touch()
    file = folder / "retained.json"
    retained = remembered(file)
    with caplog.at_level(logging.WARNING):
        for prompt in ("person", "car"):
            retained.replace("a", [prompt], ())
        await asyncio.sleep(0.1)
    assert len(caplog.records) == 1
    assert retained.replace("a", ["dog"], ())[0] == ["person", "car"]
    folder.unlink()
    await asyncio.to_thread(eventually, file.exists, 30, "written by itself")
    await retained.close()
    assert remembered(file).replace("a", [], ())[0] == ["person", "car", "dog"]


async def test_the_end_does_not_wait_for_a_disk_that_refuses(tmp_path):
    (tmp_path / "folder").touch()
    retained = remembered(tmp_path / "folder" / "retained.json")
    retained.note("a")
    async with asyncio.timeout(patient(60)):
        await retained.close()


async def test_components_of_places_that_are_gone_are_remembered(tmp_path):
    file = tmp_path / "retained.json"
    first = remembered(file)
    assert first.replace("a", [], ["sensor_gate", "binary_sensor_gate"])[1] == []
    await first.close()
    second = remembered(file)
    assert second.replace("a", [], ["sensor_gate"])[1] == ["binary_sensor_gate"]
    assert second.replace("a", [], ["binary_sensor_gate"])[1] == ["sensor_gate"]
    second.replace("a", [], [f"sensor_{number}" for number in range(1000)])
    assert second.replace("a", [], [])[1] == [f"sensor_{number}" for number in range(1000 - MOST_GONE_PLACES, 1000)]
    await second.close()
