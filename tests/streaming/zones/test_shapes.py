"""Shapes beside shapely: who is inside, how far from the outline, and what a step crosses."""

from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from maskcast.places import Line, Zone
from streaming.zones.shapes import Edges, Shape

share = st.floats(0.02, 0.98)
point = st.tuples(share, share)


@settings(max_examples=60, deadline=None)
@given(st.lists(point, min_size=3, max_size=6), st.lists(point, min_size=2, max_size=8), point)
def test_zones_agree_with_shapely(corners, path, reach):
    polygon = shapely.Polygon(corners)
    assume(polygon.is_valid and polygon.area > 0.01)
    shape = Shape(Zone("zone", tuple(corners)))
    assume(all(polygon.exterior.distance(shapely.Point(point)) > 1e-6 for point in path))
    for point in path:
        assert shape.contains(point) == polygon.contains(shapely.Point(point))
        scaled = shapely.affinity.scale(polygon.exterior, 1 / reach[0], 1 / reach[1], origin=(0, 0))
        there = shapely.Point(point[0] / reach[0], point[1] / reach[1])
        assert shape.distance(point, reach) == pytest.approx(scaled.distance(there), abs=1e-9)
    inside = shape.contains(path[0])
    for before, after in pairwise(path):
        parts = shape.parts(before, after)
        length = 0.0
        for start, end, turn in parts:
            inside = inside != (turn != 0)
            length += (end - start) * inside
        assert inside == shape.contains(after)
        step = shapely.LineString([before, after])
        assert length * step.length == pytest.approx(polygon.intersection(step).length, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(point, min_size=2, max_size=5), point, point)
def test_lines_are_crossed_where_shapely_meets_them(ends, before, after):
    step = shapely.LineString([before, after])
    assume(shapely.LineString(ends).distance(shapely.MultiPoint([before, after])) > 1e-6)
    assume(step.length > 1e-3)
    assume(all(step.distance(shapely.Point(end)) > 1e-6 for end in ends))
    met = sum(step.intersects(shapely.LineString(edge)) for edge in pairwise(ends))
    assert len(Shape(Line("line", tuple(ends))).parts(before, after)) == met + 1


def test_right_is_that_of_who_walks_along_the_line():
    shape = Shape(Line("line", ((0.5, 0.1), (0.5, 0.9))))
    assert [turn for _, _, turn in shape.parts((0.6, 0.5), (0.4, 0.5))] == [0, 1]
    assert [turn for _, _, turn in shape.parts((0.4, 0.5), (0.6, 0.5))] == [0, -1]
    assert [turn for _, _, turn in shape.parts((0.4, 0.05), (0.6, 0.05))] == [0]


def test_steps_through_a_corner_of_a_line_cross_it_once():
    shape = Shape(Line("line", ((0.25, 0.25), (0.5, 0.5), (0.25, 0.75))))
    steps = [(0.75, 0.5), (0.5, 0.5), (0.3, 0.5)]
    assert sum(turn for step in pairwise(steps) for _, _, turn in shape.parts(*step)) == 1


def test_edges_on_the_border_of_the_picture_are_no_border():
    shape = Shape(Zone("zone", ((0.2, 0.995), (0.2, 0.5), (0.8, 0.5), (0.8, 1.0))))
    assert shape.contains((0.5, 0.9999))
    assert shape.distance((0.5, 0.9999), (0.1, 0.1)) == pytest.approx(3.0)
    everything = Shape(Zone("zone", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))))
    assert everything.distance((0.5, 0.5), (0.1, 0.1)) == np.inf


def test_many_steps_at_once_cross_what_each_crosses():
    random = np.random.default_rng(0)
    shapes = [
        Shape(Line("line", ((0.2, 0.1), (0.4, 0.9), (0.9, 0.7)))),
        Shape(Zone("z", ((0.1, 0.1), (0.9, 0.2), (0.5, 0.8)))),
    ]
    before, after = random.random((200, 2, 2)), random.random((200, 2, 2))
    found = Edges(shapes, [0, 1]).crossed(before, after)
    wanted = {
        (number, index)
        for number in range(200)
        for index, shape in enumerate(shapes)
        if len(shape.parts(tuple(before[number, index]), tuple(after[number, index]))) > 1
    }
    assert found == wanted
