"""The table `[cluster]`."""

from __future__ import annotations

from pathlib import Path

import pytest

from streaming.settings.tables import restart_needed
from tests.settings_files import MINIMAL, load, refusal


def test_without_the_table_this_process_tracks(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL).cluster is None


@pytest.mark.parametrize(
    ("line", "count", "address"),
    [
        ("", None, None),
        ('workers = "auto"', None, None),
        ("workers = 2", 2, None),
        ('address = "auto"', None, "auto"),
        ('address = "gpus.example:6379"', None, "gpus.example:6379"),
        ('address = "ray://[::1]:10001"', None, "ray://[::1]:10001"),
    ],
)
def test_how_many_and_where(tmp_path: Path, line: str, count: int | None, address: str | None) -> None:
    found = load(tmp_path, f"[cluster]\n{line}\n{MINIMAL}").cluster
    assert found is not None
    assert (found.count, found.address) == (count, address)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("workers = 0", "cluster.workers = 0: must be auto or a whole number from 1 to 1024"),
        ("workers = true", "cluster.workers = true: must be auto or a whole number from 1 to 1024"),
        ('workers = "many"', 'cluster.workers = "many": must be auto or a whole number from 1 to 1024'),
        ('address = "gpus"', 'cluster.address = "gpus": must be auto, or a host and its port'),
        ("nodes = 3", "cluster: unknown key nodes; known are workers, address"),
    ],
)
def test_what_is_refused(tmp_path: Path, line: str, what: str) -> None:
    assert what in str(refusal(tmp_path, f"[cluster]\n{line}\n{MINIMAL}"))


def test_it_cannot_be_changed_by_a_reload(tmp_path: Path) -> None:
    old = load(tmp_path, f"[cluster]\nworkers = 2\n{MINIMAL}")
    assert restart_needed(old, load(tmp_path, f"[cluster]\nworkers = 3\n{MINIMAL}")) == ["cluster.workers"]
    assert restart_needed(old, load(tmp_path, MINIMAL)) == ["cluster"]
