import subprocess
import sys

import pytest

from maskcast import UsageError, track
from tests.paths import ROOT
from trackers.defaults import MODEL

CLIP = ROOT / "streaming" / "commands" / "demo.mp4"

ALONE = """
import ctypes, logging, os, signal, sys, threading, warnings
# What libraries do to a process that imports them is their own affair.
import av, huggingface_hub, scipy.optimize, torch, transformers
from transformers import Sam3VideoModel
from huggingface_hub.utils import are_progress_bars_disabled
from torch.backends import cuda, cudnn
from maskcast import track

asked = set()
find = ctypes.CDLL.__getattr__
ctypes.CDLL.__getattr__ = lambda library, name: (asked.add(name), find(library, name))[1]

def state():
    found = [logging.getLogger(name) for name in ("", "transformers", "huggingface_hub", "torch", "PIL", "libav")]
    return {
        "environment": dict(os.environ),
        "loggers": [(one.name, one.level, one.handlers[:], one.filters[:], one.propagate) for one in found],
        "bars": (transformers.logging.is_progress_bar_enabled(), are_progress_bars_disabled(), av.logging.get_level()),
        "warnings": warnings.filters[:],
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_device()),
        "numbers": (torch.get_default_dtype(), torch.get_float32_matmul_precision()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32),
        "matmul": (cuda.matmul.allow_tf32, cuda.matmul.allow_fp16_reduced_precision_reduction),
        "attention": (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled(),
            cuda.cudnn_sdp_enabled()),
    }

before = state()
for result in track(sys.argv[1], ["object"], model="nano", device="cpu", max_frames=2):
    assert result.tracks
    between = state()
    assert between == before, {key: (before[key], between[key]) for key in before if before[key] != between[key]}
after = state()
assert after == before, {key: (before[key], after[key]) for key in before if before[key] != after[key]}
assert "mallopt" not in asked
print("alone")
"""


def test_the_callers_process_is_left_alone():
    done = subprocess.run([sys.executable, "-c", ALONE, CLIP], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("alone\n", "")


@pytest.mark.parametrize("options", [{}, {"model": None}])
def test_without_a_model_it_is_the_default_one(monkeypatch, options):
    """As `examples/count.py` calls it."""

    def engine(chosen):
        raise UsageError(chosen.model)

    monkeypatch.setattr("trackers.engine.Engine", engine)
    with pytest.raises(UsageError, match=MODEL):
        next(track(CLIP, "cat", **options))


def test_zones_are_counted(tmp_path):
    file = tmp_path / "zones.toml"
    file.write_text("[zones.all]\npoints = [[0, 0], [1, 0], [1, 1], [0, 1]]\nanchor = 'centre'\n")
    *_, last = track(CLIP, "red circle", model="nano", device="cpu", max_frames=12, zones=file)
    assert [track.zones for track in last.tracks] == [("all",)] * 2
    assert last.tally.inside == last.tally.entered == {"all": {"red circle": 2}}


def test_a_decoder_that_does_not_exist_is_refused_before_anything_is_opened():
    with pytest.raises(UsageError, match="unknown decoder 'gpu'; use cpu or auto or cuda or vaapi"):
        next(track("/nowhere.mp4", ["person"], decoder="gpu"))
