"""What systemd hears of the process, on a socket as systemd opens it."""

import asyncio
import contextlib
import os
import socket
import time

import pytest

from streaming.service.watchdog import EVENT_LOOP, Heartbeat, Notifier, watch, watchdog_seconds
from tests.patience import eventually_async


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path, monkeypatch):
    """The receiving end of NOTIFY_SOCKET."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@maskcast-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address if request.param == "path" else f"\0{address[1:]}")
        receiver.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield receiver


@pytest.fixture
def notifier(systemd):
    notifier = Notifier()
    yield notifier
    notifier.close()


def heard(systemd):
    return systemd.recv(4096).decode()


def waiting(systemd):
    """All that was heard and not read yet."""
    systemd.setblocking(False)
    messages = []
    with contextlib.suppress(BlockingIOError):
        while True:
            messages.append(systemd.recv(4096).decode())
    systemd.settimeout(10)
    return messages


def test_each_state_is_told_as_systemd_expects_it(systemd, notifier):
    notifier.ready()
    assert heard(systemd) == "READY=1"
    notifier.status("4 streams,\n1 down")
    assert heard(systemd) == "STATUS=4 streams, 1 down"
    notifier.alive()
    assert heard(systemd) == "WATCHDOG=1"
    notifier.stopping()
    assert heard(systemd) == "STOPPING=1"


def test_a_reload_tells_its_time(systemd, notifier):
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    notifier.reloading()
    first, second = heard(systemd).split("\n")
    name, microseconds = second.split("=")
    assert (first, name) == ("RELOADING=1", "MONOTONIC_USEC")
    assert before - 0.001 <= int(microseconds) / 1e6 <= time.clock_gettime(time.CLOCK_MONOTONIC)


@pytest.mark.parametrize("address", [None, "", "vsock:2:1", "nonsense"])
def test_without_a_socket_nothing_happens(monkeypatch, address):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notifier = Notifier()
    notifier.ready()
    notifier.close()
    assert notifier._socket is None


def test_a_systemd_that_is_gone_or_does_not_read_disturbs_nobody(systemd, notifier):
    for _ in range(10_000):  # far more than a socket's queue holds
        notifier.alive()
    assert 0 < len(waiting(systemd)) < 10_000
    systemd.close()
    notifier.alive()
    notifier.close()
    notifier.alive()


def test_the_watchdog_time_is_read_if_it_is_meant_for_us(monkeypatch):
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert watchdog_seconds() is None
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert watchdog_seconds() == 30.0
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert watchdog_seconds() == 30.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_seconds() is None
    monkeypatch.delenv("WATCHDOG_PID")
    for wrong in ("0", "-5", "soon"):
        monkeypatch.setenv("WATCHDOG_USEC", wrong)
        assert watchdog_seconds() is None


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_part_that_beats_is_not_stalled_and_one_that_stops_is():
    clock = Clock()
    heartbeat = Heartbeat(clock)
    assert heartbeat.stalled(5) == []
    heartbeat.beat("model")
    heartbeat.beat("loop")
    clock.now += 4
    heartbeat.beat("loop")
    assert heartbeat.stalled(5) == []
    clock.now += 2
    assert heartbeat.stalled(5) == ["model"]
    clock.now += 5
    assert heartbeat.stalled(5) == ["loop", "model"]
    heartbeat.beat("model")
    assert heartbeat.stalled(5) == ["loop"]


def test_a_part_that_is_busy_has_the_time_that_it_asked_for():
    clock = Clock()
    heartbeat = Heartbeat(clock)
    heartbeat.busy("model", 600)
    clock.now += 599
    assert heartbeat.stalled(5) == []
    clock.now += 2
    assert heartbeat.stalled(5) == ["model"]
    heartbeat.beat("model")  # its allowance ends with its work
    clock.now += 6
    assert heartbeat.stalled(5) == ["model"]


async def hear(systemd, message):
    """Wait for a message without holding the event loop up."""
    await eventually_async(lambda: message in waiting(systemd), what=message)


async def watching(systemd, notifier, monkeypatch, story, max_age=0.3):
    """Run a story beside `watch`, under a watchdog of 0.2 s."""
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    heartbeat = Heartbeat()

    task = asyncio.create_task(watch(heartbeat, notifier, max_age))
    try:
        await story(heartbeat)
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_systemd_hears_of_life_in_time_again_and_again(systemd, notifier, monkeypatch):
    async def story(heartbeat):
        for _ in range(5):
            await hear(systemd, "WATCHDOG=1")
        assert heartbeat.stalled(5) == []
        assert EVENT_LOOP in heartbeat._beats

    await watching(systemd, notifier, monkeypatch, story)


async def test_systemd_hears_nothing_while_a_part_is_stalled_and_of_its_return(systemd, notifier, monkeypatch, caplog):
    async def story(heartbeat):
        await hear(systemd, "WATCHDOG=1")
        heartbeat.beat("model")
        await hear(systemd, "STATUS=no progress for 0 s: model")
        waiting(systemd)
        await asyncio.sleep(0.5)
        assert waiting(systemd) == []
        heartbeat.busy("model", 60)
        await hear(systemd, "WATCHDOG=1")

    await watching(systemd, notifier, monkeypatch, story)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "no progress for 0 s: model"
    ]


async def test_systemd_hears_nothing_while_the_event_loop_hangs(systemd, notifier, monkeypatch):
    async def story(heartbeat):
        await hear(systemd, "WATCHDOG=1")
        waiting(systemd)
        time.sleep(0.5)
        assert waiting(systemd) == []
        assert heartbeat.stalled(0.3) == [EVENT_LOOP]  # as a web server on another thread would see it
        await hear(systemd, "WATCHDOG=1")

    await watching(systemd, notifier, monkeypatch, story)


async def test_without_a_watchdog_the_event_loop_beats_all_the_same(systemd, notifier, monkeypatch):
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    heartbeat = Heartbeat()

    task = asyncio.create_task(watch(heartbeat, notifier, 5))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert EVENT_LOOP in heartbeat._beats
    assert waiting(systemd) == []
