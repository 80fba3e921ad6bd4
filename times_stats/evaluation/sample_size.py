"""How many patients a prediction model of a time to an event needs: Riley's criteria."""

from __future__ import annotations

import math

import pandas as pd

from times_stats._checks import Faults
from times_stats.errors import InputError

_NORMAL_QUANTILE = 1.96  # the value printed in the papers


def minimal_sample_size(
    *,
    n_parameters: int,
    r_squared: float,
    event_rate: float,
    mean_follow_up: float,
    horizon: float,
    shrinkage: float = 0.9,
    optimism: float = 0.05,
    margin: float = 0.05,
) -> pd.DataFrame:
    """Return the patients and events that each of Riley's three criteria asks for.

    Parameters
    ----------
    n_parameters : int
        Candidate parameters of the model, those that a selection may drop included.
    r_squared : float
        Cox-Snell R squared expected of the model in new patients, ``1 - exp(-LR / n)``; be
        cautious: a published apparent value is too large.
    event_rate : float
        Events per unit of follow-up.
    mean_follow_up : float
        Mean follow-up of the planned study, in the same unit of time; it ends at the event, so that
        ``event_rate * mean_follow_up``, the events a patient, is 1 at most.
    horizon : float
        Time at which risk is predicted, in the same unit.
    shrinkage : float
        Least expected shrinkage of the coefficients.
    optimism : float
        Largest difference between apparent and adjusted Nagelkerke R squared.
    margin : float
        Largest error of the overall risk at the horizon, upper 95 % limit less estimate.

    Returns
    -------
    DataFrame
        Indexed by ``criterion`` (``shrinkage``, ``optimism``, ``overall_risk``, ``all``): ``n``
        (patients), ``events``, ``events_per_parameter``, and ``value``, what the criterion comes to
        at its `n` (shrinkage, shrinkage, margin; for ``all`` the shrinkage).

    Raises
    ------
    InputError
        If a number is out of its range, there is more than one event a patient, or `r_squared` is
        above what an outcome with that many events allows, or not below the shrinkage.

    Notes
    -----
    With p parameters, R the Cox-Snell R squared and S a shrinkage, ``n = p / ((S - 1) log(1 -
    R / S))``. The first criterion sets S; the second ``S = R / (R + optimism max R)`` with
    ``max R = 1 - exp(2 (f log f - f))``, ``f = event_rate mean_follow_up`` events a patient; the
    third takes event times for exponential and asks that the upper 95 % limit of the overall risk
    at the horizon is within `margin`: Riley et al. (2019), doi:10.1002/sim.7992; (2020),
    doi:10.1136/bmj.m441. The R package pmsampsize rounds ``max R`` to two and S to three decimals,
    so that the second criterion may differ by a few patients, and reports the third at the size of
    the first two in place of solving it.

    The criteria are for regression with p parameters. Boosted trees have no such number, and need
    more patients than a regression on the same columns: van der Ploeg et al. (2014),
    doi:10.1186/1471-2288-14-137.

    Examples
    --------
    The worked example of the second paper, a recurrence of venous thromboembolism within two years:

    >>> table = minimal_sample_size(n_parameters=30, r_squared=0.051, event_rate=0.065,
    ...                             mean_follow_up=2.07, horizon=2)
    >>> table["n"].to_dict()
    {'shrinkage': 5143, 'optimism': 1039, 'overall_risk': 141, 'all': 5143}
    >>> float(table.loc["all", "events_per_parameter"].round(2))
    23.07
    """
    _check_inputs(
        {"n_parameters": n_parameters, "event_rate": event_rate, "mean_follow_up": mean_follow_up}
        | {"horizon": horizon},
        {"r_squared": r_squared, "shrinkage": shrinkage, "optimism": optimism, "margin": margin},
    )
    events_each = event_rate * mean_follow_up
    if events_each > 1:
        raise InputError(
            f"event_rate times mean_follow_up is {events_each:.3g} events a patient, and a patient "
            "has one at most: follow-up ends at the event, so give a shorter mean, or the rate in "
            "the same unit of time"
        )
    largest = 1 - math.exp(2 * (events_each * math.log(events_each) - events_each))
    if r_squared >= min(largest, shrinkage):
        raise InputError(
            f"r_squared is {r_squared:g}: with {events_each:.3g} events a patient it is below "
            f"{largest:.3g}, and it must be below the shrinkage; use a smaller one"
        )
    second = r_squared / (r_squared + optimism * largest)
    event_free = math.exp(-event_rate * horizon)
    if margin >= event_free:
        raise InputError(
            f"margin is {margin:g}, as large as the chance of {event_free:.3g} to be free of the "
            "event at the horizon: use a smaller one"
        )
    # margin = S(t) (1 - exp(-1.96 t sqrt(rate / (n follow-up)))), solved for n
    allowed = -math.log1p(-margin / event_free) / (_NORMAL_QUANTILE * horizon)
    sizes = {
        "shrinkage": _patients(n_parameters, r_squared, shrinkage),
        "optimism": _patients(n_parameters, r_squared, second),
        "overall_risk": math.ceil(event_rate / (mean_follow_up * allowed**2)),
    }
    sizes["all"] = max(sizes.values())
    table = pd.DataFrame({"n": sizes}, dtype="int64").rename_axis("criterion")
    table["events"] = table["n"] * events_each
    table["events_per_parameter"] = table["events"] / n_parameters
    reached = event_free * -math.expm1(
        -_NORMAL_QUANTILE
        * horizon
        * math.sqrt(event_rate / (sizes["overall_risk"] * mean_follow_up))
    )
    table["value"] = [shrinkage, second, reached, max(shrinkage, second)]
    return table


def _patients(n_parameters: int, r_squared: float, shrinkage: float) -> int:
    return math.ceil(n_parameters / ((shrinkage - 1) * math.log1p(-r_squared / shrinkage)))


def _check_inputs(positive: dict[str, float], shares: dict[str, float]) -> None:
    faults = Faults()
    for name, value in positive.items():
        if not (math.isfinite(value) and value > 0):
            faults.add(f"{name} is {value:g}: give a number above 0")
    parameters = positive["n_parameters"]
    if math.isfinite(parameters) and parameters != int(parameters):
        faults.add("n_parameters is no whole number: count the candidate parameters")
    for name, value in shares.items():
        if not 0 < value < 1:
            faults.add(f"{name} is {value:g}: give a number between 0 and 1")
    faults.raise_if_any()
