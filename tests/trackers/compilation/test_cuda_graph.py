"""What is asked of CUDA, in which order; whether it does it needs a GPU."""

from contextlib import contextmanager
from unittest.mock import MagicMock

import pytest
import torch

from trackers.compilation.cuda_graph import WARM_UP_CALLS, CudaGraph

DEVICE = torch.device("cuda", 1)


class Cuda:
    """Stands for `torch.cuda`: writes down what is asked of it."""

    def __init__(self, monkeypatch):
        self.log = []
        for name in ("device", "stream", "graph"):
            monkeypatch.setattr(torch.cuda, name, self.context(name))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: self)
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: self.queue(f"own of {device}"))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self.queue(f"current of {device}"))

    def queue(self, name):
        stream = MagicMock(wait_stream=lambda other: self.log.append(f"{name} waits for {other}"))
        stream.__str__.return_value = name
        return stream

    def context(self, name):
        @contextmanager
        def entered(*arguments, **named):
            what = [str(argument) for argument in arguments if argument is not self]
            what += [f"{key}={value}" for key, value in named.items()]
            self.log.append(" ".join([name, *what]))
            yield
            self.log.append(f"end of {name}")

        return entered

    def replay(self):
        self.log.append("replay")


def test_a_call_runs_some_times_and_is_then_captured_and_replayed(monkeypatch):
    cuda = Cuda(monkeypatch)
    graph = CudaGraph(lambda: cuda.log.append("call") or "outputs", DEVICE, "a pool")
    assert cuda.log == [
        "device cuda:1",
        "own of cuda:1 waits for current of cuda:1",
        "stream own of cuda:1",
        *["call"] * WARM_UP_CALLS,
        "end of stream",
        "current of cuda:1 waits for own of cuda:1",
        "graph pool=a pool stream=own of cuda:1 capture_error_mode=thread_local",
        "call",
        "end of graph",
        "end of device",
    ]
    cuda.log.clear()
    assert graph() == "outputs"
    assert cuda.log == ["replay"]


def test_what_cannot_be_captured_says_so(monkeypatch):
    Cuda(monkeypatch)

    def call():
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="capturing"):
        CudaGraph(call, DEVICE, None)
