"""Ray of our own says nothing, keeps nothing, and dies with the command; others are joined, or a line says why not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from maskcast.errors import UsageError
from streaming.cluster import joining
from streaming.cluster.connection import connected
from streaming.cluster.failures import in_one_line
from streaming.cluster.guard import processes_of
from streaming.cluster.joining import _refusal
from streaming.cluster.origin import Origin
from tests.patience import eventually, patient
from tests.ray_cluster import ray_nodes
from trackers.detection.location import NotFetchedError

MADE_OF = "    Ray: {}\n    Python: {}\n"
PROGRAM = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("ended in good order", file=sys.stderr, flush=True))
from streaming.cluster.connection import connected
with connected() as cluster:
    import ray
    from ray._private.worker import _global_node
    [node] = cluster.nodes()
    assert cluster.local and node.cpus >= 1, (cluster, node)
    ray.get(ray.remote(lambda: None).remote(), timeout=60)
    try:
        ray.get(ray.remote(lambda: os._exit(3)).options(max_retries=0).remote(), timeout=60)
    except ray.exceptions.WorkerCrashedError:
        pass
    ray.remote(num_cpus=0)(type("Idle", (), {"work": lambda self: time.sleep(999)})).remote().work.remote()
    print(_global_node.get_session_dir_path(), file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1)  # the death of a worker is news for a while
    if sys.argv[1] == "wait":
        time.sleep(999)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A home and a place for temporary files of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    place = Path(f"/tmp/t{os.getpid()}")
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setenv("RAY_TMPDIR", str(place))
    yield place
    with suppress(OSError):
        place.rmdir()


def started(how):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.long
def test_our_own_says_nothing_and_leaves_nothing(here, tmp_path):
    process = started("end")
    said, errors = process.communicate(timeout=patient(60))
    assert process.returncode == 0, errors
    assert said == ""
    [session, ended] = errors.splitlines()  # nothing but what the program says
    assert ended == "ended in good order"
    assert Path(session).is_relative_to(here)
    assert list(here.iterdir()) == []
    assert processes_of(here) == []
    assert not (tmp_path / ".ray").exists()


@pytest.mark.long
def test_it_dies_with_a_command_that_is_killed(here):
    process = started("wait")
    session = process.stderr.readline().strip()
    assert processes_of(here) != []
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=patient(10))
    eventually(lambda: processes_of(here) == [], 20)
    eventually(lambda: not Path(session).exists(), 20)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("auto", "auto: no Ray runs on this machine; start one (ray start --head), or give its address"),
        ("nonsense", "nonsense: no address of a Ray cluster; use auto, or HOST:PORT with or without ray:// in front"),
        ("127.0.0.1:99999", "127.0.0.1:99999: no Ray is there: "),
        ("nosuch.invalid:6379", "nosuch.invalid:6379: no Ray is there: "),
        ("ray://127.0.0.1:{port}", "ray://127.0.0.1:{port}: ray:// needs the package grpcio; "),
        ("127.0.0.1:{port}", "127.0.0.1:{port}: no Ray answers there within 3 s; "),
    ],
)
def test_a_wrong_address_is_one_line_and_soon(here, monkeypatch, address, said):
    monkeypatch.setattr(joining, "JOINED_SECONDS", 3)
    if "ray://" in address:
        monkeypatch.setattr(joining, "JOINED_SECONDS", patient(60))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(UsageError) as raised, connected(address.format(port=port)):
            raise AssertionError
    assert str(raised.value).startswith(said.format(port=port))
    assert len(str(raised.value).splitlines()) == 1
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"the package ray is missing; install Maskcast's extra \[ray\]"), connected():
        raise AssertionError


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        (
            f"RuntimeError: There:\n{MADE_OF.format('2.54.0', '3.12.1')}Here:\n{MADE_OF.format('2.60.0', '3.11.7')}",
            "it runs Ray 2.54.0 and Python 3.12.1, and here are Ray 2.60.0 and Python 3.11.7",
        ),
        (
            "AuthenticationError: Token authentication is enabled but no token was found",
            "the cluster asks for its token",
        ),
        ("RuntimeError: something new\nand more", "Ray cannot join it: RuntimeError: something new"),
    ],
)
def test_what_ray_says_becomes_one_line(said, ours):
    assert _refusal("10.0.0.1:6379", said).what == ours


def test_a_token_that_is_another_is_only_in_rays_log():
    log = "gcs_client.cc:210: Failed to get cluster ID: RPC error: InvalidAuthToken: Authentication token is missing"
    asked = _refusal("10.0.0.1:6379", "ConnectionError: Failed to connect to Ray cluster at 10.0.0.1:6379", log)
    assert (
        asked.reason
        == "the cluster asks for its token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
    )


class Worker:
    """An actor that fails in the ways that workers do."""

    def __init__(self, how="") -> None:
        if how == "raises":
            raise UsageError("no", where="there", advice="do it")
        if how == "imports":
            raise ModuleNotFoundError("No module named 'streaming.cluster'")

    def __call__(self, what, value=None):
        if what == "raise":
            raise NotFetchedError("not here", where="a model", advice="fetch it")
        if what == "check":
            value.check()
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return what


@pytest.mark.long
def test_a_cluster_is_joined_and_what_fails_there_is_one_line(here):
    with ray_nodes(1, 2) as machines, connected(machines.address) as cluster:
        assert not cluster.local
        assert sorted(node.cpus for node in cluster.nodes()) == [1, 2]
        import ray

        actor = ray.remote(num_cpus=0)(Worker)
        raises, imports, worker = actor.remote("raises"), actor.remote("imports"), actor.remote()

        def failed(one, *asked):
            with pytest.raises(Exception) as raised:
                ray.get(one.__call__.remote(*asked), timeout=patient(60))
            error = in_one_line(raised.value)
            assert len(str(error).splitlines()) == 1
            return error

        assert str(failed(raises, "")) == "it could not begin: there: no; do it"
        assert str(failed(imports, "")) == "Maskcast is not installed on the machine of a worker; install it on all"
        fetch = failed(worker, "raise")
        assert (type(fetch), fetch.advice) == (NotFetchedError, "fetch it")
        assert ray.get(worker.__call__.remote("check", Origin.here()), timeout=patient(60)) == "check"
        older = failed(worker, "check", replace(Origin.here(), version="0.0.9"))
        assert older.what == f"it has Maskcast {Origin.here().version}, and the command is of Maskcast 0.0.9"
        assert str(failed(worker, "die")) == "its process has died: killed, out of memory, or crashed"
