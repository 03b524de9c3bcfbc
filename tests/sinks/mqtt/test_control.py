from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maskcast.errors import UsageError
from maskcast.notices import Notice, RequestsAnswered
from maskcast.prompts import Prompt
from sinks.messages.control import AnyControlMessage, reply_message
from sinks.mqtt.control import BURST, MAX_REQUEST_BYTES, QUOTED_CHARACTERS, ControlDesk, ControlError, parse_control
from tests.publishing import answered
from tests.schemas import VALIDATORS

VALIDATOR = VALIDATORS["control"]
VALID = [
    b'{"action": "set", "prompts": ["person", "red car"]}',
    b'{"schema": "maskcast.control/1", "action": "add", "prompts": ["\xe8\xa1\x8c\xe4\xba\xba"], "id": "a-1"}',
    b' {"prompts": ["\\ud83d\\ude00 [{\\"}"], "action": "remove", "id": null}\n',
    b'{"action": "pause"}',
    b'{"action": "resume", "id": "x"}',
    b'{"action": "snapshot"}',
]


def judged(payload: bytes) -> AnyControlMessage | str:
    """The request, or why not; fails on any other outcome and on an error that is not fit to be published."""
    try:
        return parse_control(payload)
    except ControlError as error:
        text = str(error)
        assert text
        assert text.isascii()
        assert text.isprintable()
        assert len(text) < 300
        return text


@pytest.mark.parametrize("payload", VALID)
def test_requests_as_people_type_them_are_read(payload: bytes) -> None:
    request = parse_control(payload)
    given = json.loads(payload)
    assert request.action == given["action"]
    assert list(request.prompts) == given.get("prompts", [])
    assert request.id == given.get("id")
    VALIDATOR.validate(given)


SECOND = '{"schema": "maskcast.control/2", "action": '


def test_version_2_takes_conditions_and_resets_totals() -> None:
    reset = json.loads(f'{SECOND}"reset", "id": "r"}}')
    VALIDATORS["control2"].validate(reset)
    assert parse_control(json.dumps(reset).encode()).action == "reset"
    table = {
        "text": " red  car",
        "name": "taxi",
        "threshold": 0,
        "min_area": 0.01,
        "max_area": 1,
        "min_frames": 5,
        "group": "cars",
        "avoid": ["toy car"],
    }
    request = {"schema": "maskcast.control/2", "action": "add", "prompts": ["dog ", table]}
    VALIDATORS["control2"].validate(request)
    assert parse_control(json.dumps(request).encode()).wanted() == (
        Prompt("dog"),
        Prompt("red car", "taxi", 0.0, 0.01, 1.0, 5, "cars", ("toy car",)),
    )
    answer = json.loads(reply_message("door", parse_control(json.dumps(reset).encode()), None, ["dog"]).json_bytes())
    VALIDATORS["reply2"].validate(answer)
    assert (answer["schema"], answer["action"], answer["id"]) == ("maskcast.reply/2", "reset", "r")


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ('"dance"}', "action: must be 'set', 'add', 'remove', 'pause', 'resume', 'snapshot' or 'reset'"),
        ('"reset", "prompts": ["dog"]}', "reset takes no prompts"),
        ('"set"}', "set needs prompts"),
        ('"set", "prompts": [5]}', "prompts[0]: must be a string or an object"),
        ('"set", "prompts": [{}]}', "prompts[0].text: is missing"),
        ('"set", "prompts": [" "]}', "prompts[0]: is empty: say what to look for"),
        ('"set", "prompts": ["dog", {"text": "dog"}]}', "prompts: a prompt is given twice"),
        ('"set", "prompts": [{"text": "dog", "colour": 1}]}', "unknown field 'colour'"),
        ('"set", "prompts": [{"text": "dog", "min_area": 2}]}', "prompts[0].min_area: is too large"),
        ('"set", "prompts": [{"text": "dog", "min_frames": 1.5}]}', "prompts[0].min_frames: must be a whole number"),
        ('"set", "prompts": [{"text": "\u884c", "avoid": ["\u884c"]}]}', "prompts[0]: avoid names what is looked for"),
    ],
)
def test_what_is_wrong_with_version_2_is_said(rest: str, reason: str) -> None:
    found = judged((SECOND + rest).encode())
    assert isinstance(found, str)
    assert found.startswith(reason)


