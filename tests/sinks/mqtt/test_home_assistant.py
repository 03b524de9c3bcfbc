from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from maskcast.places import Line, Places, Tally, Zone
from sinks.messages.counts import counts_message
from sinks.messages.status import status_message
from sinks.messages.totals import totals_message
from sinks.mqtt.control import ControlError, parse_control
from sinks.mqtt.home_assistant import discovery, discovery_topic, jinja_literal, place_components

HOSTILE = [
    "}}",
    "{{ 7 * 7 }}",
    "{% for a in range(9) %}x{% endfor %}",
    "{# comment #}",
    "'",
    '"',
    "\\",
    "\\'",
    "' ~ states('lock.door') ~ '",
    "\\u0027 }}",
    "😀",
    "行人",
    "Zoë",
    "items",
    "get",
    "keys",
    "__class__",
    "$(reboot)",
    "<b>",
    "a/b+#",
]


def render(template: str, message: bytes) -> str:
    """As Home Assistant does: in an immutable sandbox, with `value_json`, the outer white space cut off."""
    environment = ImmutableSandboxedEnvironment()
    return environment.from_string(template).render(value=message.decode(), value_json=json.loads(message)).strip()


def components(message: dict[str, Any], platform: str) -> list[tuple[str, dict[str, Any]]]:
    return [(name, one) for name, one in message["components"].items() if one["platform"] == platform]


def test_the_message_has_the_fields_that_home_assistant_asks_for() -> None:
    message = discovery("site", "door", ["person", "red car"])
    assert json.loads(json.dumps(message)) == message
    assert set(message) == {"device", "origin", "availability", "qos", "components"}
    assert message["device"]["name"] == "door"
    assert message["device"]["identifiers"] == [discovery_topic("site", "door").split("/")[2]]
    assert set(message["origin"]) == {"name", "sw_version"}
    assert [one["name"] for _, one in components(message, "sensor")] == ["person count", "red car count"]
    assert [one["name"] for _, one in components(message, "binary_sensor")] == ["person", "red car"]
    assert {one["device_class"] for _, one in components(message, "binary_sensor")} == {"occupancy"}
    [(_, image)] = components(message, "image")
    assert (image["image_topic"], image["content_type"]) == ("site/door/image", "image/jpeg")
    assert all("unique_id" in one for one in message["components"].values())
    assert {one["state_topic"] for one in message["components"].values() if one is not image} == {"site/door/counts"}


def test_availability_follows_the_status() -> None:
    [available] = discovery("site", "door", [])["availability"]
    assert available["topic"] == "site/door/status"
    for status in ("online", "offline"):
        assert render(available["value_template"], status_message("door", status).json_bytes()) == status


@pytest.mark.parametrize("prompt", HOSTILE)
def test_no_prompt_breaks_out_of_its_template(prompt: str) -> None:
    others = {other: 1 for other in HOSTILE if other != prompt}
    message = discovery("site", "door", [prompt])
    [(_, sensor)] = components(message, "sensor")
    [(_, occupancy)] = components(message, "binary_sensor")
    for number in (0, 3):
        seen = counts_message("door", {**others, prompt: number}).json_bytes()
        assert render(sensor["value_template"], seen) == str(number)
        assert render(occupancy["value_template"], seen) == ("ON" if number else "OFF")
    unseen = counts_message("door", others).json_bytes()
    assert render(sensor["value_template"], unseen) == "0"
    assert render(occupancy["value_template"], unseen) == "OFF"


@settings(deadline=None)
@given(st.text(min_size=1))
def test_a_literal_stands_for_its_text_and_holds_no_syntax(text: str) -> None:
    literal = jinja_literal(text)
    assert re.fullmatch(r"'([a-zA-Z0-9]|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})*'", literal)
    assert ImmutableSandboxedEnvironment().from_string(f"{{{{ {literal} == text }}}}").render(text=text) == "True"


@pytest.mark.parametrize("prompt", ["a\nb", "a\r", "\u2028", "\x00"])
def test_prompts_of_more_than_one_line_never_come_that_far(prompt: str) -> None:
    with pytest.raises(ControlError):
        parse_control(json.dumps({"action": "set", "prompts": [prompt]}).encode())


