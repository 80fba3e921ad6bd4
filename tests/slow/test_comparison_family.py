"""Five equally good risks: the comparison finds a difference in one study of twenty at most."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from times_stats.evaluation import Prediction, compare_pairs
from times_stats.resampling import spawn_rng

pytestmark = pytest.mark.slow


def test_family_wise_error_of_equal_risks():
    n_studies, n, together, adjusted, alone = 200, 100, 0, 0, 0
    for number in range(n_studies):
        rng = spawn_rng(2, "equal risks", number)
        hazard = rng.normal(size=n)
        failure, censoring = rng.exponential(np.exp(-hazard)), rng.exponential(2, n)
        outcome = pd.DataFrame(
            {"time": np.minimum(failure, censoring), "event": (failure <= censoring).astype(int)}
        )
        models = [Prediction(str(k), (hazard + rng.normal(size=n))[None]) for k in range(5)]
        table = compare_pairs(outcome, models, times=[0.3], horizon=0.3, n_resamples=199, rng=rng)
        c = table[table["metric"] == "concordance_harrell"]
        together += ((c["lower_simultaneous"] > 0) | (c["upper_simultaneous"] < 0)).any()
        adjusted += (c["p_adjusted"] <= 0.05).any()
        alone += ((c["lower"] > 0) | (c["upper"] < 0)).any()
    most = 0.05 + 3 * np.sqrt(0.05 * 0.95 / n_studies)
    assert together / n_studies < most
    assert adjusted / n_studies < most
    assert alone / n_studies > 0.2  # what the family is for
