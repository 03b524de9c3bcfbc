"""Ports for servers that are told which one to take."""

from __future__ import annotations

import atexit
import socket
from collections import deque

# More than one test needs, fewer than a process may have open.
_held: deque[socket.socket] = deque(maxlen=64)


def free_port() -> int:
    """A TCP port of loopback on which nobody listens, and that the kernel gives to nobody else meanwhile.

    It stays bound: servers that set SO_REUSEADDR, as all do, may listen on it, and start again on it.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    if len(_held) == _held.maxlen:
        _held.popleft().close()
    _held.append(holder)
    return int(holder.getsockname()[1])


@atexit.register
def _release() -> None:
    while _held:
        _held.pop().close()
