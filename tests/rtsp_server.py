"""A real RTSP server for the tests, for the *system* Python (it has the GStreamer bindings; a virtual one does not).

/usr/bin/python3 rtsp_server.py FILE [--port N] [--user NAME --password SECRET]

Serves an H.264 MP4 at rtsp://127.0.0.1:PORT/camera, at its own speed and from its beginning for each viewer, and
prints the port.
"""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - only after the versions are chosen


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--port", default="0")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    arguments = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(arguments.port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f"( filesrc location={arguments.file} ! qtdemux ! h264parse config-interval=1 ! rtph264pay name=pay0 pt=96 )"
    )
    if arguments.user:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(arguments.user, arguments.password), token)
        server.set_auth(auth)
        factory.add_role_from_structure(
            Gst.Structure.from_string("viewer,media.factory.access=true,media.factory.construct=true")[0]
        )
    server.get_mount_points().add_factory("/camera", factory)
    if not server.attach(None):
        sys.exit("the port is taken")
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
