"""Which patients pull at the fit? Exact leave-one-out where its estimate fails, and stacking."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logsumexp

from times_stats._checks import name_rows
from times_stats.errors import ConvergenceWarning, DataWarning, InputError
from times_stats.survival.checks import log_likelihood, loo
from times_stats.survival.predictive_checks import check_converged
from times_stats.survival.result import SurvivalFit
from times_stats.survival.sampling import CompiledSurvival, compile_survival, fit_survival

_UNSURE = 0.7  # Pareto k above which an importance-sampling estimate is not to be relied on


@dataclass(frozen=True, slots=True, eq=False)
class LeaveOneOut:
    """Leave-one-out predictive density, exact for the patients who needed it.

    Parameters
    ----------
    elpd : float
        Sum over patients of the log predictive density of each, given the others.
    se : float
        Standard error of the sum, by the spread between patients.
    by_patient : DataFrame
        By patient: ``elpd``, ``pareto_k`` (of the estimate), ``refitted``, and ``converged``,
        whether the fit that the number comes from passed its gate.
    """

    elpd: float
    se: float
    by_patient: pd.DataFrame

    @property
    def n_refitted(self) -> int:
        """Patients left out by a fit of their own."""
        return int(self.by_patient["refitted"].sum())


def refit_loo(
    fit: SurvivalFit,
    *,
    compiled: CompiledSurvival | None = None,
    threshold: float = _UNSURE,
    cores: int = 1,
) -> LeaveOneOut:
    r"""Estimate leave-one-out predictive density, and fit again where the estimate fails.

    A patient with Pareto :math:`k` above the threshold pulls so hard that the draws of the full fit
    say little about the fit without them. The model is then fitted to the others, and
    :math:`\log \frac1S \sum_s p(y_i \mid \theta^s_{-i})` takes the place of the estimate.

    Parameters
    ----------
    fit : SurvivalFit
        Fitted model with its training data.
    compiled : CompiledSurvival, optional
        The compilation that `fit` came from; compiled on the spot if left out and needed.
    threshold : float
        Pareto k above which the model is fitted again. Below .7 the estimate can be relied on.
    cores : int
        Chains run at the same time.

    Returns
    -------
    LeaveOneOut
        A new fit that failed its gate shows as ``converged`` False, without a warning.

    Raises
    ------
    InputError
        If the fit did not converge or was saved without its training data; the threshold is not a
        number; the only patient of a cohort would have to be left out; or a patient would, and the
        model has uncertain evidence or missing covariates.

    Notes
    -----
    Scale, crude rate and knots of the baseline, and the prior of the slope, stay those of the full
    fit; numeric covariates are standardised anew, which moves their prior a little. As with `loo`,
    the evidence was learned with these outcomes. Vehtari, Gelman and Gabry (2017),
    doi:10.1007/s11222-016-9696-4.

    Examples
    --------
    >>> from times_stats.survival import refit_loo
    >>> refit_loo(fit, compiled=compiled).by_patient.nlargest(5, "pareto_k")  # doctest: +SKIP
    """
    check_converged(fit)
    if not np.isfinite(threshold):
        raise InputError(f"threshold is {threshold}: use a number, such as 0.7")
    estimate = _quiet_loo(fit)
    table = pd.DataFrame(
        {
            "elpd": estimate.elpd_i.to_numpy(),
            "pareto_k": estimate.pareto_k.to_numpy(),
            "refitted": estimate.pareto_k.to_numpy() > threshold,
            "converged": True,
        },
        index=pd.Index(estimate.elpd_i["patient"].to_numpy().astype(str), name="patient_id"),
    )
    pulling = table.index[table["refitted"]]
    _check_can_leave_out(fit, pulling)
    for patient in pulling:
        compiled = _compile_again(fit) if compiled is None else compiled
        without = _fit_without(fit, patient, compiled, cores)
        pointwise = log_likelihood(without).sel(patient=patient).to_numpy()
        table.loc[patient, "elpd"] = logsumexp(pointwise) - np.log(pointwise.size)
        table.loc[patient, "converged"] = without.diagnostics.status == "converged"
    elpd = table["elpd"].to_numpy()
    return LeaveOneOut(
        elpd=float(elpd.sum()), se=float(np.sqrt(elpd.size * elpd.var(ddof=1))), by_patient=table
    )


def stacking_weights(fits: Mapping[str, SurvivalFit]) -> pd.Series:
    r"""Weigh models so that the mixture of their predictions is best left out of sample.

    Parameters
    ----------
    fits : mapping of str to SurvivalFit
        Two models or more of the same patients and outcomes, with their training data.

    Returns
    -------
    Series
        Weight of each model, in the order given; they sum to one. Not the probability that a model
        is right: of two models that predict the same, one may get all.

    Raises
    ------
    InputError
        If there are fewer than two models, one did not converge or was saved without its training
        data, or their patients or outcomes differ.

    Warns
    -----
    DataWarning
        If a leave-one-out density has Pareto k above .7: see `refit_loo` for those patients.

    Notes
    -----
    Maximises :math:`\sum_i \log \sum_k w_k\, p_k(y_i \mid y_{-i})` over the simplex. Yao et al.
    (2018), doi:10.1214/17-BA1091.

    Examples
    --------
    >>> from times_stats.survival import stacking_weights
    >>> stacking_weights({"weibull": first, "mspline": second})  # doctest: +SKIP
    """
    if len(fits) < 2:
        raise InputError(f"stacking has {len(fits)} model: give two or more")
    for name, fit in fits.items():
        try:
            check_converged(fit)
        except InputError as error:
            raise InputError(error.faults, source=f"model '{name}'") from None
    for one, other in itertools.pairwise(fits):
        _check_same_outcomes((one, fits[one]), (other, fits[other]))
    estimates = {name: _quiet_loo(fit) for name, fit in fits.items()}
    unsure = {
        name: estimate.elpd_i["patient"].to_numpy()[estimate.pareto_k.to_numpy() > _UNSURE]
        for name, estimate in estimates.items()
    }
    named = [f"{name_rows(ids)} (model '{name}')" for name, ids in unsure.items() if len(ids)]
    if named:
        warnings.warn(
            f"leave-one-out is not reliable (Pareto k above {_UNSURE}) for patient "
            f"{', '.join(named)}: look at refit_loo before using the weights",
            DataWarning,
            stacklevel=2,
        )
    weights = az.compare(estimates, method="stacking", round_to="none")["weight"]
    return pd.Series(weights.reindex([*fits]), dtype=np.float64, name="weight")


def _quiet_loo(fit: SurvivalFit) -> az.ELPDData:
    """Leave-one-out without ArviZ's warning about Pareto k, which our results carry as numbers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Estimated shape parameter of Pareto")
        return loo(fit)


