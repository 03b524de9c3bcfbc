"""What is left of a Ray of our own when the command has ended, however it did, is ended and removed by this program.

Ray's servers die with the command, but some of its processes live on for a minute (Ray 2.60), a worker for as long as
its model is busy, and its folder stays for ever. It is started by path and imports nothing of ours: that takes
milliseconds.

    python guard.py FOLDER    # where all of Ray's processes write to; waits until its standard input ends
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

# They may end by themselves, and say why in their logs.
GRACE_SECONDS = 3.0
# Then they are killed, which takes a busy machine some time.
MOST_SECONDS = 30.0


def processes_of(folder: Path) -> list[int]:
    """Those of this user whose standard output or error goes to a file in the folder, as that of all of Ray's does."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any((process / "fd" / output).readlink().is_relative_to(folder) for output in "12"):
                found.append(int(process.name))
    return found


def clear(folder: Path, grace: float = GRACE_SECONDS) -> None:
    """End the processes of the folder, and remove it."""
    began = time.monotonic()
    while (left := processes_of(folder)) and time.monotonic() < began + MOST_SECONDS:
        if time.monotonic() > began + grace:
            for number in left:
                with suppress(OSError):
                    os.kill(number, signal.SIGKILL)
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.read()
    clear(Path(sys.argv[1]))
