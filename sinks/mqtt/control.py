"""What arrives on ``<prefix>/<stream>/control``: read with suspicion, answered always, at a bounded rate."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NoReturn, Protocol

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from maskcast.errors import MaskcastError
from maskcast.notices import Notify, RequestsAnswered, ignore
from sinks.messages.control import (
    ACTIONS,
    Action,
    AnyControlMessage,
    ControlMessage,
    ControlMessage2,
    ControlMessage3,
    reply_message,
)

logger = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 32 << 10  # 32 zones and 32 lines fit, of 25 points each to four decimals
MAX_DEPTH = 5  # brackets within brackets: the points of a zone are at the fifth
LONGEST_INTEGER = 18  # digits
QUOTED_CHARACTERS = 40  # characters of a request that an error message may repeat
RATE_PER_SECOND, BURST = 10.0, 20.0  # requests in the long run, and at once
MOST_WAITING_REQUESTS = 64  # requests, of each kind on a topic, that wait for the one at work
FLOOD_SECONDS = 1.0  # between two replies to the requests above that

# What pydantic finds, in the words of someone who writes JSON by hand.
_FAULTS = {
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "tuple_type": "must be an array",
    "string_type": "must be a string",
    "string_pattern_mismatch": "must not be blank",
    "string_too_short": "must not be empty",
    "string_too_long": "is too long",
    "too_short": "must not be empty",
    "too_long": "has too many items",
    "missing": "is missing",
    "prompt_type": "must be a string or an object",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "finite_number": "must be a finite number",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
    "less_than": "is too large",
}


_VERSIONS: dict[str, type[AnyControlMessage]] = {
    "maskcast.control/2": ControlMessage2,
    "maskcast.control/3": ControlMessage3,
}
_STRINGS, _BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL), re.compile(r"[\[\]{}]")


class ControlError(MaskcastError):
    """A request cannot be accepted. The message is one line of ASCII that is safe to publish."""


def parse_control(payload: bytes) -> AnyControlMessage:
    """Read a request.

    Raises:
        ControlError: it is no request as ``docs/schema/control.json``, ``control2.json`` or ``control3.json`` describes
            it. Nothing else is ever raised.
    """
    if len(payload) > MAX_REQUEST_BYTES:
        raise ControlError(f"a request has at most {MAX_REQUEST_BYTES} bytes, this one is longer")
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise ControlError(f"not UTF-8 at byte {error.start}") from None
    if _too_deep(text):
        raise ControlError(f"brackets are nested more than {MAX_DEPTH} deep")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise ControlError(f"not JSON at character {error.pos}") from None
    if not isinstance(value, dict):
        raise ControlError("a request is a JSON object")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ControlError("half of a surrogate pair is no character") from None
    try:
        return _VERSIONS.get(str(value.get("schema")), ControlMessage).model_validate(value)
    except ValidationError as error:
        raise ControlError(_fault(error.errors(include_url=False)[0])) from None


def _too_deep(text: str) -> bool:
    """Whether brackets are nested too deep outside of strings; whether they match is for the parser to find."""
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ControlError(f"field {_quote(key)} is given twice")
        found[key] = value
    return found


def _integer(text: str) -> int | float:
    # A float will do for one of thousands of digits, which `int` would choke on: none may be so large.
    return int(text) if len(text) <= LONGEST_INTEGER else float(text)


def _constant(name: str) -> NoReturn:
    raise ControlError(f"{name} is not JSON")


def _quote(text: str) -> str:
    return ascii(text[:QUOTED_CHARACTERS]) + ("..." if len(text) > QUOTED_CHARACTERS else "")


def _bare(part: str) -> str:
    """A field, or the name of a zone or a line, which the request has chosen."""
    return part if re.fullmatch("[A-Za-z0-9_-]{1,40}", part) else _quote(part)


def _fault(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown field {_quote(str(error['loc'][-1]))}"
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        text = str(context["error"]).encode("ascii", "backslashreplace").decode()
    elif error["type"] == "literal_error":
        text = f"must be {context['expected']}"
    else:
        text = _FAULTS.get(error["type"], "cannot be used here")
    if error["type"] == "tuple_type" and error["loc"] == ("prompts",):
        text += " of strings"
    parts = [part for part in error["loc"] if part != "[key]"]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{_bare(part)}" for part in parts).lstrip(".")
    return f"{place}: {text}" if place else text


class Controlled(Protocol):
    """What requests are made of."""

    @property
    def prompts(self) -> Sequence[str]:
        """Those in force."""

    async def obey(self, request: AnyControlMessage) -> None:
        """Carry a request out.

        Raises:
            MaskcastError: it cannot be done; nothing has changed.
        """


class ControlDesk:
    """Receives the requests for one stream, has them carried out, and writes the replies.

    `BURST` requests at once, and then `RATE_PER_SECOND`, are read; those above are rejected unread, and summed up in
    one reply a second at most, so that a flood costs neither time nor traffic.
    """

    def __init__(
        self,
        stream: str,
        controlled: Controlled,
        notify: Notify = ignore,
        clock: Callable[[], float] = time.monotonic,
        allowed: Collection[Action] = ACTIONS,
    ) -> None:
        """Serve `stream`.

        Args:
            stream: id of the stream.
            controlled: carries the requests out.
            notify: is told of each reply, `RequestsAnswered`.
            clock: seconds that never go back.
            allowed: the actions that are carried out.
        """
        self._stream = stream
        self._allowed = allowed
        self._controlled = controlled
        self._notify = notify
        self._clock = clock
        self._tokens = BURST
        self._filled_at = clock()
        self._waiting = 0  # for an `answer`
        self._refused = 0  # requests that no reply has counted yet
        self._summed_at = float("-inf")

    def admit(self, payload: bytes) -> AnyControlMessage | bytes | None:
        """The request in a message, to be carried out; or the reply to one that is not.

        Returns:
            None for one above the rate that a later reply counts.
        """
        if not self._within_rate():
            self.refuse()
            return self.refusals()
        return self._read(payload)

    async def answer(self, payload: bytes) -> bytes | None:
        """The reply to a request of somebody who waits for it.

        Returns:
            None for one above the rate, or where `MOST_WAITING_REQUESTS` wait already: it is not read.
        """
        if self._waiting >= MOST_WAITING_REQUESTS or not self._within_rate():
            self._notify(RequestsAnswered(accepted=False))
            return None
        admitted = self._read(payload)
        if isinstance(admitted, bytes):
            return admitted
        self._waiting += 1
        try:
            return await self.carry_out(admitted)
        finally:
            self._waiting -= 1

    def _within_rate(self) -> bool:
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled_at) * RATE_PER_SECOND)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _read(self, payload: bytes) -> AnyControlMessage | bytes:
        try:
            request = parse_control(payload)
        except ControlError as error:
            return self.reject(str(error))
        except BaseException:  # a panic of the parser too: whatever a request provokes must not end the stream
            logger.exception("%s: a control request failed", self._stream)
            return self.reject("internal error, see the log")
        if request.action not in self._allowed:
            reason = f"{request.action} is not allowed here, only {', '.join(self._allowed)}: see the setting control"
            return self.reject(reason, request=request)
        return request

    def refuse(self) -> None:
        """Reject a request unread; a later reply counts it, see `refusals`."""
        self._refused += 1

    async def carry_out(self, request: AnyControlMessage) -> bytes:
        """The reply to a request that was admitted, once it has been carried out or refused."""
        try:
            await self._controlled.obey(request)
        except asyncio.CancelledError:
            raise
        except MaskcastError as error:
            return self.reject(str(error), request=request)
        except BaseException:  # as above
            logger.exception("%s: a control request failed", self._stream)
            return self.reject("internal error, see the log", request=request)
        self._notify(RequestsAnswered(accepted=True))
        return reply_message(self._stream, request, None, self._controlled.prompts).json_bytes()

    def refusals(self) -> bytes | None:
        """The reply that sums up the requests that were rejected unread since the last such reply, if it is due.

        To be called about once a second too, since the last requests of a flood are followed by no other.
        """
        now = self._clock()
        if not self._refused or now - self._summed_at < FLOOD_SECONDS:
            return None
        count, self._refused, self._summed_at = self._refused, 0, now
        reason = f"more than {RATE_PER_SECOND:g} requests a second"
        logger.warning("stream %s: %s on control; those above are not read", self._stream, reason)
        return self.reject(reason, count)

    def reject(self, reason: str, count: int = 1, request: AnyControlMessage | None = None) -> bytes:
        """The reply to `count` requests that are not carried out; `request` if it is one that could be read."""
        self._notify(RequestsAnswered(accepted=False, count=count))
        return reply_message(self._stream, request, reason, self._controlled.prompts, count).json_bytes()
