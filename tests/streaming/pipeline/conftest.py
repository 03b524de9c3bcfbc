import pytest

from streaming.pipeline.worker import Worker


@pytest.fixture
async def started():
    """Starts workers, and ends them."""
    workers = []

    async def start(load, **options):
        workers.append(Worker(load, **options))
        await workers[-1].start()
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()
