"""The paragraphs of docs/python.md run as they stand."""

import re
import shutil

import cv2
import numpy as np
import pytest

from tests import forked
from tests.paths import ROOT

FRAMES = 3


@pytest.mark.long
def test_the_paragraphs_run_one_after_the_other(tmp_path):
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    shutil.copy(ROOT / "streaming" / "commands" / "demo.mp4", tmp_path / "clip.mp4")
    (command,) = re.findall(r"# maskcast (track .*)", text)
    done = forked.run(*command.split(), "--max-frames", str(FRAMES), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    script = tmp_path / "page.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)), encoding="utf-8")
    done = forked.run(folder=tmp_path, script=script)
    assert done.returncode == 0, done.stderr
    assert "new: 1 " in done.stdout
    assert "no such file" in done.stdout.splitlines()[-1]
    assert re.search(r"^\[\(1, 'red circle', 2\d\d\d\)\]$", done.stdout, re.MULTILINE), "a circle of 30 pixels' radius"
    assert "20 results of a hot start\n" in done.stdout
    assert "{'door': ['red circle'], 'yard': []}\n" in done.stdout
    assert re.search(r"^\[.*\('ball', [01]\.\d+\)", done.stdout, re.MULTILINE)
    supervised = cv2.imread(str(tmp_path / "masks" / "supervision.png"))
    assert supervised.shape == cv2.imread(str(tmp_path / "masks" / "000004_ids.png"), cv2.IMREAD_COLOR).shape
    assert "s crossed middle to the right\n" in done.stdout
    assert "{'to the left': {'red circle': 0}, 'to the right': {'red circle': 1}}" in done.stdout
    assert "still [1]\n" in done.stdout
    ids = cv2.imread(str(tmp_path / "masks" / "000004_ids.png"), cv2.IMREAD_UNCHANGED)
    assert ids.dtype == np.uint16
    assert len(np.unique(ids)) > 1
    star = cv2.imread(str(next((tmp_path / "masks").glob("000004_[0-9]*.png"))), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(star)) == {0, 255}
    drawn = [cv2.imread(str(file)) for file in sorted((tmp_path / "masks").glob("drawn_*.jpg"))]
    assert len(drawn) == FRAMES