def _compile_again(fit: SurvivalFit) -> CompiledSurvival:
    observed = fit.training_data()["observed_data"]
    return compile_survival(
        fit.spec,
        columns=fit.columns if len(fit.columns) else None,
        n_cohorts=fit.n_cohorts,
        delayed_entry="entry" in observed,
        interval_censoring="time_upper" in observed,
    )


def _check_can_leave_out(fit: SurvivalFit, patients: pd.Index) -> None:
    if fit.is_updated:
        raise InputError(
            "a cohort was added to this fit, and its patients are not in it: use the fit before "
            "the update"
        )
    latent = {"true_evidence", "missing_number"} & {*map(str, fit.posterior["posterior"].data_vars)}
    if len(patients) and latent:
        raise InputError(
            f"the density of patient {name_rows(patients)} left out is an integral over uncertain "
            "evidence or missing covariates that their outcome had a say in: raise the threshold, "
            "or look at a fit that takes evidence as exact and has complete covariates"
        )
    constant = fit.training_data()["constant_data"]
    code = pd.Series(
        constant["cohort_index"].to_numpy(), index=constant["patient"].to_numpy().astype(str)
    )
    alone = [name for name in patients if (code == code[name]).sum() == 1]
    if alone and len(fit.cohorts) > 1:
        raise InputError(
            f"patient {name_rows(alone)} is the only one of a cohort, whose effect nothing tells "
            "without them: merge it with another cohort"
        )


def _fit_without(
    fit: SurvivalFit, patient: str, compiled: CompiledSurvival, cores: int
) -> SurvivalFit:
    """Fit to the others; the training data of the result are those of all."""
    tables = fit.training_tables().without(pd.Index([patient]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        without = fit_survival(
            fit.spec,
            tables.evidence,
            tables.y,
            cohort=tables.cohort,
            covariates=tables.covariates,
            seed=fit.seed,
            compiled=compiled,
            cores=cores,
            slope_prior=fit.slope_prior,
            baseline=fit.baseline,
        )
    tree = fit.training_data()
    constant = tree["constant_data"].to_dataset()
    numeric = [term.name for term in fit.spec.covariates if not term.is_ordered]
    if numeric:
        # The others' covariates have a mean and sd of their own, which their effects refer to.
        mean, sd = np.array([fit.scaling[name] for name in numeric]).T
        own_mean, own_sd = np.array([without.scaling[name] for name in numeric]).T
        constant["numbers"] = (constant["numbers"] * sd + mean - own_mean) / own_sd
    groups = {
        "posterior": without.posterior["posterior"].to_dataset(),
        "constant_data": constant,
        "observed_data": tree["observed_data"].to_dataset(),
    }
    return dataclasses.replace(without, posterior=xr.DataTree.from_dict(groups))


def _check_same_outcomes(first: tuple[str, SurvivalFit], second: tuple[str, SurvivalFit]) -> None:
    names = f"models '{first[0]}' and '{second[0]}'"
    one, other = (
        fit.training_data()["observed_data"].to_dataset().to_dataframe()
        for _, fit in (first, second)
    )
    odd = one.index.symmetric_difference(other.index)
    if len(odd):
        raise InputError(
            f"{names} were fitted to different patients, {name_rows(odd)} among them: fit both to "
            "the same ones"
        )
    other = other.loc[one.index]
    for name, blank in (("time", np.nan), ("event", 0), ("entry", 0.0), ("time_upper", np.nan)):
        values = [
            table[name].to_numpy(np.float64) if name in table else np.full(len(one), blank)
            for table in (one, other)
        ]
        same = (values[0] == values[1]) | (np.isnan(values[0]) & np.isnan(values[1]))
        if not same.all():
            raise InputError(
                f"{names} were fitted to different outcomes ({name} of patient "
                f"{name_rows(one.index[~same])}): fit both to the same ones"
            )
