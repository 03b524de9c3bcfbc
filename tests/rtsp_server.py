"""A real RTSP server for the tests, for the *system* Python (it has the GStreamer bindings; a virtual one does not).

/usr/bin/python3 rtsp_server.py FILE [--port N] [--loop] [--user NAME --password SECRET] [--certificate PEM] [--sound]

Serves the video of an MP4 (H.264, H.265 or MJPEG) at rtsp://127.0.0.1:PORT/camera, at its own speed and as it is,
without encoding, and prints the port. Each viewer sees the file from its beginning to its end; with `--loop` all
viewers see the same endless repetition, as a camera's do. With a certificate (and its key in the same file) the port
speaks TLS. With `--sound`, rtsp://127.0.0.1:PORT/sound is a microphone.
"""

import argparse
import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import (  # noqa: E402 - only after the versions are chosen
    Gio,
    GLib,
    Gst,
    GstApp,  # noqa: F401 - gives appsink and appsrc their methods
    GstRtspServer,
)

PAYLOADERS = {
    "video/x-h264": "h264parse config-interval=-1 ! rtph264pay",
    "video/x-h265": "h265parse config-interval=-1 ! rtph265pay",
    "image/jpeg": "jpegparse ! rtpjpegpay",
}


class Encoded:
    """One encoded picture."""

    def __init__(self, buffer):
        """Take it out of GStreamer's hands, which writes into the copies of its buffers' time stamps too."""
        self.data = GLib.Bytes.new(buffer.extract_dup(0, buffer.get_size()))
        self.pts, self.duration = buffer.pts, buffer.duration
        self.key = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)

    def buffer(self, pts):
        buffer = Gst.Buffer.new_wrapped_bytes(self.data)
        # RTP carries presentation times only.
        buffer.pts, buffer.duration = pts, self.duration
        return buffer


class Recording:
    """The encoded pictures of a file, in memory."""

    def __init__(self, file):
        """Read the file."""
        pipeline = Gst.parse_launch("filesrc name=file ! qtdemux ! appsink name=sink sync=false")
        pipeline.get_by_name("file").set_property("location", file)
        sink = pipeline.get_by_name("sink")
        pipeline.set_state(Gst.State.PLAYING)
        samples = []
        while sample := sink.pull_sample():
            samples.append(sample)
        pipeline.set_state(Gst.State.NULL)
        if not samples:
            sys.exit(f"{file}: no video")
        self.caps = samples[0].get_caps()
        self.pictures = [Encoded(sample.get_buffer()) for sample in samples]
        self.start = min(picture.pts for picture in self.pictures)
        self.duration = max(picture.pts + picture.duration for picture in self.pictures) - self.start

    def starts_at(self, seconds):
        """Number of the first key frame from this time in the recording on; the first frame's if there is none."""
        for number, picture in enumerate(self.pictures):
            if picture.key and picture.pts - self.start >= seconds * Gst.SECOND:
                return number
        return 0


class Playback:
    """One way through a recording, handed to GStreamer as it asks."""

    def __init__(self, recording, number, *, loop):
        """Begin with a picture's number."""
        self.recording, self.number, self.loop = recording, number, loop
        self.base = -recording.pictures[number].pts

    def feed(self, source, _length):
        """Push the next picture, stamped as the continuation of what came before."""
        if self.number == len(self.recording.pictures):
            if not self.loop:
                source.end_of_stream()
                return
            self.number = 0
            self.base += self.recording.duration
        picture = self.recording.pictures[self.number]
        self.number += 1
        source.push_buffer(picture.buffer(max(0, picture.pts + self.base)))


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--port", default="0")
    parser.add_argument("--loop", action="store_true")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--certificate")
    parser.add_argument("--sound", action="store_true")
    arguments = parser.parse_args()

    Gst.init(None)
    recording = Recording(arguments.file)
    began = time.monotonic()
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(arguments.port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f"( appsrc name=source format=time ! {PAYLOADERS[recording.caps.get_structure(0).get_name()]} name=pay0 pt=96 )"
    )
    factory.set_shared(arguments.loop)

    def configure(_factory, media):
        source = media.get_element().get_by_name("source")
        source.set_property("caps", recording.caps)
        seconds = (time.monotonic() - began) % (recording.duration / Gst.SECOND) if arguments.loop else 0.0
        playback = Playback(recording, recording.starts_at(seconds), loop=arguments.loop)
        source.connect("need-data", playback.feed)

    factory.connect("media-configure", configure)
    if arguments.user or arguments.certificate:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
        if arguments.user:
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(arguments.user, arguments.password), token)
        else:
            auth.set_default_token(token)
        if arguments.certificate:
            auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(arguments.certificate))
        server.set_auth(auth)
        factory.add_role_from_structure(
            Gst.Structure.from_string("viewer,media.factory.access=true,media.factory.construct=true")[0]
        )
    server.get_mount_points().add_factory("/camera", factory)
    if arguments.sound:
        microphone = GstRtspServer.RTSPMediaFactory()
        microphone.set_launch(
            "( audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay0 pt=0 )"
        )
        server.get_mount_points().add_factory("/sound", microphone)
    if not server.attach(None):
        sys.exit("the port is taken")
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
