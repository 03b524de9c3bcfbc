"""The README's lines for a new user with a GPU, run as they stand from an empty home, against a hub on loopback."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests import hub as stand_in
from tests import sinks_media, tiny, tiny_sam2
from tests.paths import ROOT
from tests.patience import patient
from trackers import defaults

LINES = 5


def commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("**With a GPU**")[2]
    block = re.search(r"```\n(.*?)```", text, re.DOTALL)
    assert block is not None
    return block[1].splitlines()


def test_five_lines_from_an_empty_home(tmp_path: Path) -> None:
    install, *lines = commands()
    assert len(lines) == LINES - 1
    assert shlex.split(install, comments=True) == ["make", "install"]  # tests/test_packaging.py has the ways to install
    home, folder = tmp_path / "home", tmp_path / "videos"
    home.mkdir()
    folder.mkdir()
    sinks_media.clip(folder / "street.mp4", seconds=0.2)
    model, _, commit = defaults.MODEL.partition("@")
    with stand_in.serving() as hub:
        hosted = hub.host(model, tiny.save(tmp_path / "model"))
        hosted.commits[commit] = hosted.commits[hosted.commit]
        hosted.push({"config.json": b"{}", "model.safetensors": b"what its owners pushed since"})
        hub.host("facebook/sam2.1-hiera-tiny", tiny_sam2.save(tmp_path / "tracker"))
        environment = hub.environment(home) | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        for line in lines:
            first, *arguments = shlex.split(line, comments=True)
            assert first == "maskcast"
            before = hub.count(".safetensors")
            done = subprocess.run(
                [sys.executable, "-m", "maskcast", *arguments],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=patient(120),
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            assert arguments[0] == "fetch" or hub.count(".safetensors") == before, "all was fetched by then"
        assert not any(asked.token for asked in hub.asked)
    assert "memory" in done.stderr, "the tracker that it took"
    assert (folder / "street.out.mp4").stat().st_size > 0
