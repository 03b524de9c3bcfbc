"""What would reach an Apple GPU, found out without one: every operator that the engine calls, and its types.

Which operators have a kernel for MPS is read from `native_functions.yaml`, from which PyTorch's own dispatch tables are
made and which it brings along for `torchgen`. Whether a kernel is right this cannot see: `--device mps` is untested.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchgen
import yaml
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests import tiny
from tests.frames import frame
from tests.lockstep import scene
from tests.paths import ROOT
from trackers.detection.preprocess import preprocess
from trackers.engine import Engine
from trackers.options import EngineOptions
from trackers.precision import memory_precision
from trackers.rotary import has_complex
from trackers.transfer import upload

MPS = torch.device("mps")
# Chooses a kernel by the device itself: `_scaled_dot_product_attention_math_for_mps` there.
ATTENTION = "scaled_dot_product_attention"


class Operators:
    """PyTorch's own table of operators."""

    def __init__(self) -> None:
        table = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
        entries = yaml.load(table.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self._entries = {entry["func"].split("(")[0]: entry for entry in entries}

    def kernels(self, name: str) -> set[str]:
        """The dispatch keys that an operator has kernels for, such as ``CPU`` and ``MPS``; empty if it is made of
        other operators alone."""
        entry = self._entries[name]
        entry = self._entries[entry.get("structured_delegate", name)]
        return {key.strip() for keys in entry.get("dispatch", {}) for key in keys.split(",")}

    def lacking(self, name: str) -> bool:
        """Whether it has kernels, but none that serves MPS."""
        kernels = self.kernels(name)
        return bool(kernels) and not any(key == "MPS" or key.startswith("Composite") for key in kernels)

    def divisible(self, name: str) -> bool:
        """Whether it is made of other operators where it has no kernel of its own for MPS."""
        return name != ATTENTION and "MPS" not in self.kernels(name)


class Watch(TorchDispatchMode):
    """Notes the operators that are called, those within others too, and the types that they meet."""

    def __init__(self, operators: Operators) -> None:
        super().__init__()
        self.operators = operators
        self.seen: defaultdict[str, set[torch.dtype]] = defaultdict(set)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        schema = func._schema
        name = schema.name.removeprefix("aten::") + (f".{schema.overload_name}" if schema.overload_name else "")
        if self.operators.divisible(name):
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        self.seen[name].update(tensor.dtype for tensor in tensors)
        return result


@pytest.fixture(scope="module")
def operators():
    return Operators()


def test_the_table_tells_operators_that_mps_has_from_those_that_it_lacks(operators):
    """If this fails, PyTorch has another table, and the tests below show nothing."""
    assert not operators.lacking("linear")
    assert not operators.lacking("_scaled_dot_product_attention_math_for_mps")
    assert operators.lacking("_upsample_bilinear2d_aa_backward")
    assert operators.kernels("einsum") == set()


@pytest.mark.parametrize("tracker", ["memory", "association"])
def test_mps_has_every_operator_and_type_of_a_pass(tracker, operators, tmp_path, monkeypatch):
    monkeypatch.setattr("trackers.memory.propagation.memory_precision", lambda _: memory_precision(MPS))
    monkeypatch.setattr("trackers.rotary.has_complex", lambda _: has_complex(MPS))
    engine = Engine(EngineOptions(str(tiny.save_video(tmp_path / "model")), "cpu", tracker))
    stream = engine.open_stream(["dog", "cat"])
    seen = 0
    with Watch(operators) as watch:
        # On every device but a CPU, pictures are resized in float32.
        preprocess([scene(1)[0]], 56, torch.device("meta"), torch.float32)
        for index, image in enumerate(scene(4)):
            [[result]] = engine.step([stream], [frame(index, image)])
            seen += len(result.tracks)
        if tracker == "memory":
            engine.save_stream(stream, final=True).write(tmp_path / "state")
            engine.resume_stream(tmp_path / "state", ["dog", "cat"])
    assert seen, "a pass that finds nothing calls little"
    assert len(watch.seen) > 60
    assert "_upsample_bilinear2d_aa" in watch.seen
    assert {name for name in watch.seen if operators.lacking(name)} == set()
    types = set().union(*watch.seen.values())
    assert types <= {torch.float32, torch.int64, torch.int32, torch.bool, torch.uint8}


def test_what_is_moved_there_has_no_type_that_mps_lacks(tmp_path):
    checkpoint = Engine(EngineOptions(str(tiny.save_video(tmp_path)), "cpu"))._checkpoint
    tensors = [*checkpoint.video.parameters(), *checkpoint.video.buffers()]
    assert {tensor.dtype for tensor in tensors} <= {torch.float32, torch.int64}


def test_only_cuda_may_read_an_array_after_the_call(monkeypatch):
    """MPS would, and what it reads may be another array by then."""
    waited = {}

    def moved(tensor: torch.Tensor, device: torch.device, *, non_blocking: bool) -> torch.Tensor:
        waited[device.type] = not non_blocking
        return tensor

    monkeypatch.setattr(torch.Tensor, "to", moved)
    for name in ("cpu", "cuda", "mps"):
        upload(np.zeros(3), torch.device(name))
    assert waited == {"cpu": True, "cuda": False, "mps": True}


def test_nothing_is_uploaded_but_by_upload():
    """Torch's own hooks for one kind of device are used where that device is known to be there."""
    for word, known in (("non_blocking", {"transfer.py"}), ("pin_memory", {"transfer.py"}), (".cuda(", set())):
        files = {file.name for file in (ROOT / "trackers").rglob("*.py") if word in file.read_text()}
        assert files == known, word
