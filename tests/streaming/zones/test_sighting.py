"""Numbers of a mask: anchors as shares of the frame, and how much of it lies in a zone."""

import numpy as np
import pytest

from maskcast.mask import Mask
from maskcast.places import Places, Zone
from streaming.zones.sighting import BOTTOM, CENTRE, MIDDLE, SHARES, SIZE, Sightings

LEFT = Zone("left", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)), anchor="overlap")
TOP = Zone("top", ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5)), anchor="overlap")
OTHER = Zone("other", LEFT.points)


def test_a_mask_with_a_foot_to_one_side():
    array = np.zeros((100, 40), np.bool_)
    array[:80, :20] = True
    array[80:, :] = True
    row = Sightings(Places((LEFT, OTHER, TOP))).of(Mask.from_array(array, (200, 400), 180, 50))
    assert row[BOTTOM] == pytest.approx([0.5, 0.75])
    assert row[MIDDLE] == pytest.approx([0.5, 0.5])
    assert row[SIZE] == pytest.approx([0.1, 0.5])
    ys, xs = np.nonzero(array)
    assert row[CENTRE] == pytest.approx([(180.5 + xs.mean()) / 400, (50.5 + ys.mean()) / 200], abs=0.006)
    assert row[SHARES:] == pytest.approx([(xs < 20).mean(), (ys < 50).mean()], abs=0.03)


def test_anchors_at_the_border_lie_inside_the_picture():
    row = Sightings(Places()).of(Mask.from_array(np.ones((20, 20), np.bool_), (100, 100), 40, 80))
    assert 0.999 < row[BOTTOM][1] < 1


def test_thin_masks_are_not_lost_between_samples():
    array = np.eye(200, dtype=np.bool_)
    array[-1, 0] = True
    row = Sightings(Places((LEFT,))).of(Mask.from_array(array, (400, 400)))
    assert row[CENTRE] == pytest.approx([0.25, 0.25], abs=0.01)
