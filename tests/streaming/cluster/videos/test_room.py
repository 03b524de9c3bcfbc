"""Who is at work in a worker at the same time."""

import asyncio

from streaming.cluster.videos.room import Room


async def test_one_that_is_alone_waits_for_all_and_keeps_all_out():
    room, inside, most = Room(), [], {}

    async def work(name, *, alone):
        async with room.taken(alone=alone):
            inside.append(name)
            await asyncio.sleep(0.01)
            most[name] = set(inside) | most.get(name, set())
            inside.remove(name)

    async with asyncio.TaskGroup() as group:
        for name in ("a", "b", "one", "c", "two", "d"):
            group.create_task(work(name, alone=name in {"one", "two"}))
            await asyncio.sleep(0)
    assert most["one"] == {"one"}
    assert most["two"] == {"two"}
    assert set(most) == {"a", "b", "c", "d", "one", "two"}


async def test_one_that_gives_up_waiting_keeps_nobody_out():
    room = Room()
    async with room.taken(alone=False):
        waits = asyncio.create_task(room.taken(alone=True).__aenter__())
        await asyncio.sleep(0.01)
        waits.cancel()
        await asyncio.wait([waits])
        async with asyncio.timeout(5), room.taken(alone=False):
            pass
