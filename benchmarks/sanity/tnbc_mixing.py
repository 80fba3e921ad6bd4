"""Do the mixing scores tell mixed from compartmentalised breast cancers: a sanity check on MIBI.

34 triple-negative breast cancers, one image each, cells with x, y and type
(huBioinfo/CytoCommunity, MIT; images of Keren et al. 2018, doi:10.1016/j.cell.2018.08.039). Label 1
is mixed, 0 compartmentalised. This is a sanity check and no validation: the labels come from a
threshold on a mixing score of the same cells, so a mixing score that failed here would be wrong,
and one that passes is merely not.

Units. Each coordinate is a mean over whole pixels: x and y of a cell are fractions with one
denominator, its number of pixels (first block of the output). The images have 2048 x 2048 pixels
with a rim of 30 left out; that 2048 pixels are 800 micrometres is taken from the publication, and
gives cells of a plausible size.

Types. Tumour: Epithelial, Tumor/Keratin, Tumor/EGFR. Immune: all immune clusters of the authors,
their cluster "Other" (other immune cells) included. Neither: Endothelial/Vim, Mesenchymal/SMA.

The radius of 15 micrometres (two cell diameters) and the side of 50 were fixed beforehand; other
values are shown to see how far the result depends on them.

Run: python benchmarks/sanity/tnbc_mixing.py CELLS_PARQUET > benchmarks/sanity/tnbc_mixing.txt
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.stats import norm, rankdata

from times_stats.features.mixing import count_interactions
from times_stats.features.quadrats import morisita_horn
from times_stats.regions.window import Window

PIXEL = 800 / 2048  # micrometres
RIM, SIDE = 30, 2048  # pixels
TUMOUR = ["Epithelial", "Tumor/Keratin", "Tumor/EGFR"]
NEITHER = ["Endothelial/Vim", "Mesenchymal/SMA"]
RADII = (15, 10, 20, 30, 50)  # the first was fixed beforehand
SIDES = (50, 25, 100)
CONFIDENCE = 0.95


def pixels_of_cell(x: float, y: float) -> int:
    """Return the least number of pixels of which x and y can both be means; 0 if none is found."""
    n = np.arange(1, 3000)
    off = np.maximum(abs(x * n - np.rint(x * n)), abs(y * n - np.rint(y * n)))
    fits = np.flatnonzero(off < 1e-8 * n)
    return int(n[fits[0]]) if fits.size else 0


def scores_of_image(cells: pd.DataFrame) -> dict[str, float]:
    """Return the scores of one image, at each radius and side."""
    points = cells[["x", "y"]].to_numpy() * PIXEL
    immune = sorted(set(cells["cell_type"]) - set(TUMOUR) - set(NEITHER))
    found = {}
    for radius in RADII:
        counts = count_interactions(
            points, cells["cell_type"], immune=immune, tumour=TUMOUR, radius=radius
        )
        found[f"mixing score, {radius} um"] = counts.mixing_score
        found[f"normalised mixing score, {radius} um"] = counts.normalised_mixing_score
    window = Window.rectangle(
        x=(PIXEL * (RIM - 1), PIXEL * (SIDE - RIM)), y=(PIXEL * (RIM - 1), PIXEL * (SIDE - RIM))
    )
    is_immune, is_tumour = (cells["cell_type"].isin(types) for types in (immune, TUMOUR))
    for side in SIDES:
        found[f"Morisita-Horn, {side} um"] = morisita_horn(
            points[is_immune], points[is_tumour], window=window, side=side
        )
    found["share of immune cells"] = float(is_immune.sum() / (is_immune.sum() + is_tumour.sum()))
    return found


def placements(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, per mixed and per other image, the share of the other group it is placed right of."""
    mixed, apart = score[label == 1], score[label == 0]
    rank = rankdata(np.concatenate([mixed, apart]))
    above = (rank[: mixed.size] - rankdata(mixed)) / apart.size
    below = 1 - (rank[mixed.size :] - rankdata(apart)) / mixed.size
    return above, below


def interval(above: np.ndarray, below: np.ndarray) -> tuple[float, float, float]:
    """Return an AUC, or a difference of two, and its interval: DeLong, doi:10.2307/2531595."""
    middle = float(above.mean())
    se = np.sqrt(above.var(ddof=1) / above.size + below.var(ddof=1) / below.size)
    half = float(norm.ppf((1 + CONFIDENCE) / 2) * se)
    return middle, middle - half, middle + half


def main() -> None:
    """Print units, scores by label, and the table of AUCs."""
    cells = pd.read_parquet(sys.argv[1])
    size = np.array(
        [pixels_of_cell(*row) for row in cells[["x", "y"]].to_numpy()[:: len(cells) // 2000]]
    )
    diameter = 2 * np.sqrt(np.median(size) / np.pi) * PIXEL
    nearest = [
        np.median(cKDTree(image).query(image, k=2)[0][:, 1])
        for image in (group[["x", "y"]] for _, group in cells.groupby("patient_id"))
    ]
    print(f"{len(cells)} cells of {cells['patient_id'].nunique()} patients")
    print(
        f"cells whose x and y are means over whole pixels: {(size > 0).mean():.3f} of {size.size}"
    )
    print(f"median cell: {np.median(size):.0f} pixels, diameter {diameter:.1f} um")
    print(f"median distance to the nearest cell: {np.median(nearest) * PIXEL:.1f} um")
    print(
        f"x from {cells['x'].min():.1f} to {cells['x'].max():.1f}, "
        f"y from {cells['y'].min():.1f} to {cells['y'].max():.1f} pixels\n"
    )
    by_image = cells.groupby("patient_id")
    scores = pd.DataFrame({name: scores_of_image(image) for name, image in by_image}).T
    label = by_image["graph_label"].first().reindex(scores.index).to_numpy()
    print(f"{(label == 1).sum()} mixed (1), {(label == 0).sum()} compartmentalised (0)")
    print(f"AUC for mixed, DeLong {100 * CONFIDENCE:.0f} % interval; medians by label\n")
    rows = []
    for name in scores:
        score = scores[name].to_numpy()
        known = np.isfinite(score)
        auc, lower, upper = interval(*placements(label[known], score[known]))
        rows.append(
            {
                "score": name,
                "n": int(known.sum()),
                "auc": auc,
                "lower": max(lower, 0.0),
                "upper": min(upper, 1.0),
                "median 1": np.median(score[known & (label == 1)]),
                "median 0": np.median(score[known & (label == 0)]),
            }
        )
    table = pd.DataFrame(rows).set_index("score")
    print(table.to_string(float_format=lambda value: f"{value:.3f}"))
    few = placements(label, -scores["share of immune cells"].to_numpy())
    print(f"\nlow share of immune cells: AUC {few[0].mean():.3f}; differences from it, paired:")
    for name in (f"mixing score, {RADII[0]} um", f"normalised mixing score, {RADII[0]} um"):
        own = placements(label, scores[name].to_numpy())
        found = interval(own[0] - few[0], own[1] - few[1])
        print(f"  {name}: {found[0]:+.3f} ({found[1]:+.3f} to {found[2]:+.3f})")


if __name__ == "__main__":
    main()
