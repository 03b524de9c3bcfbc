"""Replies to requests; how requests are read is in `tests/sinks/mqtt/test_control.py`."""

from __future__ import annotations

from sinks.messages.control import ControlMessage, reply_message
from tests.schemas import validate


def test_a_reply_repeats_the_request() -> None:
    request = ControlMessage(action="add", prompts=("dog",), id="mine")
    reply = validate("reply", reply_message("door", request, None, ["person", "dog"]))
    assert (reply["id"], reply["action"], reply["status"], reply["count"]) == ("mine", "add", "accepted", 1)


def test_a_reply_may_stand_for_several_requests() -> None:
    reply = validate("reply", reply_message("door", None, "not JSON", ["person"], 7))
    assert (reply["id"], reply["action"], reply["status"], reply["count"]) == (None, None, "rejected", 7)
