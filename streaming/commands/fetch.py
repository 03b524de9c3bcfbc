"""What `maskcast fetch` does, and how a download is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

from maskcast.printable import printable
from maskcast.threads import in_daemon_thread
from streaming.event_loop import run_until_stopped
from streaming.pipeline.stopping import unless
from streaming.process import INTERRUPTED
from trackers.hub.progress import MEGABYTE, Progress, ProgressLines, Report

if TYPE_CHECKING:
    from rich.progress import TaskID

    from trackers.detection.architecture import Role
    from trackers.detection.fetching import Fetched
    from trackers.options import EngineOptions


def run_fetch(names: Sequence[str], *, update: bool, verify: bool, say: Callable[[str], None]) -> tuple[list[str], int]:
    """Bring models into the cache.

    Args:
        names: of models, or settings files (`….toml`), which stand for the models that they name.
        update: see `trackers.detection.fetching.fetch`.
        verify: read what is there, too, and fetch again what is damaged.
        say: is told how far it is where nobody looks at a terminal.

    Returns:
        A line a model, and the exit code.

    Raises:
        MaskcastError: one cannot be had, or a settings file has problems.
    """
    from trackers.detection.fetching import fetch, repair

    wanted = [one for name in names for one in _wanted(name)]
    lines: list[str] = []

    def work(report: Report) -> None:
        for name, roles in wanted:
            found = fetch(name, *roles, update=update, report=report)
            if verify:
                found = repair(found, report)
            lines.append(f"{name}: {_outcome(found, verified=verify)}")

    async def main(stop: asyncio.Event) -> bool:
        with progress_shown(say) as report:
            await unless(stop, in_daemon_thread(lambda: work(report), "fetch"))
        return stop.is_set()

    if run_until_stopped(main):
        return [*lines, "interrupted: the next `maskcast fetch` goes on from here"], INTERRUPTED
    return lines, 0


def _wanted(name: str) -> list[tuple[str, tuple[Role, ...]]]:
    """The models that an argument stands for, and what each could be used for."""
    from trackers.detection.architecture import MODEL, TRACKER
    from trackers.detection.location import wanted

    if not name.endswith(".toml"):
        return [(name, (MODEL, TRACKER))]
    from streaming.settings.tables import load_settings

    options = load_settings(Path(name)).model.options
    return [(model, (role,)) for model, role in wanted(options.model, options.tracker_from)]


def _outcome(found: Fetched, *, verified: bool) -> str:
    folder = found.folder
    if folder.commit is None:
        return f"nothing to fetch: {folder.path}"
    size = sum(file.stat().st_size for file in folder.path.iterdir() if file.is_file())
    what = "fetched" if found.came else "in the cache"
    if found.again:
        what = f"{' and '.join(found.again)} damaged, and fetched again"
    elif verified:
        what = f"{what} and verified"
    return f"{what}: {size / MEGABYTE:.0f} MB in {folder.path}"


async def fetch_first(options: EngineOptions, stop: asyncio.Event, say: Callable[[str], None]) -> None:
    """Bring what an engine needs into the cache, with progress, until `stop` is set.

    Raises:
        ModelError: see `trackers.detection.location.locate`.
    """
    from trackers.detection.location import locate, wanted

    names = wanted(options.model, options.tracker_from)
    with progress_shown(say) as report:
        await unless(stop, in_daemon_thread(lambda: locate(names, fetch=True, report=report), "fetch"))


@contextmanager
def progress_shown(say: Callable[[str], None]) -> Iterator[Report]:
    """What shows a download: a bar with bytes, rate and time left on a terminal, else a line a minute for `say`."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield ProgressLines(say)
        return
    bars = Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[hindrance]}", markup=False),
        console=console,
    )
    tasks: dict[str, TaskID] = {}
    lock, ended = Lock(), Event()

    def report(progress: Progress) -> None:
        with lock:
            # An interrupted download's thread reports on, and bars that start again would leave the cursor hidden.
            if ended.is_set():
                return
            bars.start()
            if progress.model not in tasks:
                tasks[progress.model] = bars.add_task(progress.model, completed=progress.done, hindrance="")
            task = tasks[progress.model]
            bars.update(task, completed=progress.done, total=progress.total, hindrance=printable(progress.hindrance))

    try:
        yield report
    finally:
        with lock:
            ended.set()
            bars.stop()
