"""Ten viewers of `maskcast run`, one of which is stopped: the pipeline does not notice."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from tests.patience import eventually_async, patient
from tests.rtsp import camera
from tests.service import service

VIEWERS = 9
# Frames a second that the model can serve, so that the camera sets the pace; seconds in which they are counted.
RATE, WINDOW = 3.0, 5
TRIES = 4


@asynccontextmanager
async def looking(port: int):
    """A viewer that has said what it wants, and has read nothing yet but what its system takes in."""
    async with (
        aiohttp.ClientSession(read_bufsize=1 << 10) as session,
        session.ws_connect(f"http://127.0.0.1:{port}/live") as socket,
    ):
        await socket.send_json({"type": "watch", "streams": {"door": 640}, "rate": 30})
        yield socket


async def draw(socket, drawn) -> None:
    """Draw all that comes, at once."""
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            drawn[socket] = drawn.get(socket, 0) + 1
            await socket.send_json({"type": "drawn", "stream": "door"})


def resident(process) -> int:
    """Resident memory in bytes."""
    pages = Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.long
async def test_the_pipeline_does_not_notice(tmp_path, still_scene):
    with (
        camera(still_scene, "--loop") as door,
        service(
            tmp_path, f'[streams.door]\nsource = "{door.url()}"\nprompts = ["red circle"]\nmax_rate = {RATE}\n'
        ) as running,
    ):

        async def frames() -> int:
            return round(await asyncio.to_thread(running.metric, "maskcast_frames_total", stream="door"))

        async def in_a_while() -> int:
            before = await frames()
            await asyncio.sleep(WINDOW)
            return await frames() - before

        async def with_viewers() -> int:
            async with AsyncExitStack() as stack:
                stopped = await stack.enter_async_context(looking(running.port))
                viewers = [await stack.enter_async_context(looking(running.port)) for _ in range(VIEWERS)]
                drawn: dict = {}
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(draw(viewer, drawn)) for viewer in viewers]
                    await eventually_async(lambda: len(drawn) == VIEWERS, what="all see something")
                    counted = await in_a_while()
                    for task in tasks:
                        task.cancel()
                assert min(drawn.values()) >= counted - 2, "each sees each frame"
                assert await pictures(stopped) == 2, "no queue, wherever"
                return counted

        await eventually_async(lambda: running.metric("maskcast_frames_total", stream="door") > 2 * RATE, what="a pace")
        # Machines are shared: what is compared was counted one after the other, a frame more or less by chance.
        seen = []
        for _ in range(TRIES):
            alone, beside = await in_a_while(), await with_viewers()
            seen.append((alone, beside))
            if beside + 1 >= 0.95 * alone:
                break
        else:
            raise AssertionError(f"frames alone and with viewers: {seen}")
        memory = resident(running.process)
        await with_viewers()
        assert resident(running.process) - memory < 10e6
        assert running.stop() == 0
        assert "Traceback" not in running.text()


async def pictures(socket) -> int:
    """How many have been sent to a viewer that has read nothing so far."""
    now = datetime.now(UTC)
    count = 0
    while True:
        message = await socket.receive(patient(20))
        if message.type is aiohttp.WSMsgType.TEXT and datetime.fromisoformat(json.loads(message.data)["time"]) > now:
            return count
        assert message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}, message
        count += message.type is aiohttp.WSMsgType.BINARY
