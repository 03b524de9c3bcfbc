import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskcast.mask import Mask


@given(arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_mask_crop_is_tight_and_lossless(array):
    mask = Mask.from_array(array, array.shape)
    assert np.array_equal(mask.full(), array)
    assert mask.area == array.sum()
    if mask.area:
        assert mask.crop[[0, -1]].any(axis=1).all()
        assert mask.crop[:, [0, -1]].any(axis=0).all()
        ys, xs = np.nonzero(array)
        assert mask.bbox == (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1)
