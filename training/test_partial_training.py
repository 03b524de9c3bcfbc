"""A stage that trains few parameters goes on from its checkpoint, and lets its average be measured."""

from __future__ import annotations

from pathlib import Path

import torch
from partial_training import PartialTraining, arguments
from torch import nn


def begin(folder: Path, *more: str) -> tuple[nn.Linear, PartialTraining]:
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    options = arguments(None, rate=0.1, seed=5).parse_args(["--model", "-", "--run", str(folder), *more])
    return layer, PartialTraining(folder / "part.pt", layer, nn.Module(), lambda _name: False, options)


def learn(layer: nn.Linear, training: PartialTraining, steps: int) -> None:
    for _ in range(steps):
        training.learn(layer(torch.ones(1, 3)).pow(2).sum(), {"figure": 1.0})


def test_a_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    layer, training = begin(tmp_path)
    bias = layer.bias.clone()
    learn(layer, training, 5)
    training.checkpoint()
    assert torch.equal(layer.bias, bias), "what requires no gradient stays"
    again, resumed = begin(tmp_path)
    assert resumed.step == 5
    assert resumed.seed == 10, "a resumed run does not see the same pictures again"
    assert torch.equal(again.weight, layer.weight)
    learn(layer, training, 3)
    learn(again, resumed, 3)
    assert torch.allclose(again.weight, layer.weight, atol=1e-3), "with its optimiser's state"


def test_the_average_is_measured_and_the_weights_go_on(tmp_path: Path) -> None:
    layer, training = begin(tmp_path)
    learn(layer, training, 20)
    now = layer.weight.detach().clone()
    with training.averaged():
        average = layer.weight.detach().clone()
    assert torch.equal(layer.weight, now)
    assert not torch.equal(average, now)
    training.checkpoint()
    resumed = begin(tmp_path)
    with resumed[1].averaged():
        assert torch.equal(resumed[0].weight, average)


def test_a_run_without_time_is_measured_and_over(tmp_path: Path) -> None:
    _, training = begin(tmp_path, "--minutes", "0.0001")
    while training.clock.share < 1:
        pass
    assert training.is_scored()
