"""Whether a stream is processed, and whether the process runs."""

from __future__ import annotations

from importlib import metadata

from sinks.messages.status import process_message, status_message
from tests.schemas import validate


def test_a_stream_is_online_or_says_why_not() -> None:
    online = validate("status", status_message("door", "online", prompts=["dog"], paused=True))
    assert (online["stream"], online["reason"], online["prompts"], online["paused"]) == ("door", None, ["dog"], True)
    offline = validate("status", status_message("door", "offline", "camera lost"))
    assert (offline["reason"], offline["prompts"], offline["paused"]) == ("camera lost", [], False)


def test_a_process_says_its_streams_and_its_version() -> None:
    process = validate("process", process_message("offline", "stopped", ["door", "yard"]))
    assert (process["streams"], process["version"]) == (["door", "yard"], metadata.version("maskcast"))
