"""All topics, each with how messages travel on it: what is published, subscribed to, removed and documented.

The tables of ``docs/mqtt.md`` and ``docs/asyncapi.yaml`` are generated from this one by ``python -m docs.generate``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from sinks.messages.control import (
    ControlMessage,
    ControlMessage2,
    ControlMessage3,
    ReplyMessage,
    ReplyMessage2,
    ReplyMessage3,
)
from sinks.messages.counts import CountsMessage, PlaceCountsMessage
from sinks.messages.event import EventMessage, PlaceEventMessage, ShedMessage
from sinks.messages.frame import FileFrameMessage, FrameMessage, PlacesFrameMessage
from sinks.messages.message import Message
from sinks.messages.status import ProcessMessage, StatusMessage
from sinks.messages.totals import TotalsMessage


class Delivery(NamedTuple):
    """How a message travels.

    Attributes:
        qos: MQTT quality of service with which Maskcast publishes or subscribes.
        retain: whether the broker keeps the last message for those who subscribe later.
        expiry_seconds: after which the broker need not deliver a message (MQTT 5); None for no such time.
    """

    qos: Literal[0, 1]
    retain: bool = False
    expiry_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """What travels on one topic.

    Attributes:
        address: the topic, with parameters in braces; see `at`.
        delivery: how messages travel on it.
        messages: that travel on it; none for a picture in JPEG.
        action: seen from Maskcast, as in AsyncAPI.
        summary: what it is for, in one line.
    """

    address: str
    delivery: Delivery
    messages: tuple[type[Message], ...]
    action: Literal["send", "receive"]
    summary: str

    def at(self, prefix: str, stream: str = "") -> str:
        """The topic of one stream, or of the process, under a prefix of one or more levels."""
        return self.address.format(prefix=prefix, stream=stream)


# Of all that Maskcast subscribes to: requests, and what stands where its own status should.
READING = Delivery(qos=1)

TRACKS = Topic(
    "{prefix}/{stream}/tracks",
    Delivery(qos=0, expiry_seconds=10),
    (FrameMessage, FileFrameMessage, PlacesFrameMessage),
    "send",
    "all visible objects with their masks, once a frame; of a source that ends, with QoS 1 and no expiry",
)
EVENTS = Topic(
    "{prefix}/{stream}/events",
    Delivery(qos=1),
    (EventMessage, PlaceEventMessage, ShedMessage),
    "send",
    "an object appeared, was lost, came back or is gone for good; it did something at a zone or a line; or events had "
    "to be dropped",
)
STATUS = Topic(
    "{prefix}/{stream}/status",
    Delivery(qos=1, retain=True),
    (StatusMessage,),
    "send",
    "whether the stream is being processed, why not, and which prompts are in force",
)
COUNTS = Topic(
    "{prefix}/{stream}/counts",
    Delivery(qos=1, retain=True),
    (CountsMessage, PlaceCountsMessage),
    "send",
    "how many objects of each prompt are visible, and in which zones",
)
TOTALS = Topic(
    "{prefix}/{stream}/totals",
    Delivery(qos=1, retain=True),
    (TotalsMessage,),
    "send",
    "how many objects of each prompt crossed each line and entered each zone; of streams that have some",
)
IMAGE = Topic(
    "{prefix}/{stream}/image",
    Delivery(qos=0, retain=True),
    (),
    "send",
    "a picture (JPEG), on request and now and then",
)
CONTROL = Topic(
    "{prefix}/{stream}/control",
    READING,
    (ControlMessage, ControlMessage2, ControlMessage3),
    "receive",
    "requests: change prompts or places, pause, resume, snapshot, reset",
)
REPLY = Topic(
    "{prefix}/{stream}/control/reply",
    Delivery(qos=1),
    (ReplyMessage, ReplyMessage2, ReplyMessage3),
    "send",
    "answers to requests",
)
PROCESS = Topic(
    "{prefix}/status",
    Delivery(qos=1, retain=True),
    (ProcessMessage,),
    "send",
    "whether the process runs, and its streams",
)

OF_A_STREAM = {
    "tracks": TRACKS,
    "events": EVENTS,
    "status": STATUS,
    "counts": COUNTS,
    "totals": TOTALS,
    "image": IMAGE,
    "control": CONTROL,
    "reply": REPLY,
}
TOPICS = {**OF_A_STREAM, "process": PROCESS}

# Of `TRACKS`, for a source that ends: there every frame counts.
EVERY_FRAME = Delivery(qos=1)
# Of the description of a stream for Home Assistant, see `sinks.mqtt.home_assistant`.
DISCOVERY = Delivery(qos=1, retain=True)
# Of the empty message that removes what is retained: acknowledged, so that it is known to be gone.
REMOVAL = Delivery(qos=1, retain=True)


def retained_topics(prefix: str, stream: str) -> list[str]:
    """All topics on which the broker keeps something of a stream."""
    return [topic.at(prefix, stream) for topic in OF_A_STREAM.values() if topic.delivery.retain]