def test_prompts_are_cleaned_and_what_differs_in_blanks_alone_is_one() -> None:
    payload = {"action": "add", "prompts": ["  red \u00a0 car", "dog ", "red car", "dog"]}
    VALIDATOR.validate(payload)
    assert parse_control(json.dumps(payload).encode()).prompts == ("red car", "dog")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not JSON at character 0"),
        (b"{", "not JSON at character 1"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"\xef\xbb\xbf{}", "not JSON at character 0"),
        (b'{"action": "pause"} x', "not JSON at character 20"),
        (b"[]", "a request is a JSON object"),
        (b'"pause"', "a request is a JSON object"),
        (b"{}", "action: is missing"),
        (b'{"action": "stop"}', "action: must be 'set', 'add', 'remove', 'pause', 'resume' or 'snapshot'"),
        (b'{"action": ["set"]}', "action: must be 'set', 'add', 'remove', 'pause', 'resume' or 'snapshot'"),
        (b'{"action": "set"}', "set needs prompts"),
        (b'{"action": "set", "prompts": []}', "prompts: must not be empty"),
        (b'{"action": "set", "prompts": "dog"}', "prompts: must be an array of strings"),
        (b'{"action": "set", "prompts": null}', "prompts: must be an array of strings"),
        (b'{"action": "set", "prompts": ["dog", 1]}', "prompts[1]: must be a string"),
        (b'{"action": "set", "prompts": [""]}', "prompts[0]: must not be empty"),
        (b'{"action": "set", "prompts": ["  "]}', "prompts[0]: must not be blank"),
        (b'{"action": "set", "prompts": ["a\\nb"]}', "prompts[0]: holds the control character U+000A"),
        (b'{"action": "set", "prompts": ["a\\n"]}', "prompts[0]: holds the control character U+000A"),
        (b'{"action": "set", "prompts": ["dog", "dog"]}', "prompts: a prompt is given twice"),
        (b'{"action": "pause", "prompts": ["dog"]}', "pause takes no prompts"),
        (b'{"action": "pause", "id": 5}', "id: must be a string"),
        (b'{"action": "pause", "id": ""}', "id: must not be empty"),
        (b'{"action": "pause", "schema": "maskcast.control/4"}', "schema: must be 'maskcast.control/1'"),
        (b'{"action": "pause", "schema": null}', "schema: must be 'maskcast.control/1'"),
        (b'{"action": "pause", "schema_": "maskcast.control/1"}', "unknown field 'schema_'"),
        (b'{"action": "pause", "colour": "red"}', "unknown field 'colour'"),
        (b'{"action": "pause", "\\u0000\\u202e\\n": 1}', "unknown field '\\x00\\u202e\\n'"),
        (b'{"action": "pause", "action": "set"}', "field 'action' is given twice"),
        (b'{"action": NaN}', "NaN is not JSON"),
        (b'{"action": -Infinity}', "-Infinity is not JSON"),
        (b'{"action": "pause", "id": "\\ud800"}', "half of a surrogate pair is no character"),
        (b'{"action": "pause", "\\udfff": 1}', "half of a surrogate pair is no character"),
    ],
)
def test_what_is_wrong_is_said(payload: bytes, reason: str) -> None:
    assert judged(payload) == reason


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * MAX_REQUEST_BYTES,
        b'{"a":' * 1600,
        b'{"action": ' + b"9" * 8000 + b"}",
        b'{"action": "pause", "id": 1e999999999}',
        b'{"action": "' + b"\\" * 8000,
        b'{"' + b"x" * 8000 + b'": 1, "action": "pause"}',
        b'{"action": "set", "prompts": [' + b",".join(b'"%d"' % number for number in range(33)) + b"]}",
        json.dumps({"action": "add", "prompts": ["x" * 201]}).encode(),
        json.dumps({"action": "pause", "id": "x" * 65}).encode(),
        b" " * (MAX_REQUEST_BYTES + 1),
        b'{"action": "pause"}' + b" " * 10_000_000,
    ],
    ids=lambda payload: f"{payload[:12]!r} of {len(payload)}",
)
def test_the_oversized_is_refused_quickly(payload: bytes) -> None:
    began = time.process_time()
    assert isinstance(judged(payload), str)
    assert time.process_time() - began < 0.25


