"""One process records into a folder, with as many sinks as it likes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maskcast.errors import SinkError
from sinks.video.folder_lock import FolderLock
from tests import processes
from tests.paths import ROOT


def test_two_processes_do_not_record_into_one_folder(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from sinks.video.folder_lock import FolderLock
FolderLock(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    with processes.running(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(SinkError, match="another process records into"):
            FolderLock(tmp_path)
        other.kill()
    one, two = FolderLock(tmp_path), FolderLock(tmp_path)
    one.release()
    assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True, input=b"").returncode == 1
    two.release()
    assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True, input=b"").returncode == 0
