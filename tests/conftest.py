"""What all tests share. Each test gets a cache folder of its own, so none sees another's embeddings.

What takes seconds to import is imported where it is used: xdist's controller and most tests do without.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

# Before huggingface_hub reads it, once and for all.
os.environ["HF_HUB_OFFLINE"] = "1"

from maskcast import redaction
from streaming.process import wait_politely

wait_politely()

from tests import forked, patience, processes  # noqa: E402 - others may import torch
from tests.broker import Broker, running  # noqa: E402
from tests.shared import once  # noqa: E402


def pytest_configure() -> None:
    """Before the workers of xdist are started, so that they are told."""
    patience.measure()


def pytest_report_header() -> str:
    return f"patience: this machine is {patience.slowness():.1f} times slower than a free one"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Nothing of all that is imported and collected is garbage, now or later: looking for some took 4 s a process."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """What modules hold, as `tests.ports` does sockets, goes with them when the process ends."""
    gc.unfreeze()


@pytest.hookimpl(trylast=True)  # when what is slow has been left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        marker = item.get_closest_marker("timeout")
        seconds = marker.args[0] if marker else float(config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(patience.patient(seconds)), append=False)
    if (workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))) > 1:
        items[:] = long_first(items, workers)


def long_first(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """Every worker's share, as `--dist worksteal` deals them out, begins with its part of the tests that are `long`.

    A worker that came to one at the end would keep all others waiting; and those that wait for a clock wait beside
    others' work.
    """
    long = [item for item in items if item.get_closest_marker("long")]
    rest = [item for item in items if not item.get_closest_marker("long")]
    ordered: list[pytest.Item] = []
    for number in range(workers):
        share = (len(items) - len(ordered)) // (workers - number)
        first = long[number::workers]
        others = max(0, share - len(first))
        ordered += first + rest[:others]
        del rest[:others]
    return ordered


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    """A process that a test leaves behind is that test's failure, and no other's."""
    before = processes.children() | forked.children()
    yield
    left = (processes.children() | forked.children()) - before - forked.servers()
    for child in left:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert not left, f"processes that were left behind: {sorted(left)}"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test hides is no secret for the next."""
    monkeypatch.setattr(redaction, "_secrets", ())


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random `sam3_lite_text` checkpoint that detects something."""
    from tests import tiny

    return once(tmp_path_factory, "tiny", tiny.save)


@pytest.fixture(scope="session")
def video_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random `sam3_video` checkpoint whose detector is such a one."""
    from tests import tiny

    return once(tmp_path_factory, "video", tiny.save_video)


@pytest.fixture(scope="session")
def still_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of four seconds in which the objects of the demo stand still; see `tests.service`."""
    from tests.service import still_life

    return once(tmp_path_factory, "still", lambda folder: still_life(folder / "still.mp4")) / "still.mp4"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A real broker that listens."""
    with running(tmp_path / "broker") as one:
        yield one


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small models are faster so beside other work, and sums come out in one order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