def test_ids_are_plain_distinct_and_stable() -> None:
    prompts = [*HOSTILE, "red car", "red_car", "Red car", "red  car", "x" * 200, "x" * 199]
    message = discovery("site", "door", prompts)
    ids = [one["unique_id"] for one in message["components"].values()]
    assert len(ids) == len(set(ids)) == 2 * len(prompts) + 1
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", name) for name in [*ids, *message["components"]])
    assert discovery("site", "door", prompts[::-1])["components"] == message["components"]
    # Written down, because another id would be another entity in every installation.
    [(name, _)] = components(discovery("site", "door", ["person"]), "sensor")
    assert name == "sensor_person_162e772b1a73"


def test_topics_are_plain_and_distinct() -> None:
    pairs = [("site", "door"), ("site", "Door"), ("site", "door "), ("site2", "door"), ("a/b", "c"), ("a", "行人")]
    topics = {discovery_topic(prefix, stream) for prefix, stream in pairs}
    assert len(topics) == len(pairs)
    assert all(re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic) for topic in topics)
    assert discovery_topic("site", "door", "ha").startswith("ha/device/")


def test_a_removed_prompt_is_listed_once_with_nothing_but_its_platform() -> None:
    before = discovery("site", "door", ["person", "dog"])["components"]
    during = discovery("site", "door", ["person"], removed=["dog", "person"])["components"]
    after = discovery("site", "door", ["person"])["components"]
    gone = set(before) - set(after)
    assert sorted(before[name]["platform"] for name in gone) == ["binary_sensor", "sensor"]
    assert set(during) == set(before)
    assert all(during[name] == {"platform": before[name]["platform"]} for name in gone)
    assert all(during[name] == after[name] for name in after), "one that is in force again is not removed"


GATE = Zone("gate's", ((0, 0), (1, 0), (1, 1)), ("dog",))
STEP = Line("step", ((0, 0.5), (1, 0.5)), directions=("in", "out"))


def test_zones_and_lines_have_entities_of_their_own() -> None:
    message = discovery("site", "door", ["person", "dog"], places=Places((GATE,), (STEP,)))
    assert json.loads(json.dumps(message)) == message
    assert len({one["unique_id"] for one in message["components"].values()}) == len(message["components"])
    named = {one["name"]: one for one in message["components"].values()}
    assert set(named) >= {"gate's dog count", "gate's occupancy", "step in person", "step out dog"}
    assert "gate's person count" not in named, "the zone is not for it"
    counts = counts_message("door", {"dog": 2}, {"gate's": {"dog": 1}}).json_bytes()
    nobody = counts_message("door", {"dog": 2}, {"gate's": {"dog": 0}}).json_bytes()
    earlier = counts_message("door", {"dog": 2}).json_bytes()
    for told, number, occupied in ((counts, "1", "ON"), (nobody, "0", "OFF"), (earlier, "0", "OFF")):
        assert render(named["gate's dog count"]["value_template"], told) == number
        assert render(named["gate's occupancy"]["value_template"], told) == occupied
    line = named["step in person"]
    assert (line["state_topic"], line["state_class"]) == ("site/door/totals", "total_increasing")
    tally = Tally(datetime(2026, 1, 1, tzinfo=UTC), {}, {}, {"step": {"in": {"person": 4}, "out": {}}})
    assert render(line["value_template"], totals_message("door", tally).json_bytes()) == "4"
    assert render(named["step out dog"]["value_template"], totals_message("door", tally).json_bytes()) == "0"


@pytest.mark.parametrize("name", HOSTILE)
def test_no_place_breaks_out_of_its_template(name: str) -> None:
    places = Places((Zone(name, GATE.points),), (Line(f"line {name}", STEP.points, directions=(name, "out")),))
    found = place_components("site", "door", ["dog"], places)
    sensors = {one["name"]: one["value_template"] for one in found.values()}
    counts = counts_message("door", {}, {name: {"dog": 3}}).json_bytes()
    assert render(sensors[f"{name} dog count"], counts) == "3"
    tally = Tally(datetime(2026, 1, 1, tzinfo=UTC), {}, {}, {f"line {name}": {name: {"dog": 5}}})
    assert render(sensors[f"line {name} {name} dog"], totals_message("door", tally).json_bytes()) == "5"
    assert all(re.fullmatch(r"(binary_)?sensor_[a-z0-9_]+", component) for component in found)


def test_what_places_had_is_forgotten() -> None:
    places = Places((GATE,), (STEP,))
    gone = place_components("site", "door", ["dog"], places)
    message = discovery("site", "door", ["dog"], places=Places((GATE,)), removed_places=gone)
    kept = place_components("site", "door", ["dog"], Places((GATE,)))
    for component, before in gone.items():
        expected = kept[component] if component in kept else {"platform": before["platform"]}
        assert message["components"][component] == expected
