"""Checkpoints of the hub: judged before their weights are fetched, and used from the cache without asking again."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from maskcast.errors import ModelError
from tests import hub as stand_in
from tests import tiny
from trackers.detection.architecture import MODEL, TRACKER
from trackers.detection.checkpoint import load_checkpoint
from trackers.detection.location import NotFetchedError, judge
from trackers.hub.name import ModelName

LITE = {"model_type": "sam3_lite_text"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("model"))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with stand_in.serving() as hub:
        hub.use(monkeypatch, tmp_path / "home")
        yield hub


def refusal(name, tracker_from=None):
    with pytest.raises(ModelError) as caught:
        load_checkpoint(name, tracker_from)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def newer(folder):
    """The files of a checkpoint with other weights."""
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    weights = {name: value + 1 for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder.parent / "newer.safetensors", {"format": "pt"})
    return files | {"model.safetensors": (folder.parent / "newer.safetensors").read_bytes()}


# Fetched once


def test_what_is_in_the_cache_is_used_without_asking(hub, folder):
    hosted = hub.host("some/one", folder)
    found = load_checkpoint("some/one")
    assert (found.revision, found.origins) == (hosted.commit, (f"some/one@{hosted.commit}",))
    asked = len(hub.asked)
    hub.mood = "silent"
    assert load_checkpoint("some/one").revision == found.revision
    assert load_checkpoint("some/one", weights=False).origins == found.origins
    assert len(hub.asked) == asked


def test_a_push_changes_nothing(hub, folder):
    hosted = hub.host("some/one", folder)
    before = load_checkpoint("some/one").revision
    after = hosted.push(newer(folder))
    assert load_checkpoint("some/one").revision == before
    assert load_checkpoint(f"some/one@{after}").revision == after, "a commit that is asked for by name"
    assert load_checkpoint("some/one").revision == before


def test_branches_and_tags_have_their_own_commits(hub, folder):
    hosted = hub.host("some/one", folder)
    first = hosted.refs["v1"] = hosted.commit
    second = hosted.push(newer(folder))
    assert load_checkpoint("some/one@v1").revision == first
    assert load_checkpoint("some/one").revision == second
    assert load_checkpoint("some/one@v1").revision == first
    assert "it has no revision v2" in refusal("some/one@v2")


def test_a_fetch_that_breaks_off_goes_on(hub, folder):
    hosted = hub.host("some/one", folder, large="abort once")
    assert load_checkpoint("some/one").revision == hosted.commit
    assert any(asked.range for asked in hub.asked), "went on where it was"


def test_what_was_begun_elsewhere_goes_on_with_its_commit(hub, folder, tmp_path):
    """As `hf download some/one config.json` leaves it."""
    hosted = hub.host("some/one", folder)
    first = hosted.commit
    cache = tmp_path / "home" / "hub" / "models--some--one"
    (cache / "snapshots" / first).mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(first)
    shutil.copy(folder / "config.json", cache / "snapshots" / first)
    hosted.push(newer(folder))
    with pytest.raises(NotFetchedError, match="not whole in the cache"):
        load_checkpoint("some/one", weights=False)
    assert load_checkpoint("some/one").revision == first


def test_an_error_of_a_kind_that_nobody_knows(hub, monkeypatch):
    class BrokenError(Exception):  # as those of the hub's HTTP client, which has no class in common with others
        pass

    def break_off(*_, **__):
        raise BrokenError("peer closed connection")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", break_off)
    assert "cannot be asked (peer closed connection)" in refusal("some/one")


# Judged by its small files


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (LITE | {"quantization_config": {"quant_method": "bitsandbytes"}}, "its weights are quantized (bitsandbytes)"),
        (LITE | {"quantization_config": {"load_in_8bit": True}}, "its weights are quantized (bitsandbytes)"),
        (LITE | {"quantization_config": {"quant_method": "fp8"}}, "its weights are quantized (fp8)"),
        (LITE | {"quantization": {"group_size": 64, "bits": 4}}, "its weights are quantized (MLX)"),
        (
            {"model_type": "sam3_1_video"},
            "it is SAM 3.1, which has another tracker; Transformers has no model for it yet",
        ),
        (
            {"model_type": "sam2_video"},
            "it is a sam2_video checkpoint, which finds nothing by a phrase; --tracker-from takes it; as a model",
        ),
        ({"model_type": "edgetam"}, "it is a edgetam checkpoint, which finds nothing by a phrase; Maskcast needs"),
        ({"model_type": "grounding-dino"}, "it is a grounding-dino checkpoint; Maskcast needs sam3_lite_text"),
        ({"model_type": "owlv2"}, "it is a owlv2 checkpoint; Maskcast needs sam3_lite_text"),
        (LITE | {"text_config": {"context_length": 16}}, "it was written by a draft of SAM3-LiteText"),
        (LITE | {"text_config": {"model_name": "mct"}}, "it was written by a draft of SAM3-LiteText"),
        (LITE | {"text_config": {"model_type": "sam3_lite_text_mobileclip"}}, "it was written by a draft of"),
        ({"model_type": "sam3_video", "detector_config": {"model_type": "owlv2"}}, "its detector is owlv2"),
        ({"model_type": "sam3_video"}, "its detector is None"),
        ({}, "config.json cannot be read: it names no model_type"),
        ([], "config.json cannot be read: it names no model_type"),
    ],
)
def test_a_model_that_will_not_do(hub, config, said):
    hub.host("some/one", {"config.json": json.dumps(config).encode(), "model.safetensors": b"weights"})
    assert f"model some/one: {said}" in refusal("some/one")
    assert hub.count(".safetensors") == hub.count(".safetensors", "HEAD") == 0


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["config.json", "sam3.1_multiplex.pt"], "it is SAM 3.1, which has another tracker; Transformers has no model"),
        (["sam3.1_multiplex_fp16.safetensors"], "it is SAM 3.1, which has another tracker"),
        (
            ["config.json", "pytorch_model.bin"],
            "no model.safetensors in it, only pytorch_model.bin; other weight formats",
        ),
        (["config.json", "sam3.pt"], "no model.safetensors in it, only sam3.pt; other weight formats are not loaded"),
        (["config.json"], "no model.safetensors in it; other weight formats are not loaded for safety"),
        (["model.safetensors"], "holds no config.json"),
        ([], "no model.safetensors in it"),
    ],
)
def test_files_that_will_not_do(hub, tmp_path, files, said):
    content = dict.fromkeys(files, b'{"model_type": "sam3_video"}')
    hub.host("some/one", content)
    assert said in refusal("some/one")
    assert sum(asked.method == "GET" and "/cdn/" in asked.path for asked in hub.asked) == 0
    (tmp_path / "copy").mkdir()
    for name, data in content.items():
        (tmp_path / "copy" / name).write_bytes(data)
    if "config.json" in files:  # the same of a folder, where its kind is looked at first
        (tmp_path / "copy" / "config.json").write_text(json.dumps(LITE))
        assert said in refusal(str(tmp_path / "copy"))


def test_a_tracker_that_will_not_do(hub, folder):
    hub.host("some/one", folder)
    hub.host("some/other", {"config.json": json.dumps(LITE).encode(), "model.safetensors": b"weights"})
    expected = "model some/other: it is a sam3_lite_text checkpoint; Maskcast needs sam3_video"
    assert refusal("some/one", "some/other").startswith(expected)
    assert refusal("some/one", "some/other").endswith(f"; {TRACKER.otherwise}")
    assert hub.count(".safetensors") == 0


def test_weights_for_mlx(hub, folder, tmp_path):
    """Also such as are not quantized."""
    hub.host("some/one", folder, tags=("mlx", "region:us"))
    assert "its weights are made for MLX; take the checkpoint that it was made from" in refusal("some/one")
    assert hub.count(".safetensors") == 0
    copy = shutil.copytree(folder, tmp_path / "copy")
    save_file(load_file(copy / "model.safetensors"), copy / "model.safetensors", {"format": "mlx"})
    assert "its weights are made for MLX" in refusal(str(copy))


def test_a_repository_that_was_renamed(hub, folder):
    hosted = hub.host("some/one", folder)
    hub.renamed["some/old"] = "some/one"
    assert load_checkpoint("some/old").revision == hosted.commit


def test_one_role_is_enough(hub):
    hub.host("some/one", {"config.json": json.dumps(LITE).encode(), "model.safetensors": b"weights"})
    assert judge(ModelName("some/one"), TRACKER, MODEL).id == "some/one"
    with pytest.raises(ModelError, match="Maskcast needs sam3_video"):
        judge(ModelName("some/one"), TRACKER)
