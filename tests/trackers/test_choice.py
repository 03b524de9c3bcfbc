"""Which tracker a checkpoint gets; `check` and `run` ask one function, so they say the same of any pair."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from maskcast.errors import MaskcastError, UsageError
from maskcast.prompts import as_prompts
from streaming.commands.model_probe import probe_model
from streaming.commands.probes import Verdict
from streaming.settings.model import ModelSettings
from tests import tiny
from trackers.choice import choose
from trackers.engine import Engine
from trackers.options import EngineOptions


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    base = tmp_path_factory.mktemp("models")
    found = {"detector": tiny.save(base / "detector", seed=2), "video": tiny.save_video(base / "video", seed=2)}
    found["other"] = tiny.save(base / "other", seed=5)  # another image encoder
    for name in ("full", "headless", "mute"):
        found[name] = shutil.copytree(found["video"], base / name)
    config = json.loads((found["full"] / "config.json").read_text())
    config["detector_config"] |= {"model_type": "sam3", "text_config": {"model_type": "clip_text_model"}}
    (found["full"] / "config.json").write_text(json.dumps(config))
    weights = load_file(found["headless"] / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "memory_attention" not in name}
    save_file(kept, found["headless"] / "model.safetensors", {"format": "pt"})
    (found["mute"] / "tokenizer.json").unlink()
    return {name: str(folder) for name, folder in found.items()}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"name": "detector"}, None),
        ({"name": "video"}, None),
        ({"name": "video", "hot_start": 9}, None),
        ({"name": "video", "tracker": "association"}, None),
        ({"name": "detector", "tracker_from": "video", "tracker": "memory", "hot_start": 15}, None),
        ({"name": "video", "tracker_from": "video"}, None),
        ({"name": "detector", "tracker_from": "full"}, None),  # as with facebook/sam3
        ({"name": "detector", "tracker": "memory"}, "no memory tracker weights"),
        (
            {"name": "detector", "hot_start": 15},
            "needs the memory tracker; use --tracker-from facebook/sam2.1-hiera-tiny",
        ),
        ({"name": "video", "tracker": "association", "hot_start": 15}, "the memory tracker; use --tracker memory"),
        ({"name": "detector", "detect_every": 2}, "detect_every needs the memory tracker; use --tracker-from"),
        ({"name": "detector", "propagate": "adaptive"}, "adaptive propagation needs the memory tracker"),
        ({"name": "video", "detect_every": 4, "hot_start": 33}, None),
        ({"name": "video", "detect_every": 4, "hot_start": 32}, "take no track back; use 0, or 33 or more"),
        *(({"name": "video", "hot_start": frames}, "could take no track back") for frames in (1, 3, 8)),
        ({"name": "detector", "tracker_from": "detector"}, "needs sam3_video"),
        ({"name": "other", "tracker_from": "video"}, "another image encoder"),
        ({"name": "detector", "tracker_from": "headless"}, "weights are missing"),
        ({"name": "headless"}, "weights are missing"),
        ({"name": "full"}, "do not belong together"),
        ({"name": "mute"}, "no tokenizer.json"),
        ({"name": "detector", "tracker_from": "/nowhere"}, "no such folder"),
        ({"name": "someone/unknown"}, "not in the cache"),
        ({"name": "detector", "tracker_from": "someone/unknown"}, "not in the cache"),
    ],
)
def test_check_says_what_run_does(folders: dict[str, str], asked: dict[str, object], said: str | None) -> None:
    named: dict[str, Any] = {key: folders.get(str(value), value) for key, value in asked.items()}
    found = probe_model(ModelSettings(**named), {"door": as_prompts(["person"])})
    name, tracker = named.pop("name"), named.pop("tracker", None)
    if said is None:
        Engine(EngineOptions(name, "cpu", tracker, **named))
        assert [finding.verdict for finding in found] == [Verdict.OK, Verdict.OK]
        return
    with pytest.raises(MaskcastError, match=said) as caught:
        Engine(EngineOptions(name, "cpu", tracker, **named))
    assert (found[0].verdict, found[0].exit_code) == (Verdict.FAIL, caught.value.exit_code)
    assert said in found[0].detail


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": 1.0}, "threshold must be at least 0 and below 1"),
        ({"threshold": float("nan")}, "threshold must be"),
        ({"hot_start": -1}, "hot start must be 0 to 1000 frames, not -1"),
        ({"hot_start": 1001}, "hot start must be 0 to 1000 frames, not 1001"),
        ({"propagate": "never"}, "unknown propagate 'never'; use always or adaptive"),
        ({"detect_every": 0}, "detect_every must be 1 to 100 frames, not 0"),
        ({"detect_every": 101}, "detect_every must be 1 to 100 frames, not 101"),
        ({"detect_every": 2.5}, "detect_every must be 1 to 100 frames, not 2.5"),
        ({"detect_every": "2"}, "detect_every must be 1 to 100 frames, not 2"),
        ({"compile": "no"}, "compile must be True, False or None, not 'no'"),
        ({"lost_after": -1.0}, "lost_after must be 0 or more seconds"),
        ({"lost_after": float("nan")}, "lost_after must be"),
    ],
)
def test_numbers_out_of_bounds_are_refused_before_a_model_is_loaded(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        choose(EngineOptions("/nowhere", "cpu", **options))


@pytest.mark.parametrize("prompt", ["a" * 31, "x" * 500])
def test_a_prompt_that_is_too_long_for_one_is_so_for_the_other(folders: dict[str, str], prompt: str) -> None:
    found = probe_model(ModelSettings(name=folders["detector"]), {"door": as_prompts(["person", prompt])})
    with pytest.raises(MaskcastError, match="prompt too long") as caught:
        Engine(EngineOptions(folders["detector"], "cpu")).check_prompts([prompt])
    assert found[-1].detail == f"streams.door.prompts[1]: {caught.value}"


def test_a_tokenizer_that_panics_is_one_line_for_both(folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """As Rust's are: no `Exception`."""

    def panic(*_: object, **__: object) -> None:
        raise PanicException("index out of bounds")

    engine = Engine(EngineOptions(folders["detector"], "cpu"))
    monkeypatch.setattr("transformers.PreTrainedTokenizerFast.__call__", panic)
    with pytest.raises(MaskcastError, match="the tokenizer cannot read the prompt"):
        engine.check_prompts(["person"])
    (found,) = probe_model(ModelSettings(name=folders["detector"]), {"door": as_prompts(["person"])})
    assert (found.verdict, found.exit_code) == (Verdict.FAIL, 5)
    assert "its tokenizer cannot be loaded: index out of bounds" in found.detail
