"""The window: areas, distances and overlaps against shapely and closed forms."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import shapely

from times_stats.errors import InputError
from times_stats.regions import Window

ELL = [(0, 0), (10, 0), (10, 4), (4, 4), (4, 10), (0, 10)]
HOLE = [(1, 1), (2, 1), (2.5, 3)]


def wavy(n: int, seed: int) -> Window:
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, n))
    radius = 100 * (1 + 0.3 * np.sin(5 * angle) + 0.05 * rng.normal(size=n))
    outline = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return Window.polygon(outline, holes=[[(-20, -20), (10, -25), (5, 15)]])


@pytest.fixture(params=["ell", "wavy", "parts"])
def window(request) -> Window:
    if request.param == "ell":
        return Window.polygon(ELL, holes=[HOLE])
    if request.param == "wavy":
        return wavy(70, 1)
    parts = shapely.MultiPolygon([shapely.box(0, 0, 4, 4), shapely.Point(9, 9).buffer(3)])
    return Window.from_geometry(parts)


def test_overlap_with_translates_is_that_of_shapely(window):
    x0, y0, x1, y1 = window.bounds
    rng = np.random.default_rng(2)
    steps = np.column_stack(
        [rng.uniform(-1, 1, 300) * (x1 - x0), rng.uniform(-1, 1, 300) * (y1 - y0)]
    )
    steps[:3] = [(0, 0), (2, 0), (0, -2)]
    moved = [shapely.transform(window.geometry, lambda c, h=h: c + h) for h in steps]
    expected = shapely.area(shapely.intersection(window.geometry, np.array(moved)))
    found = window.translation_overlap(steps[:, 0], steps[:, 1])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * window.area)
    assert found[0] == pytest.approx(window.area, rel=1e-12)


def test_overlap_of_a_rectangle_is_the_closed_form_and_the_sum_over_edges():
    window = Window.rectangle(x=(-3, 7), y=(2, 6))
    same = Window.polygon([(-3, 2), (2, 2), (7, 2), (7, 6), (-3, 6)])  # a vertex on a side
    assert window.is_rectangle
    assert not same.is_rectangle
    dx, dy = np.array([0.0, 3.0, -10.0, 2.0]), np.array([0.0, -1.0, 0.0, 5.0])
    np.testing.assert_allclose(window.translation_overlap(dx, dy), [40, 21, 0, 0])
    np.testing.assert_allclose(same.translation_overlap(dx, dy), [40, 21, 0, 0], atol=1e-12)


def test_distance_to_the_outline_is_that_of_shapely(window):
    x0, y0, x1, y1 = window.bounds
    rng = np.random.default_rng(3)
    points = np.column_stack([rng.uniform(x0, x1, 200), rng.uniform(y0, y1, 200)])
    outline = shapely.boundary(window.geometry)
    expected = shapely.distance(outline, shapely.points(points))
    np.testing.assert_allclose(window.boundary_distance(points), expected, rtol=1e-12, atol=1e-12)
    inside = shapely.intersects(window.geometry, shapely.points(points))
    np.testing.assert_array_equal(window.contains(points), inside)


def test_the_outline_and_the_rim_of_a_hole_belong_to_the_window():
    window = Window.polygon(
        [(0, 0), (4, 0), (4, 4), (0, 4)], holes=[[(1, 1), (2, 1), (2, 2), (1, 2)]]
    )
    on = [(0, 0), (4, 2), (1, 1.5), (2, 2)]
    assert window.contains(on).all()
    assert not window.contains([(1.5, 1.5), (-0.001, 2)]).any()
    assert window.contains([]).shape == (0,)


def test_rings_run_with_the_interior_on_their_left(window):
    edges = window.edges
    area = -((edges[:, 2] - edges[:, 0]) * (edges[:, 1] + edges[:, 3]) / 2).sum()
    assert area == pytest.approx(window.area)


def test_the_direction_of_the_vertices_given_does_not_matter():
    forward, backward = Window.polygon(ELL), Window.polygon(ELL[::-1])
    assert forward.area == backward.area == 64
    np.testing.assert_allclose(
        forward.translation_overlap([1.0], [2.0]), backward.translation_overlap([1.0], [2.0])
    )


def test_a_rectangle_given_as_a_polygon_is_known_as_one():
    assert Window.polygon([(0, 0), (5, 0), (5, 3), (0, 3)]).is_rectangle
    assert Window.polygon([(0, 0), (5, 0), (5, 3), (0, 3), (0, 0)]).is_rectangle
    assert not Window.polygon([(0, 0), (5, 1), (5, 3), (0, 3)]).is_rectangle


def test_erosion_and_parts():
    window = Window.polygon(
        [(0, 0), (20, 0), (20, 10), (0, 10)], holes=[[(9, 4), (11, 4), (11, 6), (9, 6)]]
    )
    inner = window.erode(3)
    assert inner is not None
    points = np.random.default_rng(1).uniform((0, 0), (20, 10), size=(500, 2))
    points = points[window.contains(points)]
    far = window.boundary_distance(points) > 3.01
    assert inner.contains(points[far]).all()
    assert not inner.contains(points[window.boundary_distance(points) < 2.99]).any()
    assert window.erode(0).area == pytest.approx(window.area)
    assert window.erode(6) is None
    assert window.part(shapely.box(0, 0, 5, 5)).area == 25
    assert window.part(shapely.box(20, 0, 25, 5)) is None  # a shared side has no area
    for wrong in (-1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="distance is"):
            window.erode(wrong)


def test_geojson_goes_out_and_in(window, tmp_path):
    again = Window.from_geojson(window.to_geojson())
    assert shapely.equals(again.geometry, window.geometry)
    feature = {"type": "Feature", "properties": {"name": "tumour"}, "geometry": window.to_geojson()}
    line = {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}
    for content in (
        feature,
        [feature],  # as QuPath writes it
        {"type": "FeatureCollection", "features": [feature, {"type": "Feature", "geometry": line}]},
        {"type": "GeometryCollection", "geometries": [line, window.to_geojson()]},
    ):
        path = tmp_path / "annotation.geojson"
        path.write_text(json.dumps(content), encoding="utf-8")
        assert Window.from_geojson(path).area == pytest.approx(window.area)


def test_several_annotations_are_united():
    boxes = [shapely.box(0, 0, 2, 2), shapely.box(1, 0, 3, 2), shapely.box(5, 5, 6, 6)]
    features = [{"type": "Feature", "geometry": json.loads(shapely.to_geojson(b))} for b in boxes]
    assert Window.from_geojson({"type": "FeatureCollection", "features": features}).area == 7


def test_faults_of_geojson(tmp_path):
    with pytest.raises(InputError, match="missing: correct the path"):
        Window.from_geojson(tmp_path / "nowhere.geojson")
    path = tmp_path / "broken.geojson"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="no readable GeoJSON"):
        Window.from_geojson(path)
    with pytest.raises(InputError, match="holds no polygon"):
        Window.from_geojson({"type": "FeatureCollection", "features": []})
    with pytest.raises(InputError, match="holds no polygon"):
        Window.from_geojson({"type": "Point", "coordinates": [0, 0]})
    with pytest.raises(InputError, match="a geometry is no readable GeoJSON"):
        Window.from_geojson({"type": "Polygon", "coordinates": "x"})
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    with pytest.raises(InputError, match="an outline crosses itself"):
        Window.from_geojson(bow)


def test_faults_of_outlines():
    with pytest.raises(InputError, match=r"x is \(1, 1\).*y is \(2, nan\)"):
        Window.rectangle(x=(1, 1), y=(2, np.nan))
    with pytest.raises(InputError, match=r"exterior has shape \(2, 2\)"):
        Window.polygon([(0, 0), (1, 1)])
    with pytest.raises(InputError, match="exterior is not numeric"):
        Window.polygon([("a", "b")] * 3)
    with pytest.raises(InputError, match="hole 1 has a vertex that is missing"):
        Window.polygon(ELL, holes=[[(1, 1), (2, 1), (2, np.nan)]])
    with pytest.raises(InputError, match="no valid polygon"):
        Window.polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    with pytest.raises(InputError, match="no valid polygon"):
        Window.polygon(ELL, holes=[[(20, 20), (21, 20), (21, 21)]])
    with pytest.raises(InputError, match="the window is a Point"):
        Window.from_geometry(shapely.Point(0, 0))
    with pytest.raises(InputError, match="no area"):
        Window.from_geometry(shapely.Polygon())
    window = Window.polygon(ELL)
    with pytest.raises(InputError, match="points are missing or infinite in row 1"):
        window.contains([(1, 1), (np.nan, 1)])
    with pytest.raises(InputError, match=r"points have shape \(3,\)"):
        window.boundary_distance([1, 2, 3])
    with pytest.raises(InputError, match="points are not numeric"):
        window.contains([("a", "b")])


def test_a_window_travels_between_processes(window):
    again = pickle.loads(pickle.dumps(window))
    assert again.area == window.area
    np.testing.assert_array_equal(again.edges, window.edges)


def test_it_says_what_it_is():
    assert repr(Window.rectangle(x=(0, 500), y=(0, 400))) == (
        "<Window: rectangle, 500 x 400 um, 0.2 mm2>"
    )
    assert "polygon of 9 edges" in repr(Window.polygon(ELL, holes=[HOLE]))
