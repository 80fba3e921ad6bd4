"""Uncertain evidence: the association is corrected, and predictions are calibrated as well."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from times_stats.errors import InputError
from times_stats.survival.checks import log_likelihood
from times_stats.survival.prediction import linear_predictor, predict_survival
from times_stats.survival.sampling import compile_survival, fit_survival
from times_stats.survival.spec import SurvivalSpec
from times_stats.survival.storage import load_posterior, save_posterior

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sampling")]

N, N_NEW, N_STUDIES = 250, 2000, 6
COLUMNS = pd.MultiIndex.from_tuples([("CD8", "tumour")], names=["marker", "region"])
SLOPE, HORIZON = 1.0, 20.0


def measured(true, rng, prefix):
    """Means of 3 to 6 tiles whose sd is 1.5: about as much error as there is between patients."""
    index = pd.Index([f"{prefix}{number:04d}" for number in range(true.size)])
    n_tiles = rng.integers(3, 7, true.size)
    tiles = [t + 1.5 * rng.standard_normal(k) for t, k in zip(true, n_tiles, strict=True)]
    se = [np.std(values, ddof=1) / np.sqrt(values.size) for values in tiles]

    def table(values):
        return pd.DataFrame(np.array(values, float), index=index, columns=COLUMNS)

    return table([values.mean() for values in tiles]), table(se), table(n_tiles)


def one_study(seed):
    rng = np.random.default_rng(seed)
    true = 0.8 * rng.standard_normal(N + N_NEW)
    time = 25 * rng.exponential(size=true.size) / np.exp(SLOPE * true)
    z, se, tiles = measured(true[:N], rng, "p")
    censored = rng.uniform(15, 60, N)
    y = pd.DataFrame(
        {"time": np.minimum(time[:N], censored), "event": (time[:N] <= censored).astype(int)},
        index=z.index,
    )
    return z, se, tiles, y, measured(true[N:], rng, "q"), time[N:] <= HORIZON


@pytest.fixture(scope="module")
def fits():
    """Slopes and calibration with the error in the model and left out, in some studies."""
    spec = dataclasses.replace(SurvivalSpec().for_folds(), target_accept=0.9)
    exact = compile_survival(spec, columns=COLUMNS)
    latent = compile_survival(spec, columns=COLUMNS, n_latent=N)
    rows, last = [], None
    for seed in range(N_STUDIES):
        z, se, tiles, y, (new, new_se, new_tiles), event = one_study(seed)
        for name, compiled, errors, new_errors in (
            ("left out", exact, {}, {}),
            (
                "modelled",
                latent,
                {"evidence_se": se, "n_tiles": tiles},
                {"evidence_se": new_se, "n_tiles": new_tiles},
            ),
        ):
            fit = fit_survival(
                spec, z, y, seed=seed, compiled=compiled, cores=2, slope_prior=(0.0, 2.0), **errors
            )
            assert fit.diagnostics.status == "converged", fit.diagnostics
            few = slice(0, N_NEW, 5)
            options = {key: table.iloc[few] for key, table in new_errors.items()}
            risk = 1 - predict_survival(fit, new.iloc[few], times=[HORIZON], **options)
            risk = risk.mean("sample").to_numpy()[:, 0]
            logit = np.log(risk / (1 - risk))
            rows.append(
                {
                    "error": name,
                    "slope": float(fit.posterior["posterior"]["slope"].mean()),
                    "off": risk.mean() - event[few].mean(),
                    "calibration": logistic_slope(logit, event[few]),
                    "brier": float(((risk - event[few]) ** 2).mean()),
                }
            )
            last = (fit, z, se, tiles, y, new)
    return pd.DataFrame(rows).set_index("error"), last


def logistic_slope(logit, event):
    from sklearn.linear_model import LogisticRegression

    return float(LogisticRegression(C=np.inf).fit(logit[:, None], event).coef_[0, 0])


def test_the_slope_of_the_true_evidence_is_found(fits):
    table, _ = fits
    modelled, left_out = table.loc["modelled", "slope"], table.loc["left out", "slope"]
    assert abs(modelled.mean() - SLOPE) < 3 * modelled.std() / np.sqrt(N_STUDIES)
    assert left_out.mean() < 0.75 * SLOPE
    assert (modelled.to_numpy() > left_out.to_numpy()).all()


def test_predictions_are_calibrated_as_well(fits):
    table, _ = fits
    for name in ("modelled", "left out"):
        rows = table.loc[name]
        assert abs(rows["off"].mean()) < 0.03, (name, rows["off"].mean())
        assert abs(rows["calibration"].mean() - 1) < 0.15, (name, rows["calibration"].mean())
    # Tiles of all patients scatter alike here, and each is believed to scatter in its own way: the
    # modelled error weighs patients by a noisy standard error, and loses a little for it.
    worse = table.loc["modelled", "brier"].to_numpy() - table.loc["left out", "brier"].to_numpy()
    assert worse.mean() < 0.005


def test_a_fit_with_uncertain_evidence_is_saved_and_refuses_what_it_must(fits, tmp_path):
    _, (fit, z, se, tiles, y, new) = fits
    save_posterior(fit, tmp_path)
    again = load_posterior(tmp_path)
    np.testing.assert_array_equal(log_likelihood(again), log_likelihood(fit))
    tables = again.training_tables()
    pd.testing.assert_frame_equal(tables.evidence_se, se, check_names=False)
    pd.testing.assert_frame_equal(tables.n_tiles, tiles, check_names=False)
    gap = new.iloc[:2].copy()
    gap.iloc[0] = np.nan
    exact = {"evidence_se": gap * 0, "n_tiles": gap * 0}
    eta = linear_predictor(fit, gap, **exact)
    with pytest.raises(InputError, match="slopes of the model are those of true evidence: give"):
        linear_predictor(fit, gap)
    assert (eta.attrs["n_drawn"], eta.attrs["n_filled"]) == (1, 0)
    assert eta[:, 0].std() > eta[:, 1].std()
    with pytest.raises(InputError, match="belong together: give both or neither"):
        fit_survival(SurvivalSpec(), z, y, evidence_se=se)
    with pytest.raises(InputError, match="n_tiles is below 2 for patient p0000"):
        fit_survival(SurvivalSpec(), z, y, evidence_se=se, n_tiles=tiles * 0 + 1)
    with pytest.raises(InputError, match="evidence_se is negative or infinite for patient p0000"):
        fit_survival(SurvivalSpec(), z, y, evidence_se=-se, n_tiles=tiles)
