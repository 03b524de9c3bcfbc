"""What the head says of a Ray that has failed; no Ray is begun."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from maskcast.errors import MaskcastError
from streaming.cluster.cameras import cluster_tracking
from streaming.cluster.cameras.cluster_tracking import GIVE_UP_SECONDS, UNHEALTHY_SECONDS, ClusterTracking
from tests.patience import patient
from tests.settings_files import MINIMAL, load


@pytest.fixture
def tracking(tmp_path):
    settings = load(tmp_path, f"[cluster]\nworkers = 1\n{MINIMAL}")
    return ClusterTracking(settings, settings.cluster)


async def test_how_long_it_is_without_a_worker_decides(tracking):
    assert (tracking.failure(), tracking.trouble(), tracking.unready()) == (None, None, None)
    fleet = tracking._fleet = SimpleNamespace(without=None, hopeless=False, failure=MaskcastError("is gone"))
    assert tracking.unready() is None
    fleet.without = time.monotonic() - 1
    assert tracking.unready() == "no worker for 1 s: is gone"
    assert tracking.trouble() is None
    fleet.without -= UNHEALTHY_SECONDS
    assert tracking.trouble().startswith("no worker for 301 s")
    assert tracking.failure() is None
    fleet.without -= GIVE_UP_SECONDS
    assert "start again" in str(tracking.failure())
    fleet.without, fleet.hopeless = time.monotonic(), True
    assert "start again" in str(tracking.failure())


@pytest.mark.parametrize("answers", [[[]], [OSError("no"), OSError("no")]])
async def test_a_ray_without_machines_or_words_is_lost_once_no_worker_lives(tracking, monkeypatch, answers):
    monkeypatch.setattr(cluster_tracking, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(cluster_tracking, "MOST_SILENT_LOOKS", 2)

    def nodes():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    fleet = SimpleNamespace(without=None, hopeless=False, failure=None)
    watching = asyncio.create_task(tracking._watch(fleet, SimpleNamespace(nodes=nodes)), name="watch")
    await asyncio.sleep(0.02)
    assert answers, "it is not asked while a worker lives"
    fleet.without = time.monotonic()
    await asyncio.wait_for(watching, patient(10))
    assert tracking.over.is_set()
    assert str(tracking.failure()) == "Ray is lost: it has no machine any more; start again"
