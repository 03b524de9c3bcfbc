"""What this process has left retained at brokers: known over restarts, so that it can be taken back."""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from maskcast.errors import reason_of
from maskcast.files import set_aside, tighten, write_whole
from maskcast.printable import check_printable
from maskcast.threads import in_daemon_thread
from sinks.messages import topics
from sinks.mqtt.broker import BrokerAddress
from sinks.mqtt.home_assistant import discovery_topic
from streaming.pipeline.stopping import unless
from streaming.settings.values import StreamId

logger = logging.getLogger(__name__)

# Prompts that are not looked for any more and of which Home Assistant is reminded, the newest of a stream.
MOST_GONE_PROMPTS = 64
# Likewise of what Home Assistant had for zones and lines; as many as 32 of each have for two prompts, and more.
MOST_GONE_PLACES = 256
# Streams at all brokers and prefixes, the newest: several times what a settings file may name.
MOST_STREAMS = 1_024
# A stream with all prompts that it may have takes some 50 KB.
LARGEST_FILE_BYTES = 64 << 20
# Seconds that the end of the process waits for a slow disk, and between attempts to write to one that refuses.
CLOSE_SECONDS, RETRY_SECONDS = 5.0, 5.0


def _topic(value: str) -> str:
    if any(character in "+#" for character in value):
        raise ValueError("a topic cannot contain + and #")
    return check_printable(value)


TopicText = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_topic)]


