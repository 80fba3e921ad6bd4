"""The verdict on location: one rule over all analyses, and its wording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

type Verdict = Literal["location adds", "levels suffice", "cannot tell"]


def decide(lower: float, upper: float, sensitivity: Sequence[float], *, margin: float) -> Verdict:
    """Read the headline interval of the gain from location together with the other analyses.

    The intervals are conditional on the fitted models: how their standard error compares with the
    spread over simulated studies stands in ``benchmarks/calibration/location_verdict.txt`` (with
    the strongest effect it is the smaller of the two). One interval barely on one side is therefore
    not enough: every sensitivity analysis has to point the same way.

    Parameters
    ----------
    lower, upper : float
        Limits of the interval of the headline difference in concordance.
    sensitivity : sequence of float
        Estimates of the same difference in the sensitivity analyses.
    margin : float
        Gain taken as unimportant.

    Returns
    -------
    str
        "location adds" if ``lower > 0`` and every sensitivity estimate is above 0; otherwise
        "levels suffice" if ``upper < margin`` and every sensitivity estimate is below `margin`;
        otherwise "cannot tell".

    Examples
    --------
    >>> decide(0.01, 0.05, [0.02, 0.01], margin=0.03)
    'location adds'
    >>> decide(0.01, 0.05, [0.02, -0.01], margin=0.03)
    'cannot tell'
    >>> decide(-0.02, 0.02, [0.01, -0.01], margin=0.03)
    'levels suffice'
    """
    if lower > 0.0 and all(estimate > 0.0 for estimate in sensitivity):
        return "location adds"
    if upper < margin and all(estimate < margin for estimate in sensitivity):
        return "levels suffice"
    return "cannot tell"


def describe_agreement(
    lower: float, upper: float, sensitivity: Mapping[str, float], *, margin: float
) -> str:
    """Say which sensitivity analyses agree with the headline, and which do not.

    Parameters
    ----------
    lower, upper : float
        Limits of the interval of the headline difference in concordance.
    sensitivity : mapping of str to float
        Estimate of each sensitivity analysis by its name in plain words.
    margin : float
        Gain taken as unimportant.

    Returns
    -------
    str
        One or two sentences.

    Examples
    --------
    >>> print(describe_agreement(0.01, 0.05, {"the boosted Cox": -0.01}, margin=0.03))
    The headline interval lies above 0, but the estimate does not in the boosted Cox.
    """
    not_above = [name for name, value in sensitivity.items() if not value > 0.0]
    not_below = [name for name, value in sensitivity.items() if not value < margin]
    sentences = []
    if lower > 0.0:
        sentences.append(
            f"The headline interval lies above 0, but the estimate does not in {_join(not_above)}."
            if not_above
            else "The headline interval and the estimates of all other analyses lie above 0."
        )
    if upper < margin and not (lower > 0.0 and not not_above):
        sentences.append(
            f"The headline interval lies below {margin:.2f}, but the estimate does not in"
            f" {_join(not_below)}."
            if not_below
            else f"The headline interval and the estimates of all other analyses lie below"
            f" {margin:.2f}."
        )
    if not sentences:
        sentences.append(
            f"The headline interval holds both 0 and {margin:.2f}, so the other analyses cannot"
            " settle the question."
        )
    return " ".join(sentences)


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
