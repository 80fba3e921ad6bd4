"""Why the marker model's defaults are what they are: concordance and slope on fresh patients.

python benchmarks/coverage/marker_model_defaults.py --training-sets 24
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from margin_variance import draw
from sksurv.metrics import concordance_index_censored
from statsmodels.duration.hazard_regression import PHReg

from times_stats.boosting.marker_model import MarkerModel
from times_stats.resampling import spawn_rng

SETTINGS = {
    "default": {},
    "min_child_weight=5": {"min_child_weight": 5},
    "reg_lambda=5": {"reg_lambda": 5},
    "100 rounds": {"n_rounds": 100},
    "100 rounds, light penalty": {"n_rounds": 100, "min_child_weight": 1, "reg_lambda": 1},
    "200 rounds, light penalty": {"n_rounds": 200, "min_child_weight": 1, "reg_lambda": 1},
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training-sets", type=int, default=24)
    count = parser.parse_args().training_sets
    rows = []
    for n in (100, 180):
        for signal in ("weak", "medium"):
            for name, changes in SETTINGS.items():
                found = []
                for number in range(count):
                    X, y = draw(n, signal, spawn_rng(3, "training", signal, n, number))
                    fresh, later = draw(1500, signal, spawn_rng(4, "fresh", signal, number))
                    margin = MarkerModel(**changes).fit(X, y).predict(fresh)
                    happened = later["event"].to_numpy() == 1
                    time = later["time"].to_numpy()
                    c = concordance_index_censored(happened, time, margin)[0]
                    slope = PHReg(time, margin, status=happened.astype(int)).fit().params[0]
                    found.append((c, slope, margin.std()))
                c, slope, sd = np.mean(found, axis=0)
                rows.append(
                    {"n": n, "signal": signal, "settings": name, "C": c, "slope": slope, "sd": sd}
                )
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
