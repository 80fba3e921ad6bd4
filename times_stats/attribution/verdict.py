"""The verdict on location: one rule over the test and the gain, and its wording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from times_stats.attribution.location_gain import REFITTED
from times_stats.attribution.null_permutations import CONDITIONAL, EXCHANGEABLE
from times_stats.attribution.score_statistic import NullTest

type Verdict = Literal["location adds", "levels suffice", "cannot tell"]
LEVEL_OF_TEST = 0.05
"""Largest p-value of the headline test at which location is said to add."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What location adds to levels in one analysis.

    Attributes
    ----------
    estimate, lower, upper : float
        Difference in concordance, and its 95 % interval given the fitted models.
    """

    estimate: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{self.estimate:+.3f} ({self.lower:+.3f} to {self.upper:+.3f})"


def decide(gain: Gain, *, p_value: float, sensitivity: Sequence[float], margin: float) -> Verdict:
    """Read the headline test and the gain together.

    Each word risks one error, and is held to what bounds that error. "location adds" risks a false
    alarm: the rate of false alarms of the conditional test is known, that of an interval given the
    fitted models is not, so the test decides, and the gain has to point the same way in every
    analysis: where learners disagree, nobody can tell. "levels suffice" risks to miss a gain that
    matters: a test that does not reject says nothing of that, so the interval of the gain decides,
    and no other learner may see such a gain. Where a test rejects and the gain is nonetheless below
    the margin, the margin that the study declared decides.
    ``benchmarks/calibration/location_verdict.txt`` shows how often each word is said.

    Parameters
    ----------
    gain : Gain
        Headline difference in concordance.
    p_value : float
        Of the conditional test of location; NaN where the sample cannot carry it.
    sensitivity : sequence of float
        Estimates of the same difference in the other analyses.
    margin : float
        Gain taken as unimportant.

    Returns
    -------
    str
        "levels suffice" if ``gain.upper < margin`` and every sensitivity estimate is below
        `margin`; otherwise "location adds" if ``p_value <= 0.05`` and ``gain.estimate`` and every
        sensitivity estimate are above 0; otherwise "cannot tell".

    Examples
    --------
    >>> gain = Gain(0.02, -0.01, 0.05)
    >>> decide(gain, p_value=0.01, sensitivity=[0.02, 0.01], margin=0.03)
    'location adds'
    >>> decide(gain, p_value=0.20, sensitivity=[0.02, 0.01], margin=0.03)
    'cannot tell'
    >>> decide(Gain(0.0, -0.02, 0.02), p_value=0.20, sensitivity=[0.01, -0.01], margin=0.03)
    'levels suffice'
    """
    if gain.upper < margin and all(estimate < margin for estimate in sensitivity):
        return "levels suffice"
    everywhere = all(estimate > 0.0 for estimate in (gain.estimate, *sensitivity))
    if p_value <= LEVEL_OF_TEST and everywhere:
        return "location adds"
    return "cannot tell"


def describe_agreement(
    gain: Gain, *, p_value: float, sensitivity: Mapping[str, float], margin: float
) -> str:
    """Say how the test, the gain and the other analyses agree.

    Parameters
    ----------
    gain : Gain
        Headline difference in concordance.
    p_value : float
        Of the conditional test of location; NaN where there is none.
    sensitivity : mapping of str to float
        Estimate of each other analysis by its name in plain words.
    margin : float
        Gain taken as unimportant.

    Returns
    -------
    str
        One or two sentences.

    Examples
    --------
    >>> others = {"the boosted Cox": -0.01}
    >>> gain = Gain(0.02, -0.01, 0.05)
    >>> print(describe_agreement(gain, p_value=0.01, sensitivity=others, margin=0.03))
    The test rejects and the estimated gain is above 0, but not in the boosted Cox.
    """
    rejected = p_value <= LEVEL_OF_TEST
    small = gain.upper < margin
    not_above = [name for name, value in sensitivity.items() if not value > 0.0]
    not_below = [name for name, value in sensitivity.items() if not value < margin]
    if small and not not_below:
        agreed = (
            f"The interval of the gain and the estimates of all other analyses lie below"
            f" {margin:.2f}."
        )
        seen = "The test does see location: it tells of the outcome, by less than the margin."
        return f"{agreed} {seen}" if rejected else agreed
    told = _no_rejection(p_value)
    begun = f"{told[:1].upper()}{told[1:]}"
    if rejected and gain.estimate > 0.0:
        found = (
            f"The test rejects and the estimated gain is above 0, but not in {_join(not_above)}."
            if not_above
            else "The test rejects, and the estimated gain is above 0 in every analysis."
        )
    elif rejected:
        found = "The test rejects, but the estimated gain is not above 0."
    elif gain.lower > 0.0:
        found = (
            f"The interval of the gain lies above 0, but {told}: such intervals take the fitted"
            " models as given."
        )
    elif small:
        found = f"{begun}."
    else:
        found = f"{begun}, and the interval of the gain reaches {margin:.2f}."
    if small:
        found += (
            f" The interval of the gain lies below {margin:.2f}, but the estimate does not in"
            f" {_join(not_below)}."
        )
    return found


def state_verdict(
    verdict: Verdict,
    gain: Gain,
    *,
    p_value: float,
    sensitivity: Mapping[str, Gain],
    who: str,
    horizon: float,
    margin: float,
    detectable: float,
    with_stage: bool,
    unidentified: Sequence[str],
) -> str:
    """State the answer in plain words, with its figures.

    Parameters
    ----------
    verdict : str
        From `decide`.
    gain : Gain
        Headline difference in concordance.
    p_value : float
        Of the conditional test of location.
    sensitivity : mapping of str to Gain
        The other analyses by their names in plain words.
    who : str
        Patients and events.
    horizon : float
        Months.
    margin : float
        Gain taken as unimportant.
    detectable : float
        Minimal detectable difference.
    with_stage : bool
        Whether the stage stands in the headline models.
    unidentified : sequence of str
        Markers without a level free of region.

    Returns
    -------
    str
    """
    given = "their levels and the stage" if with_stage else "their levels"
    opening = {
        "location adds": "Location adds: where the markers sit tells of the outcome beyond"
        f" {given}.",
        "levels suffice": f"Levels suffice: where the markers sit adds less than {margin:.2f} of"
        f" concordance beyond {given}.",
        "cannot tell": "Cannot tell: test and gain together neither show that where the markers"
        f" sit adds to {given}, nor exclude a gain of {margin:.2f} of concordance.",
    }[verdict]
    others = "; ".join(f"{name} {own}" for name, own in sensitivity.items())
    estimates = {name: own.estimate for name, own in sensitivity.items()}
    parts = [
        opening,
        f"The paired difference in Uno's C at {horizon:g} months is {gain}, 95 % interval, in {who}"
        " (ridge Cox, patients of one test fold compared); were the fitted models fixed, the"
        f" smallest difference detectable with 80 % power would be {detectable:.3f}.",
        f"Other analyses: {others}.",
        describe_agreement(gain, p_value=p_value, sensitivity=estimates, margin=margin),
    ]
    if unidentified:
        parts.append(
            f"A region-free level is not identified for {', '.join(unidentified)}: every region was"
            " scaled on its own to the same mean, so 'level' there is the mean of separately scaled"
            " regions, not an amount."
        )
    return " ".join(parts)


_CLAIMS = {
    CONDITIONAL: "the outcome does not depend on location given the levels",
    EXCHANGEABLE: "the regions of a patient can be exchanged",
}


def state_nulls(nulls: Sequence[NullTest]) -> str:
    """Say what the tests found.

    Parameters
    ----------
    nulls : sequence of NullTest
        From `run_location_nulls`, the headline test first.

    Returns
    -------
    str
        A sentence with the p-values of the tests without refits, and one with those of the others.
    """
    told = {found.null: found for found in nulls}
    parts = [
        f"{_evidence(told[null])} against '{claim}' ({_figure(told[null])}"
        f"{', the headline test' if null == CONDITIONAL else ''})"
        for null, claim in _CLAIMS.items()
    ]
    sentence = f"{parts[0]} and {parts[1][:1].lower()}{parts[1][1:]}"
    again = [told[null + REFITTED] for null in _CLAIMS if null + REFITTED in told]
    refitted = ""
    if again:
        refitted = (
            "; tested by the gain of models fitted again under every permutation,"
            f" {' and '.join(_figure(found) for found in again)}"
        )
    return f"{sentence}{refitted}. The p-values are not corrected for one another."


def state_random_labelling(found: NullTest) -> str:
    """Say what moving the marks of immune cells found.

    Parameters
    ----------
    found : NullTest
        From `random_labelling_test`.

    Returns
    -------
    str
        One sentence.
    """
    return (
        f"{_evidence(found)} against 'the marks of immune cells lie at random among them'"
        f" ({_figure(found)})."
    )


def _no_rejection(p_value: float) -> str:
    return "there is no test" if np.isnan(p_value) else "the test does not reject"


def _evidence(found: NullTest) -> str:
    if np.isnan(found.p_value):
        return "No test"
    return "Evidence" if found.p_value <= LEVEL_OF_TEST else "No evidence at 5 %"


def _figure(found: NullTest) -> str:
    if np.isnan(found.p_value):
        return "not testable here"
    return "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}"


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