def test_the_largest_sensible_request_fits() -> None:
    prompts = [f"{number:02}".ljust(200, "x") for number in range(32)]
    assert parse_control(json.dumps({"action": "set", "prompts": prompts, "id": "i" * 64}).encode()).id == "i" * 64


def test_an_error_repeats_little_of_the_request() -> None:
    text = judged(json.dumps({"action": "pause", "secret" * 100: 1}).encode())
    assert isinstance(text, str)
    assert text.count("secret") <= QUOTED_CHARACTERS // len("secret")


# Fuzzing

KEYS = st.sampled_from(["action", "prompts", "id", "schema", "schema_"]) | st.text(max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["set", "add", "remove", "pause", "resume", "snapshot", "maskcast.control/1"])
)
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)
LIKELY = st.fixed_dictionaries(
    {"action": st.sampled_from(["set", "add", "remove", "pause", "resume", "snapshot"]) | SCALARS},
    optional={
        "prompts": st.lists(st.text(max_size=5) | SCALARS, max_size=4) | ANY_JSON,
        "id": st.text(max_size=70) | SCALARS,
        "schema": st.just("maskcast.control/1") | SCALARS,
        "other": SCALARS,
    },
)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    judged(payload)


@settings(deadline=None)
@given(st.text(alphabet='[]{}",:\\ud8019nNaINtrufls-+.eE \n', max_size=60))
def test_anything_like_json_is_read_or_refused(text: str) -> None:
    judged(text.encode())


@settings(deadline=None)
@given(ANY_JSON | LIKELY)
@example({"action": "set", "prompts": ["a\n"]})
@example({"action": "pause", "id": "\u2028"})
def test_the_published_schema_says_what_is_read(value: Any) -> None:
    valid = VALIDATOR.is_valid(value)
    assert isinstance(judged(json.dumps(value).encode()), AnyControlMessage) == valid


