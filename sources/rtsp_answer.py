"""Whether a server speaks RTSP: FFmpeg takes the answers of others for damaged video, or for errors of the server."""

from __future__ import annotations

import socket
import ssl

from sources.location import DEFAULT_PORTS, host_and_port, scheme_of

# Long enough for a camera that is slow; the attempt before has taken its own time.
ANSWER_SECONDS = 5.0
# What the status line of every answer begins with (RFC 2326, section 7.1, and RFC 7826).
_BEGINNING = b"RTSP/"


def speaks_rtsp(url: str) -> bool | None:
    """Ask the server of an `rtsp` or `rtsps` URL for its methods; no credentials are sent.

    Returns:
        Whether it answered as RTSP, `rtsps` over TLS; None if it cannot be reached, or did not answer in time.
    """
    scheme = scheme_of(url)
    try:
        host, port = host_and_port(url)
        place = host or "", port or DEFAULT_PORTS[scheme]
        with socket.create_connection(place, ANSWER_SECONDS) as connection:
            if scheme != "rtsps":
                return _answers(connection)
            context = ssl.create_default_context()
            # Whose certificate it is does not matter here: nothing secret is said.
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(connection, server_hostname=host) as secured:
                return _answers(secured)
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
        return False
    except (OSError, ValueError):
        return None


def _answers(connection: socket.socket) -> bool:
    connection.settimeout(ANSWER_SECONDS)
    connection.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
    answer = b""
    while len(answer) < len(_BEGINNING) and (more := connection.recv(len(_BEGINNING) - len(answer))):
        answer += more
    return answer == _BEGINNING
