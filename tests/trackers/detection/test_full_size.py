"""The published S0 configuration at full size, with random weights: it loads, fits and runs. Minutes and 3 GB."""

import numpy as np
import pytest
import torch
from transformers import Sam3LiteTextConfig, Sam3LiteTextModel

from tests import tiny
from tests.frames import frame
from trackers.engine import Engine
from trackers.options import EngineOptions


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_frame_of_the_full_size_model(tmp_path):
    configuration = Sam3LiteTextConfig(text_config={"num_hidden_layers": 6, "vocab_size": 49408})
    torch.manual_seed(0)
    model = Sam3LiteTextModel(configuration)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert 480e6 < count < 560e6, f"{count / 1e6:.0f} M parameters"
    with torch.no_grad():  # random weights are unsure of everything: let them be sure
        model.detr_decoder.presence_head.layer3.bias.fill_(10.0)
        model.dot_product_scoring.query_proj.weight.mul_(200.0)
    model.half().save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    del model

    engine = Engine(EngineOptions(str(tmp_path), "cpu"))
    stream = engine.open_stream(["person", "red car"])
    picture = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    ((result,),) = engine.step([stream], [frame(0, picture)])
    assert all(track.mask.size == (720, 1280) for track in result.tracks)
