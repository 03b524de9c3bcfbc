"""What `maskcast check` says of `[cluster]`; real workers are begun in the tests of the cluster."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest

from maskcast.errors import MaskcastError, UsageError
from streaming.cluster.cameras import trial as trials
from streaming.cluster.cameras.messages import WorkerFacts
from streaming.cluster.cameras.trial import Trial
from streaming.cluster.resources import Workers
from streaming.commands.check import run_check
from streaming.commands.cluster_probe import probe_cluster
from streaming.commands.probes import Finding
from tests.ports import free_port
from tests.settings_files import MINIMAL, load

FACTS = WorkerFacts("gpu3", 17, "model nano, NVIDIA L4", has_track_state=True)


def found(folder: Path, more: str = "", *, refused: dict[str, MaskcastError] | None = None) -> list[str]:
    settings = load(folder, f'[cluster]\naddress = "auto"\n{MINIMAL}{more}')
    assert settings.cluster is not None
    trial = Trial("auto", 3, Workers(count=4, at_once=3, cpus=1, gpus=1), FACTS, refused or {})
    with patch.object(trials, "try_worker", return_value=trial):
        return [line(one) for one in probe_cluster(settings, settings.cluster)]


def line(finding: Finding) -> str:
    return f"{finding.verdict} {finding.what} {finding.detail}"


def test_a_worker_that_could_be_begun_and_who_has_no_place_yet(tmp_path: Path) -> None:
    assert found(tmp_path) == [
        "warn cluster Ray at auto, 3 machines: 4 workers, of which 3 have a place now",
        "ok worker one was begun on gpu3: model nano, NVIDIA L4",
        "ok prompts those of 1 stream are readable",
    ]


def test_prompts_that_it_cannot_read(tmp_path: Path) -> None:
    lines = found(tmp_path, refused={"door": UsageError("too long", where="prompts[0]")})
    assert "FAIL prompts streams.door: prompts[0]: too long" in lines


def test_a_source_of_one_machine(tmp_path: Path) -> None:
    lines = found(tmp_path, '\n[streams.desk]\nsource = "camera:0"\nprompts = ["cat"]\n')
    assert lines[-1] == "warn streams.desk it has to be there on each machine that has a worker"


@pytest.mark.parametrize("way", ["", "ray://"])
def test_no_ray_is_one_line_and_the_model_is_not_asked_for_here(tmp_path: Path, way: str) -> None:
    file = tmp_path / "cameras.toml"
    port = free_port()
    cluster = f'[cluster]\naddress = "{way}127.0.0.1:{port}"\n[http]\nlisten = ""\n'
    file.write_text(f'{cluster}[streams.a]\nsource = "none.mp4"\nprompts = ["cat"]\n', encoding="utf-8")
    lines, code = run_check(file)
    (told,) = [one for one in lines if " cluster " in one]
    assert told.startswith("FAIL")
    assert "no Ray is there" in told
    assert not any(" model " in one for one in lines)
    assert code == UsageError.exit_code
