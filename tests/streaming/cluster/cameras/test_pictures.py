"""The ring of pictures on a worker."""

from streaming.cluster.cameras.pictures import RING_PICTURES, Pictures
from streaming.cluster.cameras.remote_picture import encoded
from tests.streaming.cluster.cameras.grey import GREY, grey


async def test_the_newest_that_were_told_of_can_be_asked_for():
    pictures = Pictures("door")
    for index in range(20):
        pictures.put(grey(index))
    assert await pictures.jpeg(0) is None, "nobody knows of it"
    for index in range(15):
        pictures.told(index)
    kept = [index for index in range(20) if await pictures.jpeg(index)]
    assert kept == list(range(15 - RING_PICTURES, 15))
    assert await pictures.jpeg(14) == encoded(GREY)
    assert await pictures.jpeg(14) is await pictures.jpeg(14), "encoded once"
    pictures.settle()
    assert [index for index in range(20) if await pictures.jpeg(index)] == [14]
    pictures.close()
    assert await pictures.jpeg(14) is None


async def test_one_that_was_never_asked_for_can_be_had_after_the_end():
    pictures = Pictures("door")
    pictures.put(grey(3))
    pictures.told(3)
    pictures.settle()
    assert await pictures.jpeg(3) == encoded(GREY)
