from tests.frames import frame
from tests.pipelines import Frames, Model, Record, job, run


async def test_a_picture_that_cannot_be_converted_ends_only_its_own_stream():
    class Bad(Frames):
        def __iter__(self):
            yield frame(0, stream="bad")
            broken = frame(1, stream="bad")
            broken.picture.rgb = lambda: 1 / 0
            yield broken

    good, bad = Record(), Record()
    jobs = [job(Frames(40, live=True, interval=0.01), good), job(Bad(2, live=True), bad)]
    reports = await run([], Model(seconds=0.02), live=jobs)
    assert len(good.indices) >= 10
    assert sorted(len(report.errors) for report in reports) == [0, 1]
