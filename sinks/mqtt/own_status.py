"""A status topic on which always stands what is true, whoever else publishes there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from pydantic import ValidationError

from maskcast.backoff import Backoff
from sinks.messages.status import ProcessMessage, StatusMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from sinks.mqtt.incoming import Incoming

logger = logging.getLogger(__name__)

# Between two corrections; doubles as long as somebody contradicts, so that two processes that share a prefix
# by mistake do not fight.
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
LONGEST_WILL_BYTES = 65_535  # MQTT 3.1.1, section 3.1.3.3
REMEMBERED_MESSAGES = 32  # messages of ours that come back to us


class OwnStatus:
    """Says whether a stream or the process is alive, and says it again when something else stands there.

    That may be the last will of an earlier connection of ours, which a broker publishes when it notices at last that
    the line is dead; a second process under the same prefix that ends; or a stranger.
    """

    def __init__(
        self, topic: str, will: Callable[[], StatusMessage | ProcessMessage], retain: Callable[[str, bytes], None]
    ) -> None:
        """Prepare.

        Args:
            topic: where the status is retained.
            will: makes the last will.
            retain: publishes a payload on a topic and keeps it there, see `Connection.retain`.
        """
        self.topic = topic
        self._make_will, self._retain = will, retain
        self._true: StatusMessage | ProcessMessage | None = None
        self._ours: deque[bytes] = deque(maxlen=REMEMBERED_MESSAGES)
        self._wills: deque[bytes] = deque(maxlen=REMEMBERED_MESSAGES)
        self._wrong = asyncio.Event()
        self._warned = self._leaving = False
        self._backoff = Backoff(PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, good=2 * LONGEST_PAUSE_SECONDS, jitter=False)
        self._corrected = time.monotonic()

    def will(self) -> bytes:
        """The last will, for a new connection."""
        message = self._make_will()
        if len(message.json_bytes()) > LONGEST_WILL_BYTES:  # that it is offline matters more than what it was
            message = message.model_copy(
                update={"prompts": []} if isinstance(message, StatusMessage) else {"streams": []}
            )
        self._wills.append(message.json_bytes())
        return self._wills[-1]

    def say(self, message: StatusMessage | ProcessMessage) -> None:
        """Let `message` be what stands there, from now on."""
        self._true = message
        self._say()

    def leave(self) -> None:
        """Stop to listen: whatever another process says there is right once this one has ended."""
        self._leaving = True

    def _say(self) -> None:
        if self._true is not None:
            payload = self._true.json_bytes()
            self._ours.append(payload)
            self._retain(self.topic, payload)

    def hear(self, message: Incoming) -> None:
        """Look at what is published on the topic; does not wait."""
        if self._true is None or self._leaving or message.payload in self._ours:
            return
        ours = message.payload in self._wills
        if not ours and not self._warned:
            self._warned = True
            logger.warning(
                "%s: somebody else publishes there: give each process of maskcast a prefix of its own", self.topic
            )
        # An old will is wrong also where both say offline: the reason is another. Strangers are not quarrelled with.
        if ours or self._status(message.payload) != self._true.status:
            self._wrong.set()

    def _status(self, payload: bytes) -> str | None:
        """What a message says; None if it is not one of ours."""
        try:
            return type(self._true).model_validate_json(payload).status if self._true else None
        except ValidationError:
            return None

    async def correct(self) -> None:
        """Say again what is true whenever that is needed, until cancelled."""
        while True:
            await self._wrong.wait()
            self._wrong.clear()
            self._backoff.lasted(time.monotonic() - self._corrected)
            logger.info("%s: something else stood there; what is true is said again", self.topic)
            self._say()
            self._corrected = time.monotonic()
            await asyncio.sleep(self._backoff.wait())
