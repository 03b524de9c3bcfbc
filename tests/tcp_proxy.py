"""A TCP proxy that breaks connections in every way that networks do."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Longest wait of the proxy's threads before they look at its state again.
NOTICE_SECONDS = 0.05
CHUNK = 65536


class Proxy:
    """Forwards `port` to a target on loopback until told otherwise; change it while connections are open.

    Attributes:
        port: where it listens.
        target: port that new connections are forwarded to.
        stalled: nothing is forwarded and nothing is closed; new connections are accepted and left waiting.
        delay: seconds that everything from the target is held back by.
        corrupt: every so many'th byte from the target is inverted; 0 for none.
        accepted: number of connections so far.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.stalled = False
        self.delay = 0.0
        self.corrupt = 0
        self.accepted = 0
        self._open: list[socket.socket] = []
        self._ended = threading.Event()
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, args=(self._listener,), daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        """Break every connection, as a router that restarts does."""
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def refuse(self) -> None:
        """Cut, and answer nobody until `accept`."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # Closing alone would not wake the thread that waits in it.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def accept(self) -> None:
        """Listen again on the same port."""
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        self._ended.set()
        self.refuse()
        for thread in self._threads:
            thread.join(5)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.accepted += 1
                thread = threading.Thread(target=self._connect, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _connect(self, client: socket.socket) -> None:
        self._open.append(client)
        with client, suppress(OSError):
            while self.stalled and not self._ended.is_set():
                time.sleep(NOTICE_SECONDS)
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                self._open.append(server)
                self._forward(client, server)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        while not self._ended.is_set():
            if self.stalled:
                time.sleep(NOTICE_SECONDS)
                continue
            for end in select.select([client, server], [], [], NOTICE_SECONDS)[0]:
                if self.stalled:
                    break
                data = bytearray(end.recv(CHUNK))
                if not data:
                    return
                if end is client:
                    server.sendall(data)
                    continue
                if self.corrupt:
                    for place in range(-passed % self.corrupt, len(data), self.corrupt):
                        data[place] ^= 0xFF
                passed += len(data)
                if self.delay:
                    time.sleep(self.delay)
                client.sendall(data)


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """A proxy in front of a port of this machine."""
    made = Proxy(target)
    try:
        yield made
    finally:
        made.close()
