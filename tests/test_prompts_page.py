"""What docs/prompts.md shows is true: its files load, its paragraph runs."""

import re
import shutil
import tomllib
from dataclasses import fields

from maskcast.prompts import MOST_MIN_FRAMES, MOST_PROMPTS, Prompt
from streaming.settings.prompt_file import load_prompts
from streaming.settings.tables import Settings
from tests import forked
from tests.paths import ROOT
from trackers.conditions import COVERED_SHARE, GROUP_IOU, SLACK
from trackers.naming import MARGIN, MOMENTUM, PATIENCE_FRAMES

PAGE = (ROOT / "docs" / "prompts.md").read_text(encoding="utf-8")


def test_it_names_each_condition_and_the_constants():
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    assert re.findall(r"`(\w+)`", " ".join(rows)) == [field.name for field in fields(Prompt)]
    assert (SLACK, COVERED_SHARE, GROUP_IOU, MOMENTUM, MARGIN, PATIENCE_FRAMES) == (0.2, 0.5, 0.1, 0.8, 0.1, 5)
    text = " ".join(PAGE.split())
    for said in (
        "up to 20 % beyond",
        "at least half of its mask",
        "IoU above 0.1",
        "weighs 0.8",
        "more than 0.1 in five",
    ):
        assert said in text
    assert f"1 to {MOST_MIN_FRAMES}" in text
    assert f"looks for {MOST_PROMPTS} phrases" in text


def test_its_files_load_and_its_paragraph_runs(tmp_path):
    settings, people = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    site = Settings.model_validate(tomllib.loads(settings)).streams["site"]
    assert [(prompt.name, prompt.group) for prompt in site.wanted()] == [
        ("forklift", None),
        ("helmet", "person"),
        ("no helmet", "person"),
    ]
    (tmp_path / "people.toml").write_text(people)
    assert [prompt.name for prompt in load_prompts(tmp_path / "people.toml")] == ["helmet", "no helmet"]

    shutil.copy(ROOT / "streaming" / "commands" / "demo.mp4", tmp_path / "clip.mp4")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "page.py").write_text(code)
    done = forked.run(folder=tmp_path, script=tmp_path / "page.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['ball', 'ball', 'thing', 'thing']"] * 3
