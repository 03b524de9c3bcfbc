"""What the shipped weights answer to boxes: a smaller set than `evaluate.py`'s."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from box_score import box_questions, score_boxes
from prompts import VISUAL, VISUAL_TOKEN
from region_pooling import stand_in
from transformers import AutoTokenizer, Sam3VideoModel

NANO = Path(__file__).resolve().parent.parent / "trackers" / "nano"


@pytest.fixture(scope="module")
def model() -> Sam3VideoModel:
    stand_in()
    return Sam3VideoModel.from_pretrained(NANO, dtype=torch.float32).eval()


def test_the_shipped_weights_find_more_of_the_example_and_drop_what_is_ruled_out(model: Sam3VideoModel) -> None:
    tokenizer = AutoTokenizer.from_pretrained(NANO)
    assert tokenizer(VISUAL)["input_ids"][1] == VISUAL_TOKEN
    result = score_boxes(model.detector_model, tokenizer, box_questions(30, 900_001))
    assert result["example"]["f1"] > result["in words"]["f1"] - 0.15
    assert result["example"]["others"] > 0.6
    assert result["negative"]["alike"] < 0.35
    assert result["phrase"]["alike"] > 0.6, "without the box the phrase finds them"
