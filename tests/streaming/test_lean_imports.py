"""What a run does not import, counted by the interpreter itself; and that what is left out can still be had."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.paths import ROOT
from tests.patience import patient

CLIP = str(ROOT / "streaming" / "commands" / "demo.mp4")
TRACK = ["-m", "maskcast", "track", CLIP, "--prompt", "star", "--model", "nano", "--device", "cpu", "--out", "-"]
# Each takes 0.2 s or more, and is reached from what a run needs by way of what it does not.
HEAVY = {
    "accelerate",
    "aiohttp",
    "matplotlib",
    "pandas",
    "scipy.optimize",
    "sklearn",
    "sympy",
    "torch._dynamo",
    "torch._inductor",
    "torch.distributed.fsdp",
    "torch.distributed.tensor",
    "torch.onnx",
}
COLLECTED = """
import gc
from streaming.lean_imports import import_lean
looked = []
gc.callbacks.append(lambda phase, _: looked.append(phase))
import_lean()
gc.callbacks.clear()
assert not looked and gc.isenabled() and gc.get_freeze_count() > 100_000, (len(looked), gc.get_freeze_count())
"""
USED_AFTERWARDS = """
import sys
from streaming.lean_imports import import_lean
import_lean()
assert "torch._dynamo" not in sys.modules and "torch._dynamo._trace_wrapped_higher_order_op" not in sys.modules
import torch, transformers, transformers.masking_utils as masks, transformers.utils as utils
assert utils.is_torch_distributed_available() == torch.distributed.is_available()
assert "BertConfig" not in dir(transformers) and "Sam2VideoModel" in dir(transformers)
from transformers.models.bert.configuration_bert import BertConfig
import torch._dynamo
assert torch._dynamo.__file__
from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex
assert isinstance(masks.TransformGetItemToIndex(), TransformGetItemToIndex)
"""
ANOTHER_VERSION = """
import sys
from streaming import lean_imports
lean_imports._unmarked = None
lean_imports.import_lean()
assert "transformers" not in sys.modules
from transformers import BertConfig, Sam3VideoModel
from transformers.distributed import sharding_utils
import torch.distributed.tensor
assert sharding_utils.DTensor is torch.distributed.tensor.DTensor
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=patient(120))


def test_a_run_imports_nothing_that_is_heavy_and_of_no_use() -> None:
    done = python("-X", "importtime", *TRACK, "--max-frames", "2")
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == 2
    imported = set(re.findall(r"^import time:.*\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert {"torch", "transformers.modeling_utils"} <= imported
    assert not imported & HEAVY


def test_no_garbage_is_looked_for_in_what_stays() -> None:
    done = python("-c", COLLECTED)
    assert done.returncode == 0, done.stderr


def test_what_is_left_out_can_be_had_afterwards() -> None:
    done = python("-c", USED_AFTERWARDS)
    assert done.returncode == 0, done.stderr


def test_a_version_that_asks_for_more_is_imported_whole() -> None:
    done = python("-c", ANOTHER_VERSION)
    assert done.returncode == 0, done.stderr