class RetainedStream(BaseModel):
    """What one stream has left at a broker under a prefix. It names no topics: they are made from this.

    Attributes:
        broker: its host and port.
        prefix: of the stream's topics.
        stream: its id.
        discovery: topics under which Home Assistant listens and was told of the stream.
        prompts: that it was told of.
        places: names of components for zones and lines that it was told of.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    broker: str
    prefix: TopicText
    stream: StreamId
    discovery: Annotated[list[TopicText], Field(max_length=16)] = []
    prompts: Annotated[list[Annotated[str, Field(max_length=4096)]], Field(max_length=1_000)] = []
    places: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=10_000)] = []

    def topics(self) -> list[str]:
        """All topics of the stream that the broker may retain."""
        return [*topics.retained_topics(self.prefix, self.stream), *self.discovery_topics(())]

    def discovery_topics(self, but: Collection[str]) -> list[str]:
        """Those where Home Assistant was told of the stream, but not under the prefixes `but`."""
        return [discovery_topic(self.prefix, self.stream, one) for one in self.discovery if one not in but]

    def status_topic(self) -> str:
        """Where the stream has its status."""
        return topics.STATUS.at(self.prefix, self.stream)

    def process_topic(self) -> str:
        """Where the process that served the stream has its status."""
        return topics.PROCESS.at(self.prefix)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    left: Annotated[list[RetainedStream], Field(max_length=MOST_STREAMS)]


class Retained:
    """What was left, of the present broker and prefix and of others.

    A file holds it, as JSON in UTF-8. It is written in the background, whole or not at all; a disk that refuses is
    tried again, and one that hangs costs only the memory of what was left. A file that is damaged is set aside.
    """

    def __init__(self, file: Path, address: BrokerAddress | None, discovery: str | None = None) -> None:
        """Read `file` if it is there.

        Args:
            file: what earlier processes have noted, too.
            address: of the present broker, if there is one.
            discovery: topic under which Home Assistant listens, if it is to be told of the streams.
        """
        self._file, self._discovery = file, discovery
        self._broker = f"{address.host}:{address.port}" if address else ""
        self._prefix = address.prefix if address else ""
        self._streams = {(one.broker, one.prefix, one.stream): one for one in _read(file)}
        self._closing = asyncio.Event()
        self._changed = False
        self._writing: asyncio.Task[None] | None = None

    def streams(self) -> set[str]:
        """Those that have left something under the present prefix."""
        return {one.stream for one in self._streams.values() if self._is_here(one)}

    def elsewhere(self) -> list[RetainedStream]:
        """What was left at the present broker under other prefixes."""
        return [one for one in self._streams.values() if one.broker == self._broker and not self._is_here(one)]

    def topics(self, stream: str) -> list[str]:
        """All topics of a stream under the present prefix."""
        return self._here(stream).topics()

    def stale(self, stream: str) -> list[str]:
        """Where Home Assistant was told of a stream under the present prefix and is not to be any more."""
        return self._here(stream).discovery_topics([self._discovery] if self._discovery else ())

    def note(self, stream: str) -> None:
        """Note that a stream is about to leave something under the present prefix."""
        one = self._here(stream)
        if self._discovery and self._discovery not in one.discovery:
            one = one.model_copy(update={"discovery": [*one.discovery[-15:], self._discovery]})
        self._put(one)

    def replace(self, stream: str, prompts: Sequence[str], places: Collection[str]) -> tuple[list[str], list[str]]:
        """Note that Home Assistant is told of these prompts and components for places of a stream from now on.

        Returns:
            Those of before that are not among them, at most the `MOST_GONE_PROMPTS` and `MOST_GONE_PLACES` newest. They
            are remembered: the newest message is the only one that is sure to arrive, so each must name all that is to
            be forgotten.
        """
        one = self._here(stream)
        gone = [prompt for prompt in one.prompts if prompt not in prompts][-MOST_GONE_PROMPTS:]
        gone_places = [component for component in one.places if component not in places][-MOST_GONE_PLACES:]
        self._put(one.model_copy(update={"prompts": [*gone, *prompts], "places": [*gone_places, *places]}))
        return gone, gone_places

    def forget_stale(self, stream: str) -> None:
        """Note that what `stale` tells of has been taken back."""
        if stream in self.streams():
            kept = [self._discovery] if self._discovery else []
            self._put(self._here(stream).model_copy(update={"discovery": kept}))

    def forget(self, stream: str) -> None:
        """Note that all that a stream has left under the present prefix has been taken back."""
        self.forget_one(self._here(stream))

    def forget_one(self, one: RetainedStream) -> None:
        """Note that what a stream has left in one place has been taken back."""
        if self._streams.pop((one.broker, one.prefix, one.stream), None) is not None:
            self._save()

    async def close(self) -> None:
        """Wait for what is being written."""
        self._closing.set()
        if self._writing:
            await asyncio.wait([self._writing], timeout=CLOSE_SECONDS)

    def _is_here(self, one: RetainedStream) -> bool:
        return (one.broker, one.prefix) == (self._broker, self._prefix)

    def _here(self, stream: str) -> RetainedStream:
        known = self._streams.get((self._broker, self._prefix, stream))
        return known or RetainedStream.model_construct(
            broker=self._broker, prefix=self._prefix, stream=stream, discovery=[], prompts=[], places=[]
        )

    def _put(self, one: RetainedStream) -> None:
        key = (one.broker, one.prefix, one.stream)
        if self._streams.get(key) == one:
            return
        self._streams[key] = self._streams.pop(key, one) and one  # the newest last
        while len(self._streams) > MOST_STREAMS:
            del self._streams[next(iter(self._streams))]
        self._save()

    def _save(self) -> None:
        self._changed = True
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="write retained")

    async def _write(self) -> None:
        complained = False
        while self._changed:
            self._changed = False
            text = _File.model_construct(left=list(self._streams.values())).model_dump_json(indent=1)
            writing = partial(write_whole, self._file, partial(Path.write_text, data=text, encoding="utf-8"))
            try:
                await in_daemon_thread(writing, "write retained")
            except OSError as error:
                self._changed = True
                if not complained:
                    logger.warning(
                        "%s cannot be written (%s); trying again; until then only this process knows what it has left "
                        "at the broker",
                        self._file,
                        reason_of(error),
                    )
                complained = True
                if self._closing.is_set():
                    return
                await unless(self._closing, asyncio.sleep(RETRY_SECONDS))


def _read(file: Path) -> list[RetainedStream]:
    try:
        found = file.stat()
        tighten(file)
        text = file.read_bytes() if stat.S_ISREG(found.st_mode) and found.st_size <= LARGEST_FILE_BYTES else b""
        return _File.model_validate_json(text).left
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        what = reason_of(error) if isinstance(error, OSError) else "it is not what Maskcast writes"
        try:
            aside = f"set aside as {set_aside(file).name}"
        except OSError:
            aside = "passed over"
        logger.error("%s is damaged (%s) and %s: brokers may keep what is gone", file, what, aside)  # noqa: TRY400
        return []
