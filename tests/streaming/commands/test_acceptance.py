"""`maskcast check --model` end to end: a tiny checkpoint, and a real server for the pictures."""

import io
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from streaming.cli.app import app
from streaming.commands import acceptance as command
from streaming.commands import reference_pictures
from tests import tiny
from tests.tracking import one_line
from trackers.detection import acceptance
from trackers.detection.acceptance import Match, box_iou
from trackers.detection.detector import Detector


def jpeg(seed, size=(160, 96)):
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1] // 8, size[0] // 8, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(content, "JPEG")
    return content.getvalue()


@pytest.fixture
def pictures(monkeypatch):
    """What the server gives, by name; it can be changed."""
    given = {question.picture: jpeg(seed) for seed, question in enumerate(acceptance.QUESTIONS)}

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            content = given.get(self.path.strip("/"))
            self.send_response(200 if content else 404)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(reference_pictures, "HOST", f"http://127.0.0.1:{server.server_port}")
        yield given
        server.shutdown()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny.save(tmp_path_factory.mktemp("models") / "detector", seed=0))


@pytest.fixture(autouse=True)
def _low(monkeypatch, tmp_path):
    """A random model is sure of nothing; and pictures of other tests are not taken from the cache."""
    questions = [replace(question, threshold=0.0) for question in acceptance.QUESTIONS]
    monkeypatch.setattr(acceptance, "QUESTIONS", questions)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def check(model):
    return CliRunner().invoke(app, ["check", "--model", model, "--device", "cpu"])


def found(output):
    """Score and box by phrase and context."""
    said = {}
    for line in output.splitlines():
        if " tokens: score " in line:
            question, _, answer = line.partition(" tokens: score ")
            score, _, box = answer.partition(", box ")
            phrase, context = question.split(", ")
            said[phrase.strip("'"), int(context)] = Match(float(score), tuple(map(float, box.split(", "))))
    return said


def test_of_another_model_the_answers_are_shown(pictures, model):
    done = check(model)
    assert done.exit_code == 0, done.output
    said = found(done.stdout)
    assert set(said) == {(phrase, context) for phrase in ("ear", "dial") for context in (16, 32, 77)}
    assert all(0 < match.score < 1 and match.box[2] <= 160.1 and match.box[3] <= 96.1 for match in said.values())
    assert done.stdout.splitlines()[-1] == f"nothing is known of {model} to compare with"
    pictures.clear()
    assert check(model).stdout == done.stdout, "from the cache"


@pytest.mark.parametrize("context", [16, 77])
def test_what_is_known_is_found_and_the_context_that_fits_best_is_named(pictures, model, monkeypatch, context):
    said = found(check(model).stdout)
    known = tuple(said[phrase, context] for phrase in ("ear", "dial"))
    monkeypatch.setitem(acceptance.KNOWN, model, known)
    done = check(model)
    assert done.exit_code == 0, done.output
    assert f"'ear', expected: score {known[0].score:.4f}, box " in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f"{context} tokens fit best")
    assert "it finds what the published one finds" in done.stdout


def test_a_model_that_finds_something_else_fails(pictures, model, monkeypatch):
    known = (Match(0.9137, (1, 1, 9, 9)), Match(0.5882, (20, 20, 30, 30)))
    monkeypatch.setitem(acceptance.KNOWN, model, known)
    done = check(model)
    assert done.exit_code == 5
    assert "it does not find what the published one finds" in done.output
    assert "expected: score 0.9137" in done.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be fetched: the server answers 404"),
        (b"<html>please log in</html>", "what came is no JPEG"),
        (b"\xff\xd8" + bytes(5 << 20), "longer than 2 MiB"),
    ],
)
def test_pictures_that_cannot_be_had(pictures, model, content, said):
    pictures[acceptance.QUESTIONS[0].picture] = content
    done = check(model)
    assert done.exit_code == 3
    assert said in done.output
    assert "can be put there by hand: " in done.output


def test_without_a_network(monkeypatch, model):
    monkeypatch.setattr(reference_pictures, "HOST", "http://127.0.0.1:9")
    done = check(model)
    assert done.exit_code == 3
    assert "cannot be fetched" in done.output


def test_one_context_that_fits_goes_before_one_that_is_nearer_in_sum(pictures, monkeypatch, model):
    box = (10.0, 10.0, 50.0, 50.0)
    known = (Match(0.9, box), Match(0.6, box))
    given = {16: [Match(0.9, box), Match(0.579, box)], 32: [Match(0.881, box), Match(0.581, box)]}
    monkeypatch.setitem(acceptance.KNOWN, model, known)
    monkeypatch.setattr(acceptance, "answers", lambda *_: given)
    done = check(model)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].endswith("32 tokens fit best")


def test_of_a_device_that_fails_one_line_tells(pictures, monkeypatch, model):
    def failing(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Detector, "encode", failing)
    done = check(model)
    assert done.exit_code == 5
    assert "cpu is out of memory" in one_line(done)


def test_a_device_that_is_not_there_is_told_before_anything_is_fetched(monkeypatch):
    monkeypatch.setattr(command, "fetch_first", lambda *_: pytest.fail("fetched first"))
    done = CliRunner().invoke(app, ["check", "--model", "owner/name", "--device", "cuda:99"])
    assert (done.exit_code, "cuda:99" in one_line(done)) == (2, True)


def test_a_device_without_a_model_is_not_passed_over():
    done = CliRunner().invoke(app, ["check", "--device", "cpu"])
    assert (done.exit_code, one_line(done)) == (2, "--device goes with --model")


def test_settings_and_a_model_are_two_checks(tmp_path, model):
    done = CliRunner().invoke(app, ["check", str(tmp_path / "a.toml"), "--model", model])
    assert done.exit_code == 2
    assert "are two checks" in done.output


def test_overlap_of_boxes():
    assert box_iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 1, 1), (2, 2, 3, 3)) == box_iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0
