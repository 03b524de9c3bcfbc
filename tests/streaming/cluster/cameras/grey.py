"""Frames whose picture can be encoded."""

from dataclasses import replace

import numpy as np

from sources.picture import ArrayPicture
from tests.frames import frame
from tests.pipelines import Frames

GREY = ArrayPicture(np.full((96, 160, 3), 100, np.uint8))


def grey(index):
    return replace(frame(index), picture=GREY)


class Grey(Frames):
    """A source of them."""

    def __iter__(self):
        for one in super().__iter__():
            yield replace(one, picture=GREY)
