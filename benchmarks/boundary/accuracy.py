"""Error of the estimated tumour boundary on simulated tissue whose boundary is known.

Windows of 1.2 x 1.2 mm hold one large nest, three small ones, or a wavy front from side to side;
outlines are smooth, irregular and drawn anew for each seed. Cells are a Poisson process; tumour
cells make up the purity inside and 2 % outside. The error is the mean distance of one line to the
other, both ways, in micrometres, and their mean in cell spacings (1 / sqrt(density)).

Printed: the table with one density for the whole window; the mean error where the surroundings are
sparser or denser than the tumour, beside two simpler estimators; how often a boundary is reported
where there is none; the time of one estimate and of the distances to it.

Run: python benchmarks/boundary/accuracy.py > benchmarks/boundary/accuracy.txt
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import shapely

from times_stats.regions.boundary import signed_distance, tumour_boundary
from times_stats.regions.contours import polygons_above
from times_stats.regions.kernel_fraction import choose_bandwidth, smooth_fraction, split_in_two
from times_stats.regions.window import Window
from times_stats.resampling import spawn_rng

SIDE = 1200.0
WINDOW = Window.rectangle(x=(0, SIDE), y=(0, SIDE))
PURITIES, DENSITIES = (0.6, 0.75, 0.85, 0.95), (1000, 3000, 10000)
SHAPES = ("front", "one nest", "three nests")
CONTAMINATION = 0.02
N_SEEDS = 20
STEP = 2.0  # micrometres between the points at which distances are averaged

Tissue = tuple[np.ndarray, np.ndarray]
Estimator = Callable[[np.ndarray, np.ndarray], Any]


def draw_nest(rng: np.random.Generator, *, centre: np.ndarray, radius: float) -> Any:
    """Return a star-shaped polygon with a smooth irregular outline."""
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    relative = np.ones_like(angle)
    for wave in range(2, 7):
        relative += rng.normal(0, 0.22 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    reach = radius * np.maximum(relative, 0.35)
    return shapely.Polygon(
        np.column_stack([np.cos(angle), np.sin(angle)]) * reach[:, None] + centre
    )


def draw_front(rng: np.random.Generator) -> Any:
    """Return the area below a wavy front that crosses the window."""
    x = np.linspace(-50, SIDE + 50, 700)
    y = np.full_like(x, SIDE * rng.uniform(0.35, 0.65))
    for length, height in ((SIDE, 80), (SIDE / 2, 50), (SIDE / 4, 25)):
        y += rng.normal(0, height) * np.sin(2 * np.pi * x / length + rng.uniform(0, 2 * np.pi))
    return shapely.Polygon([*np.column_stack([x, y]), (SIDE + 50, -100), (-50, -100)])


def draw_tumour(rng: np.random.Generator, shape: str) -> Any:
    """Return the tumour inside the window; nests may be cut by its frame but not touch."""
    if shape == "front":
        area = draw_front(rng)
    elif shape == "one nest":
        centre = rng.uniform(0.3 * SIDE, 0.7 * SIDE, 2)
        area = draw_nest(rng, centre=centre, radius=rng.uniform(220, 330))
    else:
        nests: list[Any] = []
        while len(nests) < 3:
            centre = rng.uniform(0.05 * SIDE, 0.95 * SIDE, 2)
            nest = draw_nest(rng, centre=centre, radius=rng.uniform(110, 190))
            if all(nest.distance(other) > 80 for other in nests):
                nests.append(nest)
        area = shapely.MultiPolygon(nests)
    return shapely.intersection(area, WINDOW.geometry)


def draw_cells(
    rng: np.random.Generator, tumour: Any, *, density: float, purity: float, outside: float
) -> Tissue:
    """Return cells and whether each is a tumour cell; `outside` is the density there, relative."""
    highest = max(1.0, outside)
    cells = rng.uniform(0, SIDE, (rng.poisson(density * highest * WINDOW.area_mm2), 2))
    shapely.prepare(tumour)
    inside = shapely.intersects_xy(tumour, cells[:, 0], cells[:, 1])
    kept = rng.random(len(cells)) < np.where(inside, 1.0, outside) / highest
    cells, inside = cells[kept], inside[kept]
    return cells, rng.random(len(cells)) < np.where(inside, purity, CONTAMINATION)


def mean_distance(line: Any, other: Any) -> float:
    """Return the mean distance from the points of one line to another."""
    points = []
    for part in shapely.get_parts(line):
        n = max(2, int(part.length / STEP))
        points.append(
            shapely.line_interpolate_point(part, (np.arange(n) + 0.5) / n, normalized=True)
        )
    shapely.prepare(other)
    return float(shapely.distance(np.concatenate(points), other).mean())


def both_errors(lines: Any, truth: Any) -> tuple[float, float]:
    """Return the mean distances estimate to truth and truth to estimate."""
    if lines.is_empty:
        return np.inf, np.inf
    return mean_distance(lines, truth), mean_distance(truth, lines)


def inner_outline(tumour: Any) -> Any:
    """Return the outline without the stretches along the frame."""
    return shapely.intersection(shapely.boundary(tumour), WINDOW.geometry.buffer(-1e-6))


def estimate(cells: np.ndarray, is_tumour: np.ndarray) -> Any:
    return tumour_boundary(cells, is_tumour, window=WINDOW).lines


def estimate_at_one_half(cells: np.ndarray, is_tumour: np.ndarray) -> Any:
    return tumour_boundary(cells, is_tumour, window=WINDOW, level=0.5).lines


def estimate_unweighted(cells: np.ndarray, is_tumour: np.ndarray) -> Any:
    """Every cell with the same weight: bandwidth and level chosen the same way."""
    areas = np.full(len(cells), WINDOW.area / len(cells))
    bandwidth = choose_bandwidth(cells, is_tumour, areas)
    field = smooth_fraction(
        cells, is_tumour, areas, bandwidth=bandwidth, bounds=WINDOW.bounds, resolution=5.0
    )
    level = split_in_two(cells, is_tumour, areas, bandwidth=bandwidth).level
    area = polygons_above(field.fraction, x=field.x, y=field.y, level=level)
    clipped = shapely.intersection(area, WINDOW.geometry)
    large = [p for p in shapely.get_parts(clipped) if p.area >= 4 * np.pi * areas[0]]
    return inner_outline(shapely.MultiPolygon(large))


def errors_of(estimator: Estimator, *, density: float, purity: float, outside: float) -> np.ndarray:
    """Return both errors of every seed and shape, shape (n, 2), micrometres."""
    found = []
    for seed in range(N_SEEDS):
        for shape in SHAPES:
            rng = spawn_rng(seed, shape, int(100 * purity), int(density), int(100 * outside))
            tumour = draw_tumour(rng, shape)
            cells, is_tumour = draw_cells(
                rng, tumour, density=density, purity=purity, outside=outside
            )
            found.append(both_errors(estimator(cells, is_tumour), inner_outline(tumour)))
    return np.array(found)


def print_accuracy() -> None:
    print(f"One density; {N_SEEDS} seeds x {len(SHAPES)} shapes per row; micrometres")
    print("purity density spacing  est->truth truth->est   mean  in spacings  worst image  missed")
    worst = 0.0
    for purity in PURITIES:
        for density in DENSITIES:
            spacing = 1000 / np.sqrt(density)
            errors = errors_of(estimate, density=density, purity=purity, outside=1.0)
            missed = int(np.isinf(errors).any(axis=1).sum())
            there, back = errors.mean(axis=0)
            relative = (there + back) / 2 / spacing
            worst = max(worst, relative)
            print(
                f"{purity:6.2f} {density:7d} {spacing:7.1f}  {there:10.1f} {back:10.1f} "
                f"{(there + back) / 2:6.1f}  {relative:11.2f}  "
                f"{errors.mean(axis=1).max() / spacing:11.2f}  {missed:6d}"
            )
    verdict = "under" if worst < 1 else "NOT under"
    print(f"Largest mean error {worst:.2f} spacings: {verdict} one spacing in every row\n")


def print_densities() -> None:
    print("Density outside over density in the tumour; mean error in spacings inside the tumour")
    print("outside purity density  chosen  at level 0.5  unweighted")
    for outside in (0.4, 1.0, 2.5):
        for purity in (0.6, 0.75, 0.95):
            for density in DENSITIES:
                spacing = 1000 / np.sqrt(density)
                row = [
                    errors_of(e, density=density, purity=purity, outside=outside).mean() / spacing
                    for e in (estimate, estimate_at_one_half, estimate_unweighted)
                ]
                print(
                    f"{outside:7.1f} {purity:6.2f} {density:7d}  "
                    f"{row[0]:6.2f}  {row[1]:12.2f}  {row[2]:10.2f}"
                )
    print()


def print_no_structure() -> None:
    print("Tumour cells mixed evenly: share of 200 windows with a boundary")
    print("cells  fraction 0.05   0.3   0.6   0.9")
    for n in (100, 1000, 5000):
        shares = []
        for fraction in (0.05, 0.3, 0.6, 0.9):
            found = 0
            for seed in range(200):
                rng = spawn_rng(seed, "mixed", n, int(100 * fraction))
                cells, is_tumour = rng.uniform(0, SIDE, (n, 2)), rng.random(n) < fraction
                found += not tumour_boundary(cells, is_tumour, window=WINDOW).reason
            shares.append(found / 200)
        print(f"{n:5d}  {'':8s} " + " ".join(f"{share:5.3f}" for share in shares))
    print()


def print_times() -> None:
    print("Median time of 9 on one core, ms")
    print("cells   boundary  distances of the cells")
    for n in (3000, 20000, 100000):
        rng = spawn_rng(1, "time", n)
        tumour = draw_tumour(rng, "three nests")
        cells, is_tumour = draw_cells(
            rng, tumour, density=n / WINDOW.area_mm2, purity=0.8, outside=1.0
        )
        seconds = []
        for _ in range(9):
            start = time.perf_counter()
            found = tumour_boundary(cells, is_tumour, window=WINDOW)
            middle = time.perf_counter()
            signed_distance(cells, found)
            seconds.append((middle - start, time.perf_counter() - middle))
        boundary, distances = 1000 * np.median(seconds, axis=0)
        print(f"{n:6d} {boundary:9.0f} {distances:23.0f}")


if __name__ == "__main__":
    print_accuracy()
    print_densities()
    print_no_structure()
    print_times()
