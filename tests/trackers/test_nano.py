"""Are the masks right? The embedded checkpoint on rendered scenes whose truth is known, through the product's own code.

The floors are a little below what `training/evaluate.py` measured on many more scenes (training/README.md), so that a
regression anywhere (pre-processing, detector, association, memory, resizing) turns them red.
"""

import importlib
import pickle
import sys

import numpy as np
import pytest
import torch
from transformers import Sam3VideoModel

from maskcast.frame import Frame
from sources.picture import ArrayPicture
from streaming.commands.demo import CLIP, PROMPTS
from tests.frames import START
from tests.paths import ROOT
from tests.shared import once
from trackers.detection.checkpoint import load_checkpoint
from trackers.detection.detector import Detector
from trackers.detection.text import TextEncoder
from trackers.engine import Engine
from trackers.hub.name import EMBEDDED
from trackers.masks import upscale
from trackers.options import EngineOptions

TRAINING = ROOT / "training"
PRECISION, RECALL, IOU, FALSE_ALARMS = 0.93, 0.88, 0.86, 0.05
FLOORS = {"memory": {"idf1": 0.90, "j": 0.76}, "association": {"idf1": 0.76, "j": 0.58}}
IDS_KEPT = 0.83
DEMO_IOU = 0.84
SEED = 900_500  # training never uses seeds from 900,000 on


@pytest.fixture(scope="session")
def training():
    """Imports a module of training/, which are scripts beside each other."""
    sys.path.insert(0, str(TRAINING))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(TRAINING))


def test_it_is_small_and_transformers_loads_it_unmodified():
    files = list(EMBEDDED["nano"].iterdir())
    assert sum(file.stat().st_size for file in files) <= 16_000_000
    model, report = Sam3VideoModel.from_pretrained(EMBEDDED["nano"], output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    detector = sum(parameter.numel() for parameter in model.detector_model.parameters())
    assert detector < 5.2e6
    assert "real world" in (EMBEDDED["nano"] / "README.md").read_text()


def test_detection(training):
    score = training("detection_score")
    checkpoint = load_checkpoint("nano")
    cpu = torch.device("cpu")
    text = TextEncoder(checkpoint, cpu, torch.float32)
    detector = Detector(checkpoint, cpu, torch.float32)
    tally, absent, alarms = score.Tally(), 0, 0
    for question in score.questions(120, SEED):
        features = detector.encode([question.image])
        (found,) = detector.detect(features, [[text.embed(question.prompt.text())]])
        order = torch.argsort(found.scores, descending=True)
        size = question.image.shape[:2]
        full = [upscale(logits.numpy(), size).full() for logits in found.logits[order]]
        masks = np.stack(full) if full else np.zeros((0, *size), np.bool_)
        if len(question.masks):
            score.judge(masks, question.masks, tally)
        else:
            absent += 1
            alarms += len(found) > 0
    table = tally.table()
    assert table["precision"] >= PRECISION, table
    assert table["recall"] >= RECALL, table
    assert table["iou"] >= IOU, table
    assert alarms / absent <= FALSE_ALARMS


def follow(tracker, cases):
    """For each case and frame the masks by track id, as published."""
    engine = Engine(EngineOptions("nano", "cpu", tracker))
    answers = []
    for case in cases:
        stream = engine.open_stream([case.prompt.text()])
        tracks = []
        for index, image in enumerate(case.clip.frames):
            moment = Frame("clip", index, index / 25, START, ArrayPicture(image.copy()))
            ((result,),) = engine.step([stream], [moment])
            tracks.append({track.id: track.mask for track in result.tracks})
        answers.append(tracks)
    return answers


def full(answers):
    """Whole masks, as they are scored."""
    return [[{name: mask.full() for name, mask in frame.items()} for frame in tracks] for tracks in answers]


@pytest.fixture(scope="session")
def occlusions(training, tmp_path_factory):
    """Six objects that hide, and what the memory tracker says of them."""
    pytest.importorskip("trackeval", reason="TrackEval is not installed")
    cases = training("tracking_score").occlusion_cases(6, 840_001)
    folder = once(
        tmp_path_factory,
        "occlusions",
        lambda made: (made / "answers").write_bytes(pickle.dumps(follow("memory", cases))),
    )
    return cases, full(pickle.loads((folder / "answers").read_bytes()))


@pytest.mark.long
@pytest.mark.parametrize("tracker", ["memory", "association"])
def test_tracking(training, tracker, request):
    pytest.importorskip("trackeval", reason="TrackEval is not installed")
    score = training("tracking_score")
    cases = score.random_cases(4, SEED, frames=24)
    if tracker == "memory":  # what is asked of its ids below is also asked of its masks
        hidden, followed = request.getfixturevalue("occlusions")
    else:
        hidden = score.occlusion_cases(2, SEED)
        followed = full(follow(tracker, hidden))
    table = score.score_tracks([*cases, *hidden], [*full(follow(tracker, cases)), *followed])
    floor = FLOORS[tracker]
    assert table["idf1"] >= floor["idf1"], table
    assert table["j"] >= floor["j"], table


def test_ids_are_kept_through_full_occlusions(training, occlusions):
    """Two of these six objects come back unseen by memory: re-identified by appearance, or they lose their ids."""
    table = training("tracking_score").score_tracks(*occlusions)
    assert table["ids_kept"] >= IDS_KEPT, table
    assert table["idf1"] >= FLOORS["memory"]["idf1"], table


@pytest.mark.long
def test_the_demo_clip_is_followed(training):
    """Every object of the bundled clip is found under its own phrase, and one that is not there is not."""
    from sources import open_source

    clip = training("render_demo").render()
    engine = Engine(EngineOptions("nano", "cpu"))
    stream = engine.open_stream([*PROMPTS, "purple cross"])
    seen = dict.fromkeys([*PROMPTS, "purple cross"], 0)
    ious = []
    prompts = training("prompts")
    for index, frame in enumerate(open_source(str(CLIP))):
        if index % 3:
            continue  # a third of the frames is enough, and three times as fast
        ((result,),) = engine.step([stream], [frame])
        for track in result.tracks:
            if track.state != "confirmed":
                continue
            seen[track.prompt] += 1
            wanted = [
                clip.labels[index] == number + 1
                for number, look in enumerate(clip.looks)
                if matches(prompts, track.prompt, look)
            ]
            full = track.mask.full()
            ious.append(max(((full & w).sum() / (full | w).sum() for w in wanted), default=0.0))
    assert seen["purple cross"] <= 2
    assert all(seen[prompt] >= 20 for prompt in PROMPTS), seen
    assert np.mean(ious) >= DEMO_IOU


def matches(prompts, text, look):
    """Whether a phrase of the demo names an object."""
    colours, shapes = prompts.COLOURS, prompts.SHAPES
    words = text.split()
    colour = next((colours.index(word) for word in words if word in colours), None)
    shape = next((shapes.index(word) for word in words if word in shapes), None)
    return prompts.Prompt(colour, shape).matches((look.colour, look.shape))
