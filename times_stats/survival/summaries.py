"""Effects of a fit in words a clinician uses: by region from the tumour out, and hazard ratios."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from times_stats._typing import FloatArray
from times_stats.errors import InputError
from times_stats.survival.covariates import Covariate
from times_stats.survival.hazard import stacked
from times_stats.survival.predictor import climbed_shares
from times_stats.survival.result import SurvivalFit


def effect_profile(fit: SurvivalFit, *, prob: float = 0.95) -> pd.DataFrame:
    """Tabulate the slopes of each marker by region, in the order of the distance to the boundary.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model whose specification orders the regions.
    prob : float, default 0.95
        Mass of the equal-tailed credible band, which holds region by region.

    Returns
    -------
    DataFrame
        One row per marker and region: marker, region, position (from 0, among the regions of the
        fit), mean, lower, upper of the slope on the evidence, in log-hazard units, in the average
        cohort. Markers come in the order of the evidence, their regions in that of
        ``spec.region_order``.

    Raises
    ------
    InputError
        If the regions have no order, there are fewer than two, or `prob` is not between 0 and 1.

    Notes
    -----
    Draws of neighbours belong together, and the random walk between them pulls them towards one
    another: two bands that overlap do not say that two regions are alike.

    Examples
    --------
    >>> from times_stats.survival import SurvivalSpec, effect_profile, fit_survival
    >>> spec = SurvivalSpec(region_order=("tumour", "invasive_front", "adjacent"))
    >>> effect_profile(fit_survival(spec, evidence, y))  # doctest: +SKIP
    """
    tails = _tails(prob)
    order = fit.spec.region_order
    if not order:
        raise InputError(
            "the regions of this fit have no order, and a profile needs one: fit it with "
            "region_order, or use posterior_summary"
        )
    markers, regions = (fit.columns.get_level_values(level) for level in (0, 1))
    present = [region for region in order if region in set(regions)]
    if len(present) < 2:
        raise InputError(
            f"the evidence of this fit has {len(present)} of the ordered regions: "
            "a profile needs two or more"
        )
    draws = stacked(fit.posterior["posterior"].to_dataset(), "beta")
    lower, upper = np.quantile(draws, tails, axis=0)
    table = pd.DataFrame(
        {
            "marker": markers,
            "region": regions,
            "position": [present.index(region) for region in regions],
            "mean": draws.mean(axis=0),
            "lower": lower,
            "upper": upper,
        }
    )
    rank = pd.factorize(table["marker"])[0]
    rows = np.lexsort([table["position"].to_numpy(), rank])
    return table.iloc[rows].reset_index(drop=True)


def covariate_summary(fit: SurvivalFit, *, prob: float = 0.95) -> pd.DataFrame:
    r"""Tabulate hazard ratios of the covariates, on the scale they were measured on.

    .. math:: \mathrm{HR} = e^{\gamma / \mathrm{sd}} \text{ of a number}, \qquad
        \mathrm{HR}_k = \exp\Big(b \sum_{j \le k} \delta_j\Big) \text{ of level } k

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model with covariates.
    prob : float, default 0.95
        Mass of the equal-tailed credible interval.

    Returns
    -------
    DataFrame
        Columns covariate, level, cohort, hazard_ratio (posterior median), lower, upper. A number
        has one row, per unit, with an empty level; an ordered covariate has one for each level
        above the lowest, which it is compared with. The rows with an empty cohort hold for all
        cohorts, or for the average one where the effect varies; then those of each cohort follow.

    Raises
    ------
    InputError
        If the model has no covariate, or `prob` is not between 0 and 1.

    Notes
    -----
    Given the other covariates and the evidence. A hazard ratio of adjustment variables is not a
    causal effect.

    Examples
    --------
    >>> from times_stats.survival import Covariate, SurvivalSpec, covariate_summary, fit_survival
    >>> spec = SurvivalSpec(covariates=(Covariate("age"), Covariate("stage", ("I", "II", "III"))))
    >>> fit = fit_survival(spec, evidence, y, covariates=clinical)  # doctest: +SKIP
    >>> covariate_summary(fit)[["covariate", "level", "hazard_ratio"]]  # doctest: +SKIP
    """
    tails = _tails(prob)
    if not fit.spec.covariates:
        raise InputError("the model has no covariate: fit it with some, or use posterior_summary")
    posterior = fit.posterior["posterior"].to_dataset()
    tables = []
    for number, term in enumerate(fit.spec.covariates):
        common = stacked(posterior, "covariate_effect")[:, number]
        levels, units = _units(fit, posterior, term)
        for cohort, own in (("", common), *_by_cohort(fit, posterior, term, common)):
            logs = own[:, None] * units
            with np.errstate(over="ignore"):  # a unit far beyond all patients
                low, middle, high = np.exp(np.quantile(logs, [tails[0], 0.5, tails[1]], axis=0))
            tables.append(
                pd.DataFrame(
                    {
                        "covariate": term.name,
                        "level": levels,
                        "cohort": cohort,
                        "hazard_ratio": middle,
                        "lower": low,
                        "upper": high,
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def _tails(prob: float) -> tuple[float, float]:
    if not 0 < prob < 1:
        raise InputError(f"prob is {prob}: use a number between 0 and 1")
    return (1 - prob) / 2, (1 + prob) / 2


def _units(
    fit: SurvivalFit, posterior: xr.Dataset, term: Covariate
) -> tuple[list[str], FloatArray]:
    """Name each contrast and say how much of the effect it is, shape (1 or n_samples, n)."""
    if term.is_ordered:
        climbed = climbed_shares(posterior, term.name, len(term.levels))
        return list(term.levels[1:]), climbed[:, 1:]
    _, sd = fit.scaling[term.name]
    return [""], np.array([[1 / sd]])


def _by_cohort(
    fit: SurvivalFit, posterior: xr.Dataset, term: Covariate, common: FloatArray
) -> list[tuple[str, FloatArray]]:
    """Name and draws of the effect of each cohort; none where all have the common one."""
    if not term.by_cohort or "covariate_cohort_effect" not in posterior:
        return []
    own = posterior["covariate_cohort_effect"].sel(varying_covariate=term.name)
    deviation = stacked(own.to_dataset(name="own"), "own")
    return [(name, common + deviation[:, k]) for k, name in enumerate(fit.cohorts)]
