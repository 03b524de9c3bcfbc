"""COCO files in other formats, read back by datumaro, which has an environment of its own here."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from maskcast.errors import MaskcastError
from sinks import open_sink
from sinks.datasets.conversion import FORMATS, LACKING, convert, read_annotations
from streaming.cli import convert as command
from streaming.cli.app import app
from tests import sinks_media
from tests.paths import ROOT
from tests.patience import patient
from tests.tracking import one_line

SIZE = (90, 160)


async def coco(path: Path, count: int = 3) -> Path:
    results = list(sinks_media.results((sinks_media.frame(n, sinks_media.grey(*SIZE)) for n in range(4)), count))
    await sinks_media.feed(open_sink(str(path), prompts=("bus", "person")), sinks_media.info(160, 90), results)
    return path


async def test_what_a_file_says(tmp_path: Path) -> None:
    found = read_annotations(await coco(tmp_path / "c.json"))
    assert (found.width, found.height, found.labels) == (160, 90, ["bus", "person", "red car"])
    assert found.file_names == [f"test/{number:06d}.jpg" for number in range(4)]
    assert {track: (label, len(masks)) for track, (label, masks) in found.tracks.items()} == {1: (1, 4), 2: (2, 4)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "c.json: is no JSON"),
        ("[]", "c.json: is no COCO file of one video"),
        ('{"videos": []}', "c.json: is no COCO file of one video"),
        ('{"images": [], "annotations": []}', "c.json: is no COCO file of one video, as Maskcast writes it (KeyError"),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.json").write_text(text)
    done = CliRunner().invoke(app, ["convert", str(tmp_path / "c.json"), "--to", "voc", "--out", str(tmp_path / "o")])
    assert done.exit_code == 3
    assert said in one_line(done)


async def test_what_cannot_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, out = await coco(tmp_path / "c.json"), tmp_path / "out"
    with pytest.raises(MaskcastError, match="--to: datumaro cannot write yolo-seg: of YOLO it writes boxes alone"):
        convert(file, "yolo-seg", out)
    with pytest.raises(MaskcastError, match="datumaro cannot write label-studio"):
        convert(file, "label-studio", out)
    with pytest.raises(MaskcastError, match="unknown format 'x'; use cvat, voc, png"):
        convert(file, "x", out)
    with pytest.raises(MaskcastError, match=r"no picture test/000000\.jpg; 4 are missing"):
        convert(file, "voc", out, tmp_path)
    monkeypatch.setitem(sys.modules, "datumaro", None)
    with pytest.raises(MaskcastError, match=r"datumaro is missing; install Maskcast's extra \[convert\]") as missing:
        convert(file, "voc", out)
    assert missing.value.exit_code == 2
    assert not out.exists()
    document = json.loads(file.read_text())
    document["annotations"][0]["id"] = 1204
    file.write_text(json.dumps(document))
    with pytest.raises(MaskcastError, match="png holds ids of tracks up to 999"):
        convert(file, "png", out)
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(MaskcastError, match="out: exists already"):
        convert(file, "voc", out)


def test_the_help_names_the_formats() -> None:
    assert " or ".join(", ".join(FORMATS).rsplit(", ", 1)) == command.FORMATS
    assert not FORMATS.keys() & LACKING.keys()


READ_BACK = """
import json, sys
import numpy as np
from datumaro.components.dataset import Dataset

folder, importer = sys.argv[1:]
found = Dataset.import_from(folder, importer)
labels = [label.name for label in next(iter(found.categories().values())).items]
for item in found:
    for one in item.annotations:
        if one.type.name == "mask":
            track = one.attributes.get("track_id", one.group)
            told = [item.id, labels[one.label], track, np.flatnonzero(one.image).tolist()]
            print(json.dumps(told, default=int))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with datumaro, and behind it all that this one has."""
    folder = tmp_path_factory.mktemp("datumaro")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    pip = [interpreter, "-m", "pip", "install", "--quiet", "datumaro>=1.13,<2"]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"datumaro cannot be installed: {done.stderr.splitlines()[-1]}")
    packages = next((folder / "lib").glob("python3*/site-packages"))
    ours = [ROOT, *(path for path in sys.path if path.endswith("site-packages"))]
    (packages / "ours.pth").write_text("".join(f"{path}\n" for path in ours))
    return interpreter


@pytest.mark.slow
@pytest.mark.parametrize(("to", "importer"), [("cvat", "cvat"), ("voc", "voc"), ("png", "mots")])
async def test_datumaro_reads_the_same_masks(tmp_path: Path, python: Path, to: str, importer: str) -> None:
    file, out, images = await coco(tmp_path / "c.json", count=2), tmp_path / "out", tmp_path / "images"
    found = read_annotations(file)
    for name in found.file_names:
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(images / name)
    told = [python, "-m", "maskcast", "convert", file, "--to", to, "--out", out, "--images", images]
    done = subprocess.run(told, capture_output=True, text=True, timeout=patient(60), check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"wrote {out} (4 frames, {to})\n"
    asked = [python, "-c", READ_BACK, out, importer]
    back = subprocess.run(asked, capture_output=True, text=True, timeout=patient(60), check=True).stdout
    read = [json.loads(line) for line in back.splitlines()]

    expected: list[Any] = []
    for number, name in enumerate(found.file_names):
        some = sinks_media.tracks(SIZE, number, 2)[:1]  # the other one is tentative in all frames
        full = [track.mask.full() for track in some]
        for track, mask in zip(some, full, strict=True):
            expected.append([name.removesuffix(".jpg"), track.prompt, track.id, np.flatnonzero(mask).tolist()])
    if to == "voc":  # has no ids of tracks
        read, expected = [[*one[:2], one[3]] for one in read], [[*one[:2], one[3]] for one in expected]
    assert sorted(read) == sorted(expected)
    assert len(expected) == 4
