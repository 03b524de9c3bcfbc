"""One Ray for the command: a small one of its own on this machine, or a cluster that is joined.

Ray's own start is made for notebooks. Here it says nothing on the standard output, which may carry results, leaves
signals alone, ends with the command however that ends, and keeps nothing on the disk. A cluster that does not answer
would hold `ray.init` for 160 s and then end the process (Ray 2.60), so it is first joined by another process, which can
be given up.
"""

from __future__ import annotations

import ctypes
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from maskcast.errors import MaskcastError, UsageError
from streaming.cluster import guard
from streaming.cluster.joining import check_joining, running_here
from streaming.cluster.resources import Node
from streaming.cluster.waiting import within

logger = logging.getLogger(__name__)

# Five to eight seconds on two free cores, of which most is the start of eight processes.
START_SECONDS = 120.0
ANSWER_SECONDS = 20.0
# Ray gives its processes five seconds to end by themselves.
END_SECONDS = 20.0
# Where sockets have their names, which may have 107 characters (unix(7)): Ray adds up to 66, and we 22.
TEMPORARY = "maskcast-ray-"
MOST_TEMPORARY_CHARACTERS = 18
# Rows and messages are small, and pages of the store count only once something was in them. Much smaller, and Ray Data
# waits for room that its tasks will not need.
OBJECT_STORE_BYTES = 2**30
# Less Ray refuses.
LEAST_OBJECT_STORE_BYTES = 80 * 2**20

# Those of absl's failure signal handler (abseil-cpp, debugging/failure_signal_handler.cc).
TAKEN = (signal.SIGSEGV, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTERM, signal.SIGBUS, signal.SIGTRAP)
# Of struct sigaction, 152 in glibc on x86-64, and with room to spare elsewhere: its fields are of no interest.
SIGACTION_BYTES = 512
# One for the process: Ray keeps what it has read at the first connection.
_token = secrets.token_hex(32)


@dataclass(frozen=True)
class Cluster:
    """A Ray that this process is connected to.

    Attributes:
        local: whether it was started for this command, on this machine.
        address: of the one that was joined; "local" otherwise.
    """

    local: bool
    address: str

    def nodes(self) -> tuple[Node, ...]:
        """The machines that are there now.

        Raises:
            MaskcastError: Ray does not say so in time.
        """
        import ray

        known: list[dict[str, Any]] = within(ANSWER_SECONDS, ray.nodes, "ask Ray for its nodes")
        return tuple(
            Node(
                str(one["NodeManagerHostname"]),
                float(one["Resources"].get("CPU", 0)),
                float(one["Resources"].get("GPU", 0)),
            )
            for one in known
            if one["Alive"]
        )


@contextmanager
def connected(address: str | None = None) -> Iterator[Cluster]:
    """Connect this process to Ray until the end of the `with` block.

    It may be entered on any thread: what Ray ties to the thread that started it has one of its own.

    Args:
        address: None for a Ray of our own, unless `RAY_ADDRESS` names another, as Ray has it. ``auto`` for the one that
            runs on this machine, ``HOST:PORT`` for a cluster that this machine is part of, ``ray://HOST:PORT`` for
            one that it is not.

    Raises:
        UsageError: Ray is not installed, there is nothing at the address, or its versions are others.
        MaskcastError: Ray did not start in time.
    """
    for package in ("ray", "pyarrow"):
        if not _installed(package):
            raise UsageError(f"the package {package} is missing", advice="install Maskcast's extra [ray]")
    if address in {None, "auto"}:
        address = os.environ.get("RAY_ADDRESS") or address
    if address is None:
        with _temporary_folder() as folder, _environment(RAY_AUTH_TOKEN=_token), _tied(lambda: _start(folder)):
            yield Cluster(local=True, address="local")
        return
    found = running_here() if address == "auto" else address
    check_joining(found)
    with _environment(), _tied(lambda: _join(found)):
        yield Cluster(local=False, address=found)


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # it is kept from being imported
        return False


def _start(folder: Path) -> None:
    import ray

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    ray.init(
        address="local",
        # Ray knows limits of containers, and not those of taskset.
        num_cpus=allowed if allowed != os.cpu_count() else None,
        include_dashboard=False,
        object_store_memory=_object_store_bytes(),
        log_to_driver=False,
        configure_logging=False,
        _temp_dir=str(folder),
    )


