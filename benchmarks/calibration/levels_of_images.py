"""Which level keeps an effect of level from passing for one of location, in `lung_vectra`.

Images without a boundary have no regions, but they have cells. An outcome is drawn that depends on
one level of a marker alone, over all images or over those with a boundary: slope 1, noise sd 1, all
values log(1 + x) and standardised. Then the regional contrasts are tested by F given the level, at
5 %: more rejections than that are false claims of location. It stands in for the ladder, which
holds both levels.

Run: python benchmarks/calibration/levels_of_images.py > benchmarks/calibration/levels_of_images.txt
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import f as f_distribution

from times_stats import read_study
from times_stats.datasets import lung_vectra_study_file
from times_stats.features.matrix import ALL_IMAGES, build_feature_table
from times_stats.resampling import spawn_rng

N_OUTCOMES = 2000
LEVEL = 0.05
REGIONS = ("tumour_centre", "invasive_front")  # the third follows from the level and these


def standardised(values: pd.Series) -> np.ndarray:
    logs = np.log1p(values.to_numpy(dtype=np.float64))
    return (logs - logs.mean()) / logs.std()


def residual_squares(design: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """Sum of squared residuals of each outcome, shape (n_outcomes,)."""
    basis, _ = np.linalg.qr(design)
    return ((outcomes - basis @ (basis.T @ outcomes)) ** 2).sum(axis=0)


def rejections(given: list[np.ndarray], contrasts: list[np.ndarray], truth: np.ndarray) -> float:
    """Share of outcomes of one level in which the contrasts seem to add to the levels given."""
    rng = spawn_rng(1, "levels of images")
    outcomes = truth[:, None] + rng.standard_normal((len(truth), N_OUTCOMES))
    small = np.column_stack([np.ones(len(truth)), *given])
    large = np.column_stack([small, *contrasts])
    within = residual_squares(large, outcomes) / (len(truth) - large.shape[1])
    gained = (residual_squares(small, outcomes) - within * (len(truth) - large.shape[1])) / len(
        contrasts
    )
    p = f_distribution.sf(gained / within, len(contrasts), len(truth) - large.shape[1])
    return float((p < LEVEL).mean())


def main() -> None:
    table = build_feature_table(read_study(lung_vectra_study_file(), jobs=2))
    print(f"Share of {N_OUTCOMES} outcomes of a level that pass for location, at {LEVEL:.0%}")
    print(f"{'marker':8} {'patients':>8} {'level given':>22} {'effect of':>20} {'rejected':>9}")
    for marker in table.levels.columns[: table.levels.shape[1] // 2]:
        both = table.levels[[marker, f"{marker}{ALL_IMAGES}"]].join(table.values[marker]).dropna()
        bounded, every = (standardised(both[name]) for name in both.columns[:2])
        regions = [standardised(both[region]) for region in REGIONS]
        for name, given in (
            ("all images", [every]),
            ("with a boundary", [bounded]),
            ("both", [bounded, every]),
        ):
            contrasts = [region - given[0] for region in regions]
            for of, truth in (("all images", every), ("with a boundary", bounded)):
                share = rejections(given, contrasts, truth)
                print(f"{marker:8} {len(both):8d} {name:>22} {of:>20} {share:9.3f}")


if __name__ == "__main__":
    main()
