"""A head for one worker: it polls, and keeps what came."""

import asyncio
import pickle

from maskcast.prompts import Prompt
from sources.settings import SourceSettings
from streaming.cluster.cameras.messages import Assignment, Ended, Held, Saved, Tracked, WorkerFacts
from streaming.cluster.cameras.remote_picture import RemotePicture
from streaming.commands.demo import PROMPTS as PHRASES
from tests.patience import patient

PROMPTS = tuple(map(Prompt, PHRASES))
OPTIONS = {"max_batch": 2, "batch_wait": 0.0, "log_level": "warning", "log_format": "text"}


class Head:
    """Polls one worker and keeps what came, by attempt."""

    def __init__(self, worker):
        self.worker, self.messages, self.received, self.delivered, self.loads = worker, {}, 0, {}, []

    async def poll(self):
        answer = pickle.loads(
            await asyncio.wait_for(self.worker.poll.remote(self.received, self.delivered), patient(20))
        )
        self.loads += [answer.load] if answer.load else []
        if answer.number:
            assert answer.number == self.received + 1
            self.received = answer.number
        for message in answer.messages:
            self.messages.setdefault(message.attempt, []).append(message)
            self.delivered[message.attempt] = len(self.all(message.attempt, Tracked, Held))

    def all(self, attempt, *kinds):
        return [one for one in self.messages.get(attempt, []) if isinstance(one, kinds)]

    def results(self, attempt):
        """Unpacked, with pictures that are fetched from the worker."""
        for message in self.all(attempt, Tracked, Held):
            for packed in message.results:
                remote = RemotePicture(packed.frame, lambda: None)
                yield packed.result(packed.frame.frame(remote, 0.0))

    async def until(self, happened):
        async with asyncio.timeout(patient(60)):
            while not happened():
                await self.poll()

    async def ended(self, attempt):
        await self.until(lambda: self.all(attempt, Ended))
        return self.all(attempt, Ended)[0]

    async def state(self, attempt):
        """The newest track state of an attempt."""
        data, number = b"", self.all(attempt, Saved)[-1].number
        while part := await self.worker.read_state.remote(attempt, number, len(data)):
            data += part
        return data


def facts(answer):
    assert isinstance(answer, WorkerFacts), answer
    return answer


def wanted(attempt, source, stream="door", **options):
    defaults = {"settings": SourceSettings(), "ends": False, "prompts": PROMPTS, "save_seconds": 1000.0}
    return Assignment(attempt, stream, source, **defaults | options)
