"""A message that a subscription brought."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that was received.

    Attributes:
        topic: where it was published.
        payload: its bytes; a little more than `sinks.mqtt.client.LARGEST_INCOMING_BYTES` at most, the rest is cut off.
        retained: whether the broker had kept it.
        correlation: MQTT 5 correlation data, to be given back in a reply.
    """

    topic: str
    payload: bytes
    retained: bool
    correlation: bytes | None
