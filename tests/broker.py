"""A real Mosquitto on a free loopback port, with a configuration of its own."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import processes
from tests.patience import eventually
from tests.ports import free_port


class Broker:
    """A Mosquitto process that can be stopped and started again on the same port."""

    def __init__(self, folder: Path, lines: Sequence[str]) -> None:
        self.port = free_port()
        self._log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        # Mosquitto drops root's rights; the log and the password file must stay readable for it.
        settings = ["user root", f"listener {self.port} 127.0.0.1", "persistence false", f"log_dest file {self._log}"]
        self._config.write_text("\n".join([*settings, *lines]) + "\n", encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [executable(), "-c", str(self._config)]
        self._process = processes.start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            eventually(self._listens, what="mosquitto listens")
        except BaseException:
            self.stop()
            raise

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            log = self._log.read_text(encoding="utf-8") if self._log.exists() else "no log"
            raise RuntimeError(f"mosquitto does not start: {log}")
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def reload(self) -> None:
        """Let it read its files again, such as who may do what."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text(encoding="utf-8")

    def stop(self) -> None:
        """End this very process."""
        process, self._process = self._process, None
        if process is not None:
            processes.end(process)


def keeping(folder: Path) -> list[str]:
    """Lines of a configuration with which the broker keeps sessions in `folder`, and all that waits in them."""
    return ["persistence true", "autosave_interval 1", "max_queued_messages 0", f"persistence_location {folder}/"]


def executable() -> str:
    """Debian puts the broker where ordinary users do not look."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("no mosquitto on this machine (Debian: apt install mosquitto)")
    return found


@contextmanager
def running(
    folder: Path, *, user: str | None = None, password: str = "", lines: Sequence[str] = ()
) -> Iterator[Broker]:
    """A broker that listens; with `user`, only for those who know the password; `lines` go into its configuration."""
    executable()
    folder.mkdir(parents=True, exist_ok=True)
    access = ["allow_anonymous true"]
    if user is not None:
        secrets = folder / "passwords"
        secrets.touch(mode=0o600)
        tool = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
        subprocess.run([tool, "-b", str(secrets), user, password], check=True, capture_output=True)
        access = ["allow_anonymous false", f"password_file {secrets}"]
    broker = Broker(folder, [*access, *lines])
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
