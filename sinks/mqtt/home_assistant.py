"""MQTT discovery for Home Assistant: a stream becomes a device with entities for prompts, places, and its image.

Device-based discovery, as of Home Assistant 2024.12: one retained message a device lists all its components, see
https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from typing import Any

from maskcast.places import NOWHERE, Line, Places, Zone
from sinks.messages import topics

DEFAULT_DISCOVERY_PREFIX = "homeassistant"  # Home Assistant's own default


def discovery_topic(prefix: str, stream: str, discovery_prefix: str = DEFAULT_DISCOVERY_PREFIX) -> str:
    """Where the discovery message of a stream belongs, retained; an empty retained message there removes the device.

    Args:
        prefix: of the stream's own topics, ``<prefix>/<stream>/…``.
        stream: id of the stream.
        discovery_prefix: as set in Home Assistant.
    """
    return f"{discovery_prefix}/device/{_device(prefix, stream)}/config"


def discovery(
    prefix: str,
    stream: str,
    prompts: Sequence[str],
    removed: Iterable[str] = (),
    places: Places = NOWHERE,
    removed_places: Iterable[str] = (),
) -> dict[str, Any]:
    """The discovery message of a stream, to be published as JSON.

    Args:
        prefix: of the stream's own topics, ``<prefix>/<stream>/…``.
        stream: id of the stream.
        prompts: the prompts in force. They may come from anyone who reaches the broker, and end up in templates that
            Home Assistant evaluates, so they are quoted beyond what any of its parsers could take for syntax.
        removed: prompts of earlier messages that are not in force. Home Assistant forgets a component when it
            is listed with nothing but its platform, and passes over one that it does not know.
        places: zones and lines of the stream.
        removed_places: names of components of earlier messages, see `place_components`.
    """
    device = _device(prefix, stream)
    version = metadata.version("maskcast")
    components: dict[str, dict[str, Any]] = {
        "image": {
            "platform": "image",
            "unique_id": f"{device}_image",
            "name": "image",
            "image_topic": topics.IMAGE.at(prefix, stream),
            "content_type": "image/jpeg",
        }
    }
    for prompt in prompts:
        sensors = _sensors(device, topics.COUNTS.at(prefix, stream), prompt)
        components |= {_component(sensor["platform"], prompt): sensor for sensor in sensors}
    components |= place_components(prefix, stream, prompts, places)
    for component in removed_places:
        platform = "binary_sensor" if component.startswith("binary_sensor_") else "sensor"
        components.setdefault(component, {"platform": platform})
    for prompt in removed:
        for platform in ("sensor", "binary_sensor"):
            components.setdefault(_component(platform, prompt), {"platform": platform})
    return {
        "device": {"identifiers": [device], "name": stream, "manufacturer": "Maskcast", "sw_version": version},
        "origin": {"name": "Maskcast", "sw_version": version},
        "availability": [{"topic": topics.STATUS.at(prefix, stream), "value_template": "{{ value_json['status'] }}"}],
        "qos": topics.COUNTS.delivery.qos,
        "components": components,
    }


def place_components(prefix: str, stream: str, prompts: Sequence[str], places: Places) -> dict[str, dict[str, Any]]:
    """What Home Assistant has for zones and lines, by the name of the component.

    For each zone how many objects of each prompt are in it and whether it is occupied; for each line, direction and
    prompt how many have crossed.
    """
    device = _device(prefix, stream)
    found: list[tuple[tuple[str, ...], dict[str, Any]]] = []
    for zone in places.zones:
        found += _zone_sensors(topics.COUNTS.at(prefix, stream), zone, _of(zone, prompts))
    for line in places.lines:
        found += _line_sensors(topics.TOTALS.at(prefix, stream), line, _of(line, prompts))
    components = {}
    for exact, sensor in found:
        name = f"{sensor['platform']}_{_identifier(sensor['name'], *exact)}"
        components[name] = {"unique_id": f"{device}_{name}", **sensor}
    return components


def _of(place: Zone | Line, prompts: Sequence[str]) -> list[str]:
    """The prompts in force that a place is for."""
    return [prompt for prompt in prompts if not place.prompts or prompt in place.prompts]


def _zone_sensors(topic: str, zone: Zone, prompts: Sequence[str]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    inside = f"value_json.get('zones', {{}}).get({jinja_literal(zone.name)}, {{}})"
    for prompt in prompts:
        yield (
            ("zone", zone.name, prompt),
            {
                "platform": "sensor",
                "name": f"{zone.name} {prompt} count",
                "state_topic": topic,
                "value_template": f"{{{{ {inside}.get({jinja_literal(prompt)}, 0) }}}}",
                "state_class": "measurement",
            },
        )
    yield (
        ("zone", zone.name),
        {
            "platform": "binary_sensor",
            "name": f"{zone.name} occupancy",
            "device_class": "occupancy",
            "state_topic": topic,
            "value_template": f"{{{{ 'ON' if {inside}.values() | sum > 0 else 'OFF' }}}}",
        },
    )


def _line_sensors(topic: str, line: Line, prompts: Sequence[str]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for direction in line.directions:
        crossed = f"value_json['lines'].get({jinja_literal(line.name)}, {{}}).get({jinja_literal(direction)}, {{}})"
        for prompt in prompts:
            yield (
                ("line", line.name, direction, prompt),
                {
                    "platform": "sensor",
                    "name": f"{line.name} {direction} {prompt}",
                    "state_topic": topic,
                    "value_template": f"{{{{ {crossed}.get({jinja_literal(prompt)}, 0) }}}}",
                    "state_class": "total_increasing",
                },
            )


def _sensors(device: str, topic: str, prompt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    # `get`, because Jinja looks up a missing key as an attribute: a prompt like "items" would find the method.
    count = f"value_json['counts'].get({jinja_literal(prompt)}, 0)"
    name = " ".join(prompt.split())
    return (
        {
            "platform": "sensor",
            "unique_id": f"{device}_{_component('sensor', prompt)}",
            "name": f"{name} count",
            "state_topic": topic,
            "value_template": f"{{{{ {count} }}}}",
            "state_class": "measurement",
        },
        {
            "platform": "binary_sensor",
            "unique_id": f"{device}_{_component('binary_sensor', prompt)}",
            "name": name,
            "device_class": "occupancy",
            "state_topic": topic,
            "value_template": f"{{{{ 'ON' if {count} > 0 else 'OFF' }}}}",
        },
    )


def jinja_literal(text: str) -> str:
    """A string literal of Jinja that stands for `text`: all but ASCII letters and digits are written as escapes."""
    return "'" + "".join(_escape(character) for character in text) + "'"


def _escape(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _device(prefix: str, stream: str) -> str:
    return f"maskcast_{_identifier(stream, prefix, stream)}"


def _component(platform: str, prompt: str) -> str:
    return f"{platform}_{_identifier(prompt, prompt)}"


def _identifier(readable: str, *exact: str) -> str:
    """An id of ``[a-z0-9_]``, which Home Assistant takes: something to read, and a hash that tells names apart."""
    words = re.sub(r"[^a-z0-9]+", "_", readable[:32].lower()).strip("_")
    digest = hashlib.sha256(json.dumps(exact).encode()).hexdigest()[:12]  # 48 bits: no clash among a million names
    return f"{words}_{digest}" if words else digest
