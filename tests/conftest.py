"""What all tests share. Each test gets a cache folder of its own, so none sees another's embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streaming.cpu import wait_politely

wait_politely()

import torch  # noqa: E402

from tests import tiny  # noqa: E402 - it imports torch
from tests.broker import Broker, running  # noqa: E402


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random `sam3_lite_text` checkpoint that detects something."""
    return tiny.save(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A real broker that listens."""
    with running(tmp_path / "broker") as one:
        yield one


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small models are faster so beside other work, and sums come out in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
