"""Values that look as if they were in another unit than the one in the column's name."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from times_stats._checks import Faults, name_rows
from times_stats._typing import BoolArray, FloatArray
from times_stats.errors import DataWarning

_SEVERAL = 10  # values that a median of a plausible column needs to mean something


@dataclass(frozen=True, slots=True)
class UnitLimit:
    """One side of what is plausible in the unit of a column.

    Attributes
    ----------
    doubtful : float
        Beyond it a value is rare in this unit and common in the other.
    impossible : float
        Beyond it nothing is measured in this unit.
    remedy : str
        The other unit and the factor that leads back.
    above : bool
        Whether values above the limits are meant, or below.
    doubtful_median : float or None
        Beyond it the median of ten values or more is rare.
    """

    doubtful: float
    impossible: float
    remedy: str
    above: bool = False
    doubtful_median: float | None = None

    def passed_by(self, values: FloatArray | float, limit: float) -> BoolArray:
        """Mark the values beyond a limit; a missing value is not."""
        return np.asarray(values > limit if self.above else values < limit, dtype=bool)


LIMITS: dict[str, tuple[UnitLimit, ...]] = {
    "bilirubin_umol_l": (UnitLimit(3.4, 1.7, "mg/dL (1 mg/dL = 17.1 umol/L): multiply by 17.1"),),
    "albumin_g_l": (
        UnitLimit(12, 8, "g/dL (1 g/dL = 10 g/L): multiply by 10"),
        UnitLimit(65, 100, "umol/L or mg/dL: convert to g/L", above=True),
    ),
    "tumour_size_cm": (
        UnitLimit(25, 40, "mm: divide by 10", above=True, doubtful_median=12),
    ),
    "inr": (
        UnitLimit(6, 10, "the prothrombin time or activity: give the ratio (INR)", above=True),
        UnitLimit(0.6, 0.3, "a share of normal activity: give the ratio (INR)"),
    ),
    "platelets_10e9_l": (
        UnitLimit(10, 1, "10^4/uL: multiply by 10", doubtful_median=40),
        UnitLimit(1500, 3000, "platelets per uL: divide by 1000", above=True),
    ),
}  # fmt: skip


def check_units(name: str, values: FloatArray, *, patients: np.ndarray, faults: Faults) -> None:
    """Notice a column that is in another unit than its name says.

    Parameters
    ----------
    name : str
        Canonical column name, with the unit.
    values : ndarray of float, shape (n,)
        Values; NaN where missing.
    patients : ndarray, shape (n,)
        Names of the patients, for the messages.
    faults : Faults
        Collects what is certain: the median is impossible in the unit, or values are in numbers
        that are no accident: impossible ones two and a tenth of all, doubtful ones two and half of
        all, or five and a tenth.

    Warns
    -----
    DataWarning
        Where single values, or the median of ten or more, are doubtful.

    Examples
    --------
    >>> faults = Faults()
    >>> check_units(
    ...     "albumin_g_l", np.array([3.9, 4.1]), patients=np.array([1, 2]), faults=faults)
    >>> faults.messages[0]
    "column 'albumin_g_l' looks like g/dL (1 g/dL = 10 g/L): multiply by 10 (median 4, 100 % of 2
    values below 12)"
    """
    known = values[~np.isnan(values)]
    if not known.size:
        return
    median = float(np.median(known))
    for limit in LIMITS.get(name, ()):
        doubtful = limit.passed_by(values, limit.doubtful)
        count = int(doubtful.sum())
        side = "above" if limit.above else "below"
        evidence = (
            f"median {median:.3g}, {count / known.size:.0%} of {known.size} values {side} "
            f"{limit.doubtful:g}"
        ).replace("%", " %")
        impossible = int(limit.passed_by(known, limit.impossible).sum())
        # Two doubtful values in a small table may be real: a bilirubin of 3 umol/L is rare.
        no_accident = ((impossible, 2, 0.1), (count, 2, 0.5), (count, 5, 0.1))
        certain = any(
            found >= max(least, share * known.size) for found, least, share in no_accident
        )
        if limit.passed_by(median, limit.impossible) or certain:
            faults.add(f"column '{name}' looks like {limit.remedy} ({evidence})")
        elif count:
            warnings.warn(
                f"column '{name}' holds values that look like {limit.remedy}, or check them, for "
                f"patient {name_rows(patients[doubtful])} ({evidence})",
                DataWarning,
                stacklevel=6,
            )
        elif (
            limit.doubtful_median is not None
            and known.size >= _SEVERAL
            and limit.passed_by(median, limit.doubtful_median)
        ):
            warnings.warn(
                f"column '{name}' may be in {limit.remedy}, or leave it if the unit is right "
                f"(median {median:.3g} of {known.size} values)",
                DataWarning,
                stacklevel=6,
            )
