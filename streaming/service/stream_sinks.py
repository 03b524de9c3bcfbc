"""What a stream of `maskcast run` produces: its sinks, as the settings name them."""

from __future__ import annotations

from sinks import open_sink
from sinks.filename import with_stream
from sinks.mqtt.publisher import Publisher, PublisherSink
from sinks.sink import Sink
from sinks.video.recording import RecordingSettings, RecordingSink
from sinks.video.still import StillSink
from streaming.settings.tables import StreamSettings


class StreamSinks:
    """The sinks of one stream; new ones for each attempt.

    Attributes:
        still: the present one, if there is a broker.
        recording: the present one, if there is one.
    """

    def __init__(self, name: str, settings: StreamSettings) -> None:
        """Prepare; nothing is made before `make`."""
        self.still: StillSink | None = None
        self.recording: RecordingSink | None = None
        self._name, self._settings = name, settings

    def make(self, publisher: Publisher | None, *, stills: bool) -> list[Sink]:
        """New sinks, not yet started.

        Args:
            publisher: of the stream, if there is a broker.
            stills: whether events lead to stills.

        Raises:
            UsageError: see `sinks.open_sink`.
        """
        settings, sinks = self._settings, list[Sink]()
        if publisher:
            self.still = StillSink(publisher.publish_still, on_events=stills, room=publisher.still_room)
            sinks += [PublisherSink(publisher), self.still]
        if recording := settings.recording:
            wanted = RecordingSettings(
                folder=recording.folder,
                when=recording.when,
                before=recording.before,
                after=recording.after,
                segment_seconds=recording.segment_seconds,
                segment_bytes=recording.segment_bytes,
                keep_files=recording.keep_files,
                keep_bytes=recording.keep_bytes,
                min_free_bytes=recording.min_free_bytes,
                codec=recording.codec,
                quality=recording.quality,
            )
            self.recording = RecordingSink(wanted, self._name)
            sinks.append(self.recording)
        sinks += [open_sink(with_stream(out, self._name), prompts=settings.prompts) for out in settings.out]
        return sinks
