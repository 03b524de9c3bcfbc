"""Temporary folders of a node: nothing stays, whoever is killed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from maskcast.errors import MaskcastError
from streaming.cluster.node_folder import node_folder
from tests.paths import ROOT


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_folder_of_a_killed_owner_is_removed_by_the_next(temporary: Path) -> None:
    code = (
        "import sys, tempfile, time; tempfile.tempdir = sys.argv[1]\n"
        "from streaming.cluster.node_folder import node_folder\n"
        "with node_folder() as folder:\n"
        "    (folder / 'video.mp4').write_bytes(b'x'); print(folder, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, temporary], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        theirs = Path(other.stdout.readline().strip())
        with node_folder() as ours:
            assert theirs.exists()
            assert ours.exists()
        other.kill()
    with node_folder():
        assert not theirs.exists()
    assert not any(path.is_file() for path in temporary.rglob("*"))


def test_many_make_folders_at_the_same_time(temporary: Path) -> None:
    failures: list[MaskcastError] = []

    def work() -> None:
        for _ in range(50):
            try:
                with node_folder() as folder:
                    (folder / "x").write_bytes(b"x")
                    assert (folder / "x").exists()
            except (MaskcastError, AssertionError, OSError) as error:
                failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert not any(path.is_file() for path in temporary.rglob("*"))


def test_a_folder_that_others_may_write_is_refused(temporary: Path) -> None:
    """Another user could have made it first, and would replace what is read from there."""
    root = temporary / f"maskcast-{os.getuid()}-{platform.node()}"
    root.mkdir()
    root.chmod(0o777)
    with pytest.raises(MaskcastError, match="not ours alone"), node_folder():
        pass
    root.rmdir()
    (temporary / "theirs").mkdir()
    root.symlink_to(temporary / "theirs")
    with pytest.raises(MaskcastError, match="not ours alone"), node_folder():
        pass
