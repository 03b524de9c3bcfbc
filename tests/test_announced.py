"""What Home Assistant was told of is remembered over restarts, whatever the disk does."""

import json
import logging

import pytest

from streaming.announced import MOST_GONE, Announced

pytestmark = pytest.mark.anyio


async def test_what_is_gone_is_named_also_after_a_restart(tmp_path):
    file = tmp_path / "home_assistant.json"
    first = Announced(file)
    assert first.replace("a/config", ["person", "car"]) == []
    assert first.replace("a/config", ["car", "dog"]) == ["person"]
    first.replace("b/config", ["cat"])
    await first.close()

    second = Announced(file)
    assert second.topics == {"a/config", "b/config"}
    assert second.replace("a/config", ["person"]) == ["car", "dog"], "what is back is not gone"
    second.forget("b/config")
    second.forget("never heard of")
    await second.close()
    assert json.loads(file.read_text(encoding="utf-8")) == {"a/config": ["car", "dog", "person"]}
    assert list(tmp_path.iterdir()) == [file]


async def test_the_memory_of_prompts_is_bounded(tmp_path):
    announced = Announced(tmp_path / "home_assistant.json")
    for number in range(10 * MOST_GONE):
        gone = announced.replace("a/config", [f"prompt {number}"])
    assert gone == [f"prompt {number}" for number in range(9 * MOST_GONE - 1, 10 * MOST_GONE - 1)]
    await announced.close()


async def test_a_damaged_file_is_passed_over_and_written_anew(tmp_path, caplog):
    file = tmp_path / "home_assistant.json"
    for damage in ("{", "[]", '{"a": 3}', "\x00"):
        file.write_text(damage, encoding="utf-8")
        caplog.clear()
        announced = Announced(file)
        assert announced.topics == set()
        assert "cannot be read" in caplog.text
        announced.replace("a/config", ["person"])
        await announced.close()
        assert Announced(file).topics == {"a/config"}


async def test_a_disk_that_refuses_costs_a_warning_and_only_one(tmp_path, caplog):
    file = tmp_path / "folder" / "home_assistant.json"
    announced = Announced(file)
    with caplog.at_level(logging.WARNING):
        for prompt in ("person", "car"):
            announced.replace("a/config", [prompt])
            await announced.close()
    assert len(caplog.records) == 1
    assert announced.replace("a/config", ["dog"]) == ["person", "car"]
    file.parent.mkdir()
    announced.replace("a/config", ["dog"])
    await announced.close()
    assert Announced(file).topics == {"a/config"}