def _join(address: str) -> None:
    import ray

    ray.init(address=address, log_to_driver=False, configure_logging=False)


def _object_store_bytes() -> int:
    """As much as is usual, of what shared memory has: containers often have 64 MiB, and Ray then takes a file."""
    with suppress(OSError):
        free = shutil.disk_usage("/dev/shm").free  # noqa: S108 - the system's own place for it
        return max(LEAST_OBJECT_STORE_BYTES, min(OBJECT_STORE_BYTES, free // 2))
    return OBJECT_STORE_BYTES


@contextmanager
def _environment(**settings: str) -> Iterator[None]:
    """What Ray and its processes are told in the environment, unless the user has told it.

    Ray of our own listens on all addresses of the machine, and who reaches it may run anything. So it asks for a token
    (Ray 2.60 and newer), which its processes inherit; else it would keep one in the home folder, where a service may
    not write.
    """
    settings = {"RAY_USAGE_STATS_ENABLED": "0"} | settings
    # Ray sets the mode itself.
    before = {name: os.environ.get(name) for name in (*settings, "RAY_AUTH_MODE")}
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            os.environ.pop(name, None)
            if old is not None:
                os.environ[name] = old


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder for Ray's sockets and logs; what writes there ends with this process, and the folder with that."""
    usual = tempfile.gettempdir()
    parent = Path(usual if len(usual) <= MOST_TEMPORARY_CHARACTERS else "/tmp")  # noqa: S108 - mkdtemp makes it private
    try:
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=parent))
        guarding = subprocess.Popen(  # noqa: S603 - this interpreter and a file of ours
            [sys.executable, "-I", "-S", guard.__file__, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl-C is not for it
        )
    except OSError as error:
        raise MaskcastError.wrap(error, where=parent, doing="Ray has no place for its sockets") from error
    try:
        yield folder
    finally:
        with suppress(subprocess.TimeoutExpired):
            guarding.communicate(timeout=END_SECONDS)


@contextmanager
def _tied(begin: Callable[[], None]) -> Iterator[None]:
    """Keep Ray on a thread of its own.

    The kernel kills Ray's processes when the thread ends that has started them (PR_SET_PDEATHSIG), so that they die
    with the command, also one that is killed: it has to last. And as it is not the main one, Ray takes no signals.
    """
    begun, over = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def keep() -> None:
        try:
            _silence()
            with _signals_left_alone():
                begin()
        except BaseException as error:  # noqa: BLE001 - Ray exits where others raise; it is raised below
            errors.append(error)
        finally:
            begun.set()
        over.wait()
        import ray

        with suppress(Exception):
            ray.shutdown()

    thread = threading.Thread(target=keep, name="ray", daemon=True)
    thread.start()
    try:
        if not begun.wait(START_SECONDS):
            raise MaskcastError(f"Ray did not start within {START_SECONDS:g} s", advice="is the machine overloaded?")
        if errors:
            raise MaskcastError.wrap(errors[0], doing="Ray does not start") from errors[0]
        yield
    finally:
        over.set()
        thread.join(END_SECONDS)
        if thread.is_alive():
            logger.warning("Ray has not ended within %g s; it does so with this process", END_SECONDS)


@contextmanager
def _signals_left_alone() -> Iterator[None]:
    """Put back what a signal does: Ray's library takes those of failures, and SIGTERM with them, to abort the process.

    Python's own `signal` sees nothing of it, and may change handlers on the main thread alone.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = {}
    for number in TAKEN:
        action = ctypes.create_string_buffer(SIGACTION_BYTES)
        if libc.sigaction(number, None, action) == 0:
            before[number] = action
    try:
        yield
    finally:
        for number, action in before.items():
            libc.sigaction(number, action, None)


def _silence() -> None:
    """Keep Ray from the standard output, where it prints what befalls any worker, and its warnings from stderr."""
    from ray._private import worker

    logging.getLogger("ray").setLevel(logging.ERROR)
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = _log


def _log(data: Mapping[str, Any], *_: object, **__: object) -> None:
    for line in data.get("lines", ()):
        logger.debug("Ray: %s", line)
