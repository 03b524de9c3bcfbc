"""Whether a cluster can be joined, found out by another process, as `ray.init` may hang, print, or end the process."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from maskcast.errors import MaskcastError, UsageError, reason_of

# A cluster in the same building answers in milliseconds.
REACHED_SECONDS = 5.0
# Two to three seconds on a free machine; behind ray:// the cluster starts a process for each who joins.
JOINED_SECONDS = 60.0
ADDRESS = re.compile(r"(?:ray://)?(?P<host>\[[0-9a-fA-F:]+\]|[^:/@\s]+):(?P<port>[0-9]{1,5})")
ADVICE = "use auto, or HOST:PORT with or without ray:// in front"
VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")

JOIN = """
import json, os, sys
try:
    import ray
    ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
    said = None
except BaseException as error:
    said = f"{type(error).__name__}: {error}"
print("\\n" + json.dumps(said), flush=True)
os._exit(0)
"""


def running_here() -> str:
    """The address of the cluster that `ray start` began on this machine, by the file in which it is noted.

    Ray's own search for it takes any Ray that runs here, and so that of another command.

    Raises:
        UsageError: there is none.
    """
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - Ray's own rule
    with suppress(OSError):
        if noted := Path(folder, "ray", "ray_current_cluster").read_text(encoding="utf-8").strip():
            return noted
    advice = "start one (ray start --head), or give its address"
    raise UsageError("no Ray runs on this machine", where="auto", advice=advice)


def check_joining(address: str) -> None:
    """Return if this process could join the cluster.

    Args:
        address: ``HOST:PORT`` or ``ray://HOST:PORT``.

    Raises:
        UsageError: no cluster is there, its versions are others than here, or it refuses us.
    """
    _reach(address)
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, with words that are no options
            [sys.executable, "-c", JOIN, address],
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=JOINED_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        what = f"no Ray answers there within {JOINED_SECONDS:g} s"
        raise UsageError(what, where=address, advice="is it the address that `ray status` names?") from None
    except OSError as error:
        raise MaskcastError.wrap(error, where=address) from error
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        raise UsageError(
            f"Ray cannot join it: {_last_line(done.stderr) or f'exit code {done.returncode}'}", where=address
        ) from None
    if said is not None:
        raise _refusal(address, said, done.stderr)


def _reach(address: str) -> None:
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        raise UsageError("no address of a Ray cluster", where=address, advice=ADVICE)
    try:
        socket.create_connection((parts["host"].strip("[]"), int(parts["port"])), REACHED_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"no Ray is there: {reason_of(error)}", where=address, advice=ADVICE) from error


def _refusal(address: str, said: str, log: str = "") -> UsageError:
    """What kept the other process from joining, in words of ours where they are clearer.

    Args:
        address: of the cluster.
        said: the error's text.
        log: what Ray wrote meanwhile, which tells more at times.
    """
    versions = VERSIONS.findall(said)
    if len(versions) == 2:
        (ray, python), (ray_here, python_here) = versions
        return UsageError(
            f"it runs Ray {ray} and Python {python}, and here are Ray {ray_here} and Python {python_here}",
            where=address,
            advice="all machines need the same",
        )
    if "ray[client]" in said:
        return UsageError("ray:// needs the package grpcio", where=address, advice="pip install 'ray[client]'")
    if "AuthenticationError" in said or "InvalidAuthToken" in log:
        advice = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
        return UsageError("the cluster asks for its token", where=address, advice=advice)
    return UsageError(f"Ray cannot join it: {said.splitlines()[0]}", where=address)


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")
