"""What a score adds to a stage: likelihood ratio, and log density of patients left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from times_stats._checks import as_survival_table, check_same_patients, name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.partial_likelihood import build_risk_sets, efron_log_likelihood
from times_stats.resampling import bootstrap_mean, check_folds
from times_stats.rivals.cox import WEAK_PRECISION, maximise_penalised

_MOST_PIECES = 5
_EVENTS_A_PIECE = 10


@dataclass(frozen=True, slots=True, eq=False)
class AddedValue:
    """What a score adds to a stage.

    Attributes
    ----------
    chi_squared : float
        Twice the gain in log partial likelihood, on all patients.
    df : int
        Degrees of freedom: 1, the score enters as a straight line.
    p_value : float
        Of the likelihood-ratio test, two-sided, conditional on the score as given.
    coefficient : float
        Log hazard ratio per standard deviation of the score beside the stage; below 0, the score
        runs against the outcome, and the test counts that as well.
    adequacy : float
        Share of the likelihood ratio of stage and score that the stage has alone, both against the
        covariates; NaN where both have none.
    log_density : DataFrame
        Indexed ``stage``, ``stage_and_score``, ``difference``: ``estimate``, ``lower``, ``upper``
        of the mean log density of the patients left out (nats a patient, larger = better).
    patients : Series
        Difference in log density of each patient, mean over repeats.
    n, events : int
        Patients and events.
    """

    chi_squared: float
    df: int
    p_value: float
    coefficient: float
    adequacy: float
    log_density: pd.DataFrame
    patients: pd.Series
    n: int
    events: int


def added_value(
    outcome: pd.DataFrame,
    stage: pd.Series,
    score: ArrayLike,
    *,
    folds: ArrayLike,
    covariates: pd.DataFrame | None = None,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    rng: np.random.Generator,
) -> AddedValue:
    r"""Compare a stage with the stage and a score: likelihood ratio and expected log density.

    Parameters
    ----------
    outcome : DataFrame
        Indexed by ``patient_id``, columns ``time`` (months) and ``event``. A ``cause`` of 2 is
        refused: both measures are of one hazard, and know no competing event.
    stage : Series of categorical, shape (n,)
        Stage of each patient, in the order of `outcome` (where both name patients, the names must
        agree), none missing; each stage has a hazard of
        its own.
    score : array-like, shape (n,) or (n_repeats, n_folds, n)
        Log-hazard, or another number that a log-hazard may be proportional to. One column where the
        score was learned **from other patients**. A score learned from these patients is given as
        the outer split saw it: for each repeat and fold the score of every patient, cross-fitted
        inside the training patients for them and from their models alone for the test patients.
    folds : array-like of int, shape (n_repeats, n)
        Test fold of each patient, labelled 0, 1, ...
    covariates : DataFrame, shape (n, p), optional
        Numbers that stand in both models, such as indicators of cohorts.
    n_resamples : int
        Bootstrap resamples of the patients.
    confidence_level : float
        Level of the intervals.
    rng : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    AddedValue

    Raises
    ------
    InputError
        If inputs do not match, a value is missing, nobody of a stage has an event, the score is the
        same for every patient, or the outcome has competing events.

    Notes
    -----
    *Likelihood ratio.* Two Cox regressions (Efron ties, no penalty) on all patients; the score is
    that of the test fold, mean over repeats, where there are several. The test takes the score for
    a number that came with the patient. For an out-of-fold score it is **conditional**: the scores
    depend on each other, and on the outcomes of other patients, through shared training patients,
    and the p-value ignores it. Of scores that know nothing it finds too many significant
    (``benchmarks/comparison/added_value_leak.py``). The log density is the result; the test is what
    the literature reports.

    *Log density.* In each training set both regressions are fitted, with the prior N(0, 2^2) on
    each coefficient and the score per training standard deviation; their baseline hazard is
    constant between quantiles of the training event times (at most five pieces, ten events each),
    the same pieces for both. A test patient scores ``event log h(t) - H(t)``. Intervals are
    percentiles of a bootstrap of patients, conditional on the fitted models. A score of one column
    that was cross-fitted on these very patients leaks here: the score of a training patient was
    learned with test patients, and a score that knows nothing then costs less than it should.

    The sum of log densities is a proper score; cross-validated partial likelihoods, of which this
    is the counterpart with a baseline, are due to Verweij and van Houwelingen (1993),
    doi:10.1002/sim.4780122407; adequacy to Harrell (2015), doi:10.1007/978-3-319-19425-7.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> truth = rng.normal(size=120)
    >>> y = pd.DataFrame({"time": rng.exponential(np.exp(-truth)), "event": 1})
    >>> stage = pd.Series(pd.Categorical(np.where(truth > 0, "II", "I"), ordered=True))
    >>> found = added_value(y, stage, truth, folds=np.arange(120)[None] % 4, rng=rng)
    >>> bool(found.p_value < 0.001), bool(found.log_density.loc["difference", "lower"] > 0)
    (True, True)
    """
    table = as_survival_table(outcome)
    _refuse_competing(table)
    labels = check_folds(folds, table.index)
    for name, given in (("stage", stage), ("score", score), ("covariates", covariates)):
        check_same_patients(given, table.index, name=name)
    base = _base_columns(stage, covariates, table)
    scores = _check_score(score, labels, table)
    _refuse_stages_without_events(stage, table)
    time, event = table["time"].to_numpy(), table["event"].to_numpy()
    if not 0 < confidence_level < 1:
        raise InputError(f"confidence_level is {confidence_level:g}: use a value inside (0, 1)")
    rows = np.arange(len(table))
    own = np.mean([part[fold, rows] for part, fold in zip(scores, labels, strict=True)], axis=0)
    # What stands in both models is no merit of the stage: adequacy is measured from there.
    others = base[:, base.shape[1] - (0 if covariates is None else covariates.shape[1]) :]
    empty, _ = _maximum(time, event, others)
    alone, _ = _maximum(time, event, base)
    both, coefficients = _maximum(time, event, np.column_stack([base, _standardise(own, own)]))
    chi_squared = max(2.0 * (both - alone), 0.0)
    densities = np.zeros((len(table), 2))
    for repeat, fold_labels in enumerate(labels):
        for fold in np.unique(fold_labels):
            train, test = fold_labels != fold, fold_labels == fold
            if not event[train].any():
                raise InputError("a training set has no event: use fewer folds")
            z = _standardise(scores[repeat][fold], scores[repeat][fold][train])
            for k, columns in enumerate((base, np.column_stack([base, z]))):
                densities[test, k] += _held_out_density(time, event, columns, train, test)
    densities /= len(labels)
    table_of = np.column_stack([densities, densities[:, 1] - densities[:, 0]])
    mean, lower, upper, _ = bootstrap_mean(
        table_of, n_resamples=n_resamples, confidence_level=confidence_level, rng=rng
    )
    # Imported here: scipy.stats is slow to load, and only the p-value needs it.
    from scipy.stats import chi2

    return AddedValue(
        chi_squared=chi_squared,
        df=1,
        p_value=float(chi2.sf(chi_squared, 1)),
        coefficient=float(coefficients[-1]),
        adequacy=float((alone - empty) / (both - empty)) if both - empty > 1e-9 else np.nan,
        log_density=pd.DataFrame(
            {"estimate": mean, "lower": lower, "upper": upper},
            index=["stage", "stage_and_score", "difference"],
        ),
        patients=pd.Series(table_of[:, 2], index=table.index, name="difference"),
        n=len(table),
        events=int(event.sum()),
    )


def _refuse_competing(table: pd.DataFrame) -> None:
    """Refuse competing events, which neither measure knows."""
    if "cause" in table and (competing := table["cause"].to_numpy() == 2).any():
        raise InputError(
            f"the outcome has competing events (cause 2), of patient "
            f"{name_rows(table.index[competing])}, and added_value compares models of one hazard: "
            "leave 'cause' out, and they end follow-up"
        )


def _refuse_stages_without_events(stage: pd.Series, table: pd.DataFrame) -> None:
    """Refuse a stage whose hazard the likelihood drives to 0, where it has no maximum."""
    labels = stage.astype(str).to_numpy()
    with_events = set(labels[table["event"].to_numpy() == 1])
    for label in dict.fromkeys(labels):
        if label not in with_events:
            raise InputError(
                f"none of the {int((labels == label).sum())} patients of stage {label} has an "
                "event, and a hazard of 0 has no likelihood ratio: join it with a stage next to it"
            )


def _base_columns(
    stage: pd.Series, covariates: pd.DataFrame | None, table: pd.DataFrame
) -> FloatArray:
    if len(stage) != len(table):
        raise InputError(f"stage has {len(stage)} rows and the outcome {len(table)}: give as many")
    missing = stage.isna().to_numpy()
    if missing.any():
        raise InputError(
            f"stage is missing for patient {name_rows(table.index[missing])}: leave them out"
        )
    # A category that nobody has would be a column of zeros.
    codes = np.unique(stage.astype("category").cat.codes.to_numpy(), return_inverse=True)[1]
    columns = [(codes == k).astype(np.float64) for k in range(1, int(codes.max()) + 1)]
    if covariates is not None:
        values = covariates.to_numpy(dtype=np.float64)
        if len(values) != len(table) or not np.isfinite(values).all():
            raise InputError(
                f"covariates must be {len(table)} rows of finite numbers: complete them"
            )
        columns += [*values.T]
    return np.column_stack(columns) if columns else np.empty((len(table), 0))


def _check_score(score: ArrayLike, labels: IntArray, table: pd.DataFrame) -> list[FloatArray]:
    """Scores of each repeat, shape (n_folds, n): every patient as each outer split saw it."""
    values = np.asarray(score, dtype=np.float64)
    n_folds = int(labels.max()) + 1
    if values.shape == (len(table),):
        values = np.broadcast_to(values, (len(labels), n_folds, len(table)))
    if values.shape != (len(labels), n_folds, len(table)):
        raise InputError(
            f"score has shape {values.shape}: give ({len(table)},), or ({len(labels)}, {n_folds}, "
            f"{len(table)}) for each repeat and fold"
        )
    wrong = ~np.isfinite(values).all(axis=(0, 1))
    if wrong.any():
        raise InputError(
            f"score is missing or infinite for patient {name_rows(table.index[wrong])}: leave "
            "them out"
        )
    if not (np.ptp(values, axis=2) > 0).all():
        raise InputError("score is the same for every patient: there is nothing to add")
    return [*values]


def _standardise(values: FloatArray, reference: FloatArray) -> FloatArray:
    sd = float(reference.std())
    if sd == 0:
        raise InputError("score is the same for all patients of a training set: use fewer folds")
    return np.asarray((values - reference.mean()) / sd)


def _maximum(time: FloatArray, event: IntArray, columns: FloatArray) -> tuple[float, FloatArray]:
    """Return the largest log partial likelihood of a Cox regression without penalty, and where."""
    sets = build_risk_sets(time, event)
    none = np.zeros(columns.shape[1])
    if not none.size:
        return efron_log_likelihood(sets, np.zeros(time.size)), none
    try:
        fit = maximise_penalised(sets, columns[sets.order], none, none)
    except InputError:
        raise InputError(
            "the likelihood of stage, covariates and score has no maximum: leave out a covariate "
            "that repeats the stage, or join groups, such as cohorts, in which nobody has an event"
        ) from None
    return fit.log_likelihood, fit.coefficients


def _held_out_density(
    time: FloatArray,
    event: IntArray,
    columns: FloatArray,
    train: np.ndarray,
    test: np.ndarray,
) -> FloatArray:
    """Log density of the test patients under a proportional-hazards model of the training ones."""
    predictor = np.zeros(time.size)
    if columns.shape[1]:
        sets = build_risk_sets(time[train], event[train])
        precision = np.full(columns.shape[1], WEAK_PRECISION)
        fit = maximise_penalised(
            sets, columns[train][sets.order], precision, np.zeros(columns.shape[1])
        )
        predictor = columns @ fit.coefficients
    happened = time[train][event[train] == 1]
    n_pieces = int(np.clip(happened.size // _EVENTS_A_PIECE, 1, _MOST_PIECES))
    # Edges are event times, so that each piece holds the event at its end, ties or not.
    quantiles = np.quantile(happened, np.arange(1, n_pieces) / n_pieces, method="inverted_cdf")
    inner = np.unique(quantiles[(quantiles > 0) & (quantiles < happened.max())])
    edges = np.concatenate([[0.0], inner, [np.inf]])
    # Time of each patient in each piece; an event at an edge is of the piece that ends there.
    exposure = np.clip(time[:, None], edges[:-1], edges[1:]) - edges[:-1]
    piece = np.searchsorted(inner, time, side="left")
    events = np.bincount(piece[train][event[train] == 1], minlength=edges.size - 1)
    at_risk = np.exp(predictor[train]) @ exposure[train]
    if not (at_risk > 0).all():
        raise InputError("all events of a training set are at time 0: give times above 0")
    rate = events / at_risk
    cumulative = exposure[test] @ rate
    log_hazard = np.log(rate[piece[test]]) + predictor[test]
    return np.asarray(
        np.where(event[test] == 1, log_hazard, 0.0) - cumulative * np.exp(predictor[test])
    )
