"""How long the refits of a performance game take, and how much of it the transform was.

330 patients, 90 columns, 5 outer folds: `performance_shapley`, level against location, for the mean
log density, with refitted resamples. Each refit learns the Yeo-Johnson powers of all columns and
levels in each of its training sets, and fits every coalition there: 64 of 6 players, 1,024 of 10.
``a refit`` is the whole, ``transform`` what learning and applying the powers takes of it, measured
apart on the training sets of the first refits; ``by scipy`` the same with the powers that
scikit-learn's `PowerTransformer` finds by scipy's search, one column after another. ``200 refits``
is 201 times ``a refit``. CPU seconds of one process; compiled loops are loaded before the clock
starts.

    python benchmarks/speed/shapley_refits.py > benchmarks/speed/shapley_refits.txt
"""

from __future__ import annotations

import argparse
import os
import time
from unittest import mock

import numpy as np
import pandas as pd
from sklearn.preprocessing import PowerTransformer, StandardScaler

from times_stats.attribution import PerformanceShapley, performance_shapley
from times_stats.resampling import assign_folds, spawn_rng
from times_stats.rivals import transforms
from times_stats.rivals.transforms import learn_transform
from times_stats.rivals.yeo_johnson import PoweredScaler, take_powers
from times_stats.simulate import simulate_study

N, FOLDS, HORIZON, FEW = 330, 5, 36.0, 2
DESIGNS = {"3 markers x 30 regions": (3, 30), "5 markers x 18 regions": (5, 18)}


def simulate(markers: int, regions: int) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """One study: features, outcome, folds."""
    study = simulate_study(
        n_patients=N, markers=markers, regions=regions, location_effect=0.5, seed=1
    )
    features = study.measurements.pivot_table(
        index="patient_id", columns=["marker", "region"], values="value"
    ).sort_index(axis=1)
    outcome = study.patients.set_index("patient_id").loc[features.index, ["time", "event"]]
    folds = assign_folds(
        features.index, strata=outcome["event"], n_folds=FOLDS, rng=spawn_rng(1, "folds")
    )
    return features, outcome, folds


def play(data: tuple, n_refits: int) -> tuple[float, PerformanceShapley]:
    """CPU seconds of a game, and its result."""
    features, outcome, folds = data
    started = time.process_time()
    result = performance_shapley(
        features,
        outcome,
        folds=folds,
        horizon=HORIZON,
        game="level_location",
        metric="log_density",
        n_refits=n_refits,
        seed=1,
    )
    return time.process_time() - started, result


def learn_power_by_scipy(values: np.ndarray) -> tuple[PoweredScaler, np.ndarray]:
    """Do what `transforms` did before: take powers from scikit-learn, all usable here."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        powers = PowerTransformer().fit(values).lambdas_
    scaler = StandardScaler().fit(take_powers(values, powers))
    return PoweredScaler(powers, scaler), np.ones(len(powers), dtype=np.bool_)


def transform_seconds(data: tuple, n_refits: int) -> tuple[float, np.ndarray]:
    """CPU seconds a refit for transforms alone, and what they give."""
    features, _, folds = data
    levels = features.T.groupby(level="marker").mean().T
    found, spent = [], 0.0
    for number in range(n_refits):
        rows = np.sort(spawn_rng(1, "shapley", "refit", number).integers(N, size=N))
        for fold in range(FOLDS):
            train = rows[folds[0, rows] != fold]
            for frame in (features, levels):
                every = np.ones(frame.shape[1], dtype=np.bool_)
                started = time.process_time()
                state = learn_transform(frame.iloc[train], gaussianise=every, rescale=every)
                found.append(state.apply(frame.to_numpy()).ravel())
                spent += time.process_time() - started
    return spent / n_refits, np.concatenate(found)


def main() -> None:
    """Play the games and print their times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--refits", type=int, nargs="+", default=[200, 0], help="for each design")
    settings = parser.parse_args()
    rows = []
    load = os.getloadavg()[0]
    for (name, size), n_refits in zip(DESIGNS.items(), settings.refits, strict=False):
        data = simulate(*size)
        transform_seconds(data, 1)
        if n_refits:
            play(data, 0)
        seconds, result = play(data, n_refits)
        own, values = transform_seconds(data, FEW)
        with mock.patch.object(transforms, "_learn_power", learn_power_by_scipy):
            scipy, other = transform_seconds(data, FEW)
        a_refit = seconds / (n_refits + 1)
        rows.append(
            {
                "columns": name,
                "players": len(result.players),
                "refits": n_refits,
                "a refit": round(a_refit, 2),
                "transform": round(own, 3),
                "by scipy": round(scipy, 2),
                "ratio": round(scipy / own),
                "200 refits": round(201 * a_refit),
                "with scipy": round(201 * (a_refit - own + scipy)),
                "largest difference": f"{np.abs(values - other).max():.0e}",
            }
        )
    print(
        f"{N} patients, 90 columns, {FOLDS} folds; CPU seconds of one process, load"
        f" {load:.0f} at the start and {os.getloadavg()[0]:.0f} at the end on {os.cpu_count()}"
        " cores\n"
    )
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
