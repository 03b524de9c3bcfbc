"""What a stream of `maskcast run` produces: one factory for each kind of sink that the settings may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from maskcast.prompts import names
from maskcast.result import Result
from sinks import open_sink
from sinks.filename import with_stream
from sinks.mqtt.journal import Journal
from sinks.mqtt.journal_sink import JournalSink
from sinks.mqtt.publisher import Publisher, PublisherSink
from sinks.sink import Sink
from sinks.video.recording import RecordingSink
from sinks.video.still import StillSink
from streaming.page.history import History
from streaming.page.history_sink import HistorySink
from streaming.page.view_sink import ViewSink
from streaming.settings.tables import StreamSettings

S = TypeVar("S", bound=Sink)


@dataclass(frozen=True)
class Wanted:
    """What the factories know.

    Attributes:
        stream: id of the stream.
        settings: of the stream.
        publisher: of the stream, if there is a broker.
        journal: what keeps events and totals; with a publisher that tells it.
        stills: whether events lead to stills.
        show: takes results for the page; None without one.
        history: keeps events for the page; None without one.
    """

    stream: str
    settings: StreamSettings
    publisher: Publisher | None
    journal: Journal
    stills: bool
    show: Callable[[Result], None] | None
    history: History | None


def messages(wanted: Wanted) -> Iterator[Sink]:
    """Tracks, events and counts, for the broker; without one, what totals need to survive a restart."""
    if wanted.publisher:
        yield PublisherSink(wanted.publisher)
    elif wanted.settings.places():
        yield JournalSink(wanted.journal, wanted.stream)


def stills(wanted: Wanted) -> Iterator[Sink]:
    """Stills for the broker, at events and on request."""
    if publisher := wanted.publisher:
        yield StillSink(
            publisher.publish_still,
            on_events=wanted.stills,
            room=publisher.still_room,
            styles=wanted.settings.styles(),
        )


def recording(wanted: Wanted) -> Iterator[Sink]:
    """Annotated video in segments."""
    if settings := wanted.settings.recording:
        yield RecordingSink(settings, wanted.stream, wanted.settings.styles())


def out(wanted: Wanted) -> Iterator[Sink]:
    """What `out` names.

    Raises:
        UsageError: see `sinks.open_sink`.
    """
    for spec in wanted.settings.out:
        target = with_stream(spec, wanted.stream)
        yield open_sink(target, prompts=names(wanted.settings.wanted()), styles=wanted.settings.styles())


def view(wanted: Wanted) -> Iterator[Sink]:
    """What the page shows."""
    if wanted.show:
        yield ViewSink(wanted.show)


def history(wanted: Wanted) -> Iterator[Sink]:
    """What the page tells of the past."""
    if wanted.history:
        yield HistorySink(wanted.history, wanted.stream, wanted.settings.styles())


FACTORIES: tuple[Callable[[Wanted], Iterator[Sink]], ...] = (messages, stills, recording, out, view, history)


class StreamOutputs:
    """The sinks of one stream; new ones for each attempt."""

    def __init__(
        self,
        stream: str,
        settings: StreamSettings,
        *,
        stills: bool,
        show: Callable[[Result], None] | None = None,
        history: History | None = None,
    ) -> None:
        """Prepare; nothing is made before `make`.

        Args:
            stream: id of it.
            settings: of it.
            stills: whether events lead to stills.
            show: takes results for the page; None without one.
            history: keeps events for the page; None without one.
        """
        self._stream, self._settings, self._stills, self._show = stream, settings, stills, show
        self._history = history
        self._sinks: Sequence[Sink] = ()

    def make(self, publisher: Publisher | None, journal: Journal) -> Sequence[Sink]:
        """New sinks, not yet started.

        Args:
            publisher: of the stream, if there is a broker.
            journal: of the process.

        Raises:
            UsageError: see `sinks.open_sink`.
        """
        wanted = Wanted(self._stream, self._settings, publisher, journal, self._stills, self._show, self._history)
        self._sinks = [sink for factory in FACTORIES for sink in factory(wanted)]
        return self._sinks

    def find(self, kind: type[S]) -> S | None:
        """The present attempt's sink of a kind, or the last attempt's; None if there is none."""
        return next((sink for sink in self._sinks if isinstance(sink, kind)), None)
