"""The event loop of a command ends when it is told to, whatever its calls are at."""

import asyncio
import threading

from streaming.event_loop import run_until_stopped


def test_the_end_of_the_event_loop_waits_for_no_call_on_its_executor():
    """Such as a name look-up, or a file on a share that is away."""
    go, begun = threading.Event(), threading.Event()

    def hang():
        begun.set()
        go.wait(600)

    async def main(_stop):
        asyncio.get_running_loop().run_in_executor(None, hang)
        await asyncio.to_thread(begun.wait, 60)
        return "ended"

    assert run_until_stopped(main) == "ended"
    go.set()
