import logging

import pytest
import torch

from maskcast.errors import ModelError, UsageError
from tests.gpus import GIB, Gpu, pretend
from trackers.device import describe, free_bytes, resolve_device, total_bytes

CPU = torch.device("cpu")


def test_devices():
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "cuda:999", "meta", "", "mps:0", "cuda:-1"):
        with pytest.raises(UsageError):
            resolve_device(name)


def test_cuda_asked_for_and_absent(monkeypatch):
    pretend(monkeypatch)
    assert resolve_device("auto") == CPU
    with pytest.raises(UsageError, match=r"cuda is not available \(0 CUDA devices found\); use --device cpu or auto"):
        resolve_device("cuda")


def test_auto_is_the_device_with_the_most_free_memory(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    asked = pretend(monkeypatch, Gpu(free=GIB), Gpu("NVIDIA A100", free=9 * GIB, total=40 * GIB), Gpu(free=9 * GIB))
    assert resolve_device("auto") == torch.device("cuda", 1), "the first of equals"
    assert set(asked) == {0, 1, 2}
    said = "cuda:1 (NVIDIA A100, 9.0 of 40.0 GiB free) has the most free memory of 3 CUDA devices"
    assert caplog.messages == [said]


def test_a_device_that_is_named_or_alone_is_taken_without_a_question(monkeypatch):
    """Each question leaves a context of some hundred megabytes on a GPU that may be another process's."""
    asked = pretend(monkeypatch, Gpu(free=0), Gpu())
    assert resolve_device("cuda").index == 0
    assert resolve_device("cuda:1").index == 1
    with pytest.raises(UsageError, match=r"cuda:2 is not available \(2 CUDA devices found\)"):
        resolve_device("cuda:2")
    alone = pretend(monkeypatch, Gpu(free=0))
    assert resolve_device("auto") == torch.device("cuda", 0)
    assert not asked
    assert not alone


def test_devices_that_do_not_answer_are_passed_over(monkeypatch):
    busy = Gpu(fault="CUDA error: device(s) is/are busy or unavailable\nmore of this")
    pretend(monkeypatch, busy, Gpu(free=GIB))
    assert resolve_device("auto").index == 1
    pretend(monkeypatch, busy, busy)
    with pytest.raises(ModelError, match=r"^cuda:1 cannot be used: CUDA error: .* unavailable; look at nvidia-smi$"):
        resolve_device("auto")


def test_memory_of_a_cpu():
    assert 0 < free_bytes(CPU) <= total_bytes(CPU)
    assert total_bytes(CPU) > 2**28


def test_what_a_device_is(monkeypatch):
    for threads, said in ((1, "cpu (1 thread)"), (2, "cpu (2 threads)")):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert describe(CPU) == said
    pretend(monkeypatch, Gpu())
    assert describe(torch.device("cuda", 0)) == "cuda:0 (NVIDIA L4, 20.0 of 22.0 GiB free)"
    assert free_bytes(torch.device("cuda", 0)) == 20 * GIB


@pytest.mark.parametrize(("built", "why"), [(True, "it takes an Apple GPU and macOS 14"), (False, "built without it")])
def test_mps_asked_for_and_absent(monkeypatch, built, why):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: built)
    with pytest.raises(UsageError, match=rf"device mps is not available \(.*{why}\); use --device cpu or auto"):
        resolve_device("mps")


def test_mps_asked_for_and_present(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12 * GIB)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 2 * GIB)
    pretend(monkeypatch)
    assert resolve_device("auto") == CPU, "nothing was tested there: it has to be asked for"
    mps = resolve_device("mps")
    assert describe(mps) == "mps (Apple GPU, untested, 10.0 of 12.0 GiB free)"
