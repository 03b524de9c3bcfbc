"""Sending to a broker that refuses some of it: each refusal is told once, and whatever else there is flows."""

from __future__ import annotations

import logging
from functools import lru_cache

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from sinks.messages import topics
from sinks.messages.topics import Delivery
from sinks.mqtt.broker import BrokerAddress
from sinks.mqtt.client import Client, RefusedError
from sinks.mqtt.limits import Limits
from sinks.mqtt.quarantine import Quarantine, SetAsideError

logger = logging.getLogger(__name__)


class Sender:
    """Sends and subscribes on one connection after the other, and knows what the broker does not take.

    Attributes:
        quarantine: of what breaks the connection.
        limits: of the newest connection.
        refused: what the broker does not take and the log has told, topics or one phrase each: from so many bytes on.
    """

    def __init__(self, address: BrokerAddress) -> None:
        """Nothing is known of the broker at `address` yet."""
        self.quarantine = Quarantine()
        self.limits = Limits()
        self._address = address
        self.refused: dict[str, int] = {}

    def room(self, topic: str) -> int | None:
        """Bytes of payload that a message on `topic` may have; None if any will do."""
        rooms = [self.quarantine.room(topic), self.limits.room(topic)]
        return min((room for room in rooms if room is not None), default=None)

    async def send(
        self, client: Client, topic: str, payload: bytes, delivery: Delivery, correlation: bytes | None = None
    ) -> None:
        """Publish once.

        Raises:
            RefusedError: the broker does not take it, as far as that is known.
            aiomqtt.MqttError: it may not have been delivered.
        """
        properties = None
        if client.protocol == "5":
            expiry = delivery.expiry_seconds
            properties = _same_properties(expiry) if correlation is None else _properties(expiry, correlation)
        # To unsubscribe from nothing: the broker answers all the same.
        prove = None if delivery.qos else lambda: client.unsubscribe(topic)
        try:
            async with self.quarantine.passage(client, topic, len(payload), prove):
                await client.publish(topic, payload, qos=delivery.qos, retain=delivery.retain, properties=properties)
        except RefusedError as error:
            self._refuse(topic, error, 0 if type(error) is RefusedError else len(payload))
            raise
        if len(payload) >= self.refused.get(topic, 0):
            self.refused.pop(topic, None)

    async def subscribe(self, client: Client, topic: str) -> None:
        """Subscribe, if the broker lets us.

        Raises:
            aiomqtt.MqttError: the connection was lost.
        """
        what = f"to let us read {topic}"
        try:
            async with self.quarantine.passage(client, what, 0):
                answers = await client.subscribe(topic, topics.READING.qos)
        except SetAsideError as error:
            self._refuse(what, error)
            return
        codes = [answer if isinstance(answer, int) else answer.value for answer in answers]
        if any(code >= 0x80 for code in codes):
            self._refuse(what, RefusedError("not authorized"))
        else:
            self.refused.pop(what, None)

    def _refuse(self, what: str, error: RefusedError, size: int = 0) -> None:
        """Say once, until it works again, that the broker does not take something of `size` bytes and more."""
        if what not in self.refused:
            logger.error("%s: the broker refuses %s (%s)", self._address, what, error)
        self.refused[what] = size


def _properties(expiry_seconds: int | None, correlation: bytes | None = None) -> Properties | None:
    """Those of MQTT 5 that a message is sent with."""
    if expiry_seconds is None and correlation is None:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if expiry_seconds is not None:
        properties.MessageExpiryInterval = expiry_seconds
    if correlation is not None:
        properties.CorrelationData = correlation
    return properties


# Of each frame: the library takes longer to make them than to send it.
_same_properties = lru_cache(maxsize=8)(_properties)
