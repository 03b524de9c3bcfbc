"""The actor in a process of Ray: what comes up is what this process finds, and what goes down is followed."""

import asyncio
import json

import cv2
import numpy as np
import pytest

from maskcast.errors import SourceError, TrackStateError, UsageError
from maskcast.notices import SourceStatus, StreamBegan
from sinks.messages.frame import frame_message
from sources.settings import SourceSettings
from streaming.cluster.cameras.camera_worker import CameraWorker
from streaming.cluster.cameras.messages import Assignment, Notified, Tracked, Wish
from streaming.cluster.cameras.remote_picture import RemotePicture
from tests import forked
from tests.media import mjpeg_camera
from tests.patience import patient
from tests.ray_cluster import ray_here
from tests.streaming.cluster.cameras.heads import OPTIONS, PROMPTS, Head, facts, wanted
from trackers.options import EngineOptions


def tracked_here(video):
    """What `maskcast track` says of a video, on this machine and without Ray."""
    prompts = [word for prompt in PROMPTS for word in ("--prompt", prompt.text)]
    options = ["--model", "nano", "--device", "cpu", "--max-rate", "2.5", "--stream", "door", "--out", "-"]
    done = forked.run("track", video, *prompts, *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def published(results):
    return [json.loads(frame_message(result).json_bytes()) for result in results]


def timeless(messages):
    """Without the time of the day at which a frame of a file was shown."""
    return [{key: value for key, value in message.items() if key != "time"} for message in messages]


def ids(results):
    return {track.id for result in results for track in result.tracks}


@pytest.mark.long  # Ray and a model begin
async def test_a_worker_is_told_and_tells_all(still_scene):
    import ray

    plain = tracked_here(still_scene)
    objects = {track["id"] for message in plain for track in message["tracks"]}
    video = cv2.VideoCapture(str(still_scene))
    picture = video.read()[1]
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    with ray_here(), mjpeg_camera(lambda: jpeg, 0.1) as url:
        worker = ray.remote(CameraWorker).options(num_cpus=0).remote(EngineOptions("nano", "cpu"), **OPTIONS)
        assert facts(await asyncio.wait_for(worker.start.remote(), patient(120))).has_track_state
        head = Head(worker)

        # A file: what comes up is what this process finds, the pictures too, without one being asked for.
        await worker.assign.remote(wanted(1, str(still_scene), ends=True, pictures=True, max_rate=2.5))
        ended = await head.ended(1)
        assert (ended.error, ended.report.errors) == (None, [])
        assert isinstance(head.all(1, Notified)[0].notice, StreamBegan)
        found = list(head.results(1))
        assert timeless(published(found)) == timeless(plain)
        shown = cv2.cvtColor(found[0].frame.picture.rgb(), cv2.COLOR_RGB2BGR)
        assert np.abs(shown.astype(int) - picture).mean() < 3

        # A camera: pictures come when somebody asks, prompts are followed, and its state outlives the attempt.
        await worker.assign.remote(wanted(2, url))
        await head.until(lambda: len(head.all(2, Tracked)) > 8 and len(ids(head.results(2))) == len(objects))
        last = head.all(2, Tracked)[-1].frame
        remote = RemotePicture(last, lambda: ray.get(worker.picture.remote(2, last.index), timeout=patient(10)))
        assert (await asyncio.to_thread(remote.rgb)).shape == (*last.size, 3)
        assert await worker.picture.remote(2, 10**6) is None
        assert SourceStatus(online=True) in [one.notice for one in head.all(2, Notified)]
        await worker.end.remote(2)
        assert (await head.ended(2)).report.interrupted
        state = await head.state(2)
        for offset in range(0, len(state), 100_000):
            assert await worker.give_state.remote(3, offset, state[offset : offset + 100_000]) is None
        await worker.assign.remote(wanted(3, url, resume=True))
        await head.until(lambda: len(list(head.results(3))) > 3)
        assert ids(head.results(3)) == ids(head.results(2)), "the same objects, by the same numbers"
        await worker.wish.remote(Wish(3, 1, PROMPTS[:1], paused=False))
        await head.until(lambda: [*head.results(3)][-1].prompts == (PROMPTS[0].name,))

        # What cannot be is an error, with its place and without its password.
        await worker.assign.remote(Assignment(4, "gate", "/no/such.mp4", SourceSettings(), True, PROMPTS))
        error = (await head.ended(4)).error
        assert isinstance(error, SourceError), error
        assert isinstance(await worker.check_prompts.remote([]), UsageError)
        await worker.give_state.remote(5, 0, b"no state")
        await worker.assign.remote(wanted(5, str(still_scene), ends=True, resume=True, stream="yard"))
        assert isinstance((await head.ended(5)).error, TrackStateError)

        # How it is, and the end: nobody asks any more.
        load = head.loads[-1]
        assert (load.death, load.failures) == (None, 0)
        assert load.rss_bytes > 1e8
        assert 0 <= load.busy <= 1
        assert max(one.streams[3].tracked for one in head.loads if 3 in one.streams) > 0
