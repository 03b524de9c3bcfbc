"""What CONTRIBUTING tells a newcomer to do, done to the letter."""

import os
import re
import subprocess
import sys

from tests import sinks_media
from tests.paths import ROOT
from tests.patience import patient

# The two steps, then what a user does with the new format.
SCRIPT = """
from pathlib import Path

import sinks.datasets
from sinks import formats

sinks.datasets.__path__.append(".")
exec(Path("entry.py").read_text(), vars(formats))

from streaming.cli.app import app

for arguments in (
    ["track", "clip.mp4", "--prompt", "star", "--model", "nano", "--out", "one.counts", "--out", "counts:two"],
    ["run", "run.toml"],
    ["track", "--help"],
):
    try:
        app(arguments)
    except SystemExit as end:
        if end.code:
            raise
"""
SETTINGS = """
[model]
name = "nano"
[http]
listen = ""
[streams.door]
source = "clip.mp4"
prompts = ["star"]
out = ["{stream}.counts", "counts:{stream}"]
"""


def test_a_sink_after_the_recipe_works_for_track_and_for_run_without_any_other_change(tmp_path):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Add a sink")[2]
    sink, entry, *_ = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "counts.py").write_text(sink, encoding="utf-8")
    added = entry.replace("    ...,\n", "    *FORMATS,\n")
    (tmp_path / "entry.py").write_text(f"from __future__ import annotations\n{added}", encoding="utf-8")
    (tmp_path / "run.toml").write_text(SETTINGS, encoding="utf-8")
    sinks_media.clip(tmp_path / "clip.mp4", seconds=1, size="320x180")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=patient(300),
    )
    assert done.returncode == 0, done.stderr
    written = [(tmp_path / name).read_text() for name in ("one.counts", "two", "door.counts", "door")]
    assert len(set(written)) == 1
    assert re.fullmatch(r"(\d+,\d+\n){25}", written[0])
    assert "*.counts (tracks a frame)" in " ".join(done.stdout.split())