@settings(deadline=None)
@given(st.sampled_from(VALID), st.data())
def test_mutated_requests_are_read_or_refused(payload: bytes, data: st.DataObject) -> None:
    changed = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1)) if changed else 0
        changed[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    judged(bytes(changed))


# The desk


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Stream:
    """What carries requests out, with a fault for some of them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.prompts: tuple[str, ...] = ("person",)
        self.handled: list[AnyControlMessage] = []
        self.error = error
        self.clock = Clock()
        self.answers: list[tuple[bool, int]] = []
        self.desk = ControlDesk("door", self, self.note, self.clock)

    def note(self, notice: Notice) -> None:
        assert isinstance(notice, RequestsAnswered)
        self.answers.append((notice.accepted, notice.count))

    async def obey(self, request: AnyControlMessage) -> None:
        self.handled.append(request)
        if self.error is not None:
            raise self.error
        if request.action == "add":
            self.prompts += request.prompts

    async def ask(self, payload: bytes) -> Any:
        return reply(await answered(self.desk, payload))


def reply(payload: bytes | None) -> Any:
    if payload is None:
        return None
    found = json.loads(payload)
    VALIDATORS["reply"].validate(found)
    return found


async def test_a_request_is_carried_out_and_answered() -> None:
    stream = Stream()
    found = await stream.ask(b'{"action": "add", "prompts": ["dog"], "id": "mine"}')
    assert (found["stream"], found["id"], found["action"], found["status"]) == ("door", "mine", "add", "accepted")
    assert (found["reason"], found["prompts"], found["count"]) == (None, ["person", "dog"], 1)
    assert stream.answers == [(True, 1)]


async def test_an_unreadable_request_is_answered_and_not_carried_out() -> None:
    stream = Stream()
    found = await stream.ask(b"\x80")
    assert (found["id"], found["action"], found["status"]) == (None, None, "rejected")
    assert (found["reason"], found["prompts"]) == ("not UTF-8 at byte 0", ["person"])
    assert stream.handled == []


async def test_a_refusal_keeps_id_and_action_and_loses_credentials() -> None:
    stream = Stream(UsageError("no room for\nmore, see rtsp://me:secret@camera/1"))
    found = await stream.ask(b'{"action": "add", "prompts": ["dog"], "id": "mine"}')
    assert (found["id"], found["action"], found["status"], found["prompts"]) == ("mine", "add", "rejected", ["person"])
    assert found["reason"] == "no room for more, see rtsp://camera"


async def test_a_bug_behind_the_desk_is_answered_too() -> None:
    stream = Stream(ZeroDivisionError("secret"))
    found = await stream.ask(b'{"action": "pause"}')
    assert (found["status"], found["reason"]) == ("rejected", "internal error, see the log")
    stream.error = None
    assert (await stream.ask(b'{"action": "pause"}'))["status"] == "accepted"


async def test_a_flood_is_summed_up_once_a_second_and_every_request_counted(caplog: pytest.LogCaptureFixture) -> None:
    stream = Stream()
    replies = []
    for number in range(30_000):  # 10,000 a second for three seconds
        stream.clock.now = 100 + number / 10_000
        replies.append(await stream.ask(b'{"action": "pause"}' if number % 2 else b"\xff"))
    answered = [one for one in replies if one is not None]
    summed = [one for one in answered if one["reason"] == "more than 10 requests a second"]
    read = len(answered) - len(summed)
    assert BURST <= read <= BURST + 30
    assert len(stream.handled) <= read
    assert 2 <= len(summed) <= 3
    said = "stream door: more than 10 requests a second on control; those above are not read"
    assert caplog.messages == [said] * len(summed)
    assert stream.desk.refusals() is None, "not due yet"
    stream.clock.now += 1
    rest = reply(stream.desk.refusals())
    assert (rest["id"], rest["action"], rest["status"], rest["prompts"]) == (None, None, "rejected", ["person"])
    assert read + sum(one["count"] for one in summed) + rest["count"] == 30_000
    assert sum(count for _, count in stream.answers) == 30_000
    assert sum(count for accepted, count in stream.answers if accepted) == len(stream.handled)
    stream.clock.now += 1
    assert stream.desk.refusals() is None
    assert (await stream.ask(b'{"action": "pause"}'))["status"] == "accepted"


async def test_a_flood_costs_next_to_no_time() -> None:
    stream = Stream()
    payload = b'{"action": "set", "prompts": [' + b'"x",' * 2000
    began = time.process_time()
    for _ in range(10_000):
        await answered(stream.desk, payload)
    assert time.process_time() - began < 0.5  # of the second in which they come


async def test_only_what_is_allowed_is_carried_out() -> None:
    stream = Stream()
    stream.desk = ControlDesk("door", stream, allowed=("pause", "resume"))
    assert (await stream.ask(b'{"action": "pause"}'))["status"] == "accepted"
    refused = await stream.ask(b'{"action": "set", "prompts": ["dog"], "id": "x"}')
    assert (refused["status"], refused["id"], refused["action"]) == ("rejected", "x", "set")
    assert refused["reason"] == "set is not allowed here, only pause, resume: see the setting control"
    assert [request.action for request in stream.handled] == ["pause"]
