import pytest
import torch

from maskcast.errors import ModelError, UsageError
from tests.gpus import Gpu, pretend
from trackers.precision import resolve_precision

CPU, MPS = torch.device("cpu"), torch.device("mps")
FIRST, SECOND = torch.device("cuda", 0), torch.device("cuda", 1)
V100, T4, A100 = Gpu(capability=(7, 0)), Gpu(capability=(7, 5)), Gpu(capability=(8, 0))


def test_auto_is_what_the_device_computes_fastest_in(monkeypatch):
    assert resolve_precision("auto", CPU) == torch.float32
    assert resolve_precision("auto", MPS) == torch.float32
    pretend(monkeypatch, T4, A100)
    assert resolve_precision("auto", FIRST) == torch.float16
    assert resolve_precision("auto", SECOND) == torch.bfloat16, "asked of the device itself, not of the current one"
    pretend(monkeypatch, V100)
    assert resolve_precision("auto", FIRST) == torch.float16


def test_amds_gpus_have_bfloat16_whatever_their_number_is(monkeypatch):
    pretend(monkeypatch, Gpu("AMD", capability=(7, 0)))
    monkeypatch.setattr(torch.version, "hip", "7.0")
    assert resolve_precision("auto", FIRST) == torch.bfloat16


def test_what_is_asked_for_is_what_one_gets(monkeypatch):
    pretend(monkeypatch, T4)
    for device in (CPU, FIRST):
        for name in ("float32", "bfloat16", "float16"):
            assert resolve_precision(name, device) == getattr(torch, name)


def test_what_cannot_be():
    with pytest.raises(UsageError, match=r"unknown precision 'int8'; use auto, float32, bfloat16 or float16"):
        resolve_precision("int8", CPU)
    for name in ("bfloat16", "float16"):
        with pytest.raises(UsageError, match=f"no precision {name} on mps; use float32 or auto"):
            resolve_precision(name, MPS)
    assert resolve_precision("float32", MPS) == torch.float32


def test_a_device_that_does_not_answer(monkeypatch):
    pretend(monkeypatch, Gpu(fault="CUDA error: unspecified launch failure"))
    with pytest.raises(ModelError, match=r"cuda:0 cannot be used: CUDA error: unspecified .* nvidia-smi"):
        resolve_precision("auto", FIRST)
