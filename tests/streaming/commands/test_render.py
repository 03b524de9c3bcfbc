"""`maskcast render` as a user runs it."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests import sinks_media
from tests.rendering import SIZE, read, render, stored
from tests.tracking import one_line

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("render")
    return sinks_media.clip(folder / "clip.mp4", seconds=1, size="160x90", audio=("-c:a", "aac"))


def test_every_output_from_stored_results(tmp_path, clip):
    lines = stored(tmp_path / "in.jsonl", range(25))
    outs = [tmp_path / name for name in ("out.mp4", "out.jsonl", "out.json", "out.txt")]
    done = render(clip, lines, *(item for out in outs for item in ("--out", out)))
    assert done.exit_code == 0, done.stderr
    summary, *wrote = done.stderr.splitlines()
    assert summary.startswith("clip: 25 frames, 2 tracks, ")
    assert len(wrote) == 6
    assert len(sinks_media.times(outs[0])) == 25
    assert sinks_media.hashes(outs[0]) == sinks_media.hashes(clip)
    assert outs[1].read_bytes() == lines.read_bytes()
    coco = json.loads(outs[2].read_text())
    assert [(one["id"], one["name"]) for one in coco["categories"]] == [(1, "person"), (2, "red car")]
    assert coco["videos"][0]["length"] == 25
    assert len(outs[3].read_text().splitlines()) == 50
    assert render(clip, lines, "--out", outs[1]).exit_code == 2
    assert render(clip, lines, "--out", outs[1], "--force").exit_code == 0


def test_no_model_is_loaded(tmp_path, clip):
    lines = stored(tmp_path / "in.jsonl", range(3))
    arguments = ["render", str(clip), str(lines), "--out", str(tmp_path / "out.mp4")]
    code = (
        "import sys; from typer.testing import CliRunner; from streaming.cli.app import app\n"
        f"done = CliRunner().invoke(app, {arguments!r})\n"
        "assert done.exit_code == 0, done.stderr\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_frames_without_a_result_are_left_out(tmp_path, clip):
    """As they were when it was tracked; their sound stays."""
    lines = stored(tmp_path / "in.jsonl", [0, 1, 5, 6, 20])
    video, again = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    done = render(clip, lines, "--out", video, "--out", again)
    assert done.exit_code == 0, done.stderr
    assert "16 frames without a result were left out" in done.stderr.splitlines()
    assert sinks_media.times(video) == pytest.approx([index / 25 for index in (0, 1, 5, 6, 20)])
    assert again.read_bytes() == lines.read_bytes()
    told, heard = sinks_media.hashes(clip), sinks_media.hashes(video)
    assert heard == told[: len(heard)]
    assert len(heard) > 0.75 * len(told)


def test_results_in_which_nothing_was_found(tmp_path, clip):
    lines, out = stored(tmp_path / "in.jsonl", range(3), tracks=lambda *_: ()), tmp_path / "out.jsonl"
    done = render(clip, lines, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert out.read_bytes() == lines.read_bytes()


def test_the_numbers_of_prompts_are_chosen(tmp_path, clip):
    lines, out = stored(tmp_path / "in.jsonl", range(3)), tmp_path / "out.json"
    done = render(clip, lines, "--prompt", "bus", "--prompt", "red car", "--out", out)
    assert done.exit_code == 0, done.stderr
    categories = json.loads(out.read_text())["categories"]
    assert [(one["id"], one["name"]) for one in categories] == [(1, "bus"), (2, "red car"), (3, "person")]


def test_what_is_lost_stays_hidden(tmp_path, clip):
    """Lines hold no events: that a track is gone for good is known from the frames in which it is."""
    lines, video = stored(tmp_path / "in.jsonl", range(25)), tmp_path / "out.mkv"
    kept = [line | {"tracks": line["tracks"] if number < 2 else []} for number, line in enumerate(read(lines))]
    lines.write_text("".join(f"{json.dumps(line)}\n" for line in kept))
    done = render(clip, lines, "--style", "person=fill", "--out", video, "--quality", "1")
    assert done.exit_code == 0, done.stderr
    left, top, width, height = kept[1]["tracks"][0]["bbox"]
    inside = (slice(int(top + height / 3), int(top + height / 2)), slice(int(left + width / 3), int(left + width / 2)))
    pictures = [frame.picture.rgb()[inside] for frame in sinks_media.decode(video, audio=False)[1]]
    for picture in (pictures[1], pictures[24]):
        assert np.ptp(picture, axis=(0, 1)).max() < 12, "one colour, in a picture that has none"
    assert "--style" in one_line(render(clip, lines, "--style", "cat=fill", "--out", video, "--force"))


def test_pictures_of_a_folder(tmp_path):
    folder, out = tmp_path / "pictures", tmp_path / "out.jsonl"
    folder.mkdir()
    names = [f"{number}.png" for number in (1, 2, 10)]
    for name in names:
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / name)
    lines = stored(tmp_path / "in.jsonl", range(3), names=names)
    done = render(folder, lines, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert read(out) == read(lines)
    (folder / "2.png").rename(folder / "3.png")
    done = render(folder, lines, "--out", out, "--force")
    assert done.exit_code == 2
    assert "in.jsonl: frame 1 is 2.png, and in the source 3.png" in one_line(done)


@pytest.mark.parametrize(
    ("results", "code", "said"),
    [
        ({"indices": range(25), "size": (90, 162)}, 2, "frame 0 has 162 x 90 pixels, and in the video 160 x 90"),
        ({"indices": range(25), "shift": 0.04}, 2, "frame 0 is at 0.040 s, in the video at 0.000 s"),
        ({"indices": range(30)}, 3, "5 of its 30 frames are not in"),
        ({"indices": range(2), "names": ["a.png", "b.png"]}, 2, "frame 0 is a.png, and in the source no file of its"),
        ({"indices": ()}, 3, "no results in it"),
    ],
)
def test_results_of_something_else(tmp_path, clip, results, code, said):
    done = render(clip, stored(tmp_path / "in.jsonl", **results), "--out", tmp_path / "out.jsonl")
    assert done.exit_code == code, done.stderr
    assert said in one_line(done)


def test_damaged_results(tmp_path, clip):
    lines = stored(tmp_path / "in.jsonl", range(25))
    text = lines.read_text().splitlines()
    text[3] = text[3].replace('"counts":"', '"counts":"zz')
    lines.write_text("\n".join(text))
    out = tmp_path / "out.jsonl"
    done = render(clip, lines, "--out", out)
    assert done.exit_code == 3
    assert "in.jsonl: frame 3: track 1: the run lengths are" in one_line(done)
    assert len(out.read_text().splitlines()) == 3
    text[3] = "nonsense"
    lines.write_text("\n".join(text))
    done = render(clip, lines, "--out", out, "--force")
    assert done.exit_code == 3
    assert "in.jsonl, line 4: no message of maskcast.frame" in one_line(done)
    assert len(out.read_text().splitlines()) == 3, "what cannot be read is known before anything is written"


@pytest.mark.parametrize("which", [0, 1])
def test_an_input_is_not_overwritten(tmp_path, clip, which):
    lines = stored(tmp_path / "in.jsonl", range(3))
    done = render(clip, lines, "--out", f"jsonl:{(clip, lines)[which]}", "--force")
    assert done.exit_code == 2
    assert "is the input itself" in one_line(done)
