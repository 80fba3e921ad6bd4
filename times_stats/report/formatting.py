"""Numbers as a reader wants them: honest digits, true minus signs, p-values as <.001."""

from __future__ import annotations

import math
import re

NOT_DEFINED = "–"
_DIGITS = {
    "concordance_harrell": 3,
    "concordance_uno": 3,
    "concordance_harrell_within_folds": 3,
    "concordance_uno_within_folds": 3,
    "auc_horizon": 3,
    "brier_horizon": 3,
    "integrated_brier": 3,
    "calibration_slope": 2,
    "calibration_in_the_large": 2,
}


def fixed(value: object, digits: int, *, signed: bool = False) -> str:
    """Return a number with a fixed count of decimals.

    Parameters
    ----------
    value : object
        A number; missing or infinite values become a dash.
    digits : int
        Decimals.
    signed : bool, default False
        Whether a plus is written before positive numbers.

    Returns
    -------
    str
        The number, with a true minus sign and never "-0".

    Examples
    --------
    >>> fixed(-0.0312, 3), fixed(0.5, 2, signed=True), fixed(float("nan"), 2)
    ('−0.031', '+0.50', '–')
    """
    number = _number(value)
    if not math.isfinite(number):
        return NOT_DEFINED
    text = f"{number:.{digits}f}"
    if float(text) == 0:
        return text.removeprefix("-")
    text = f"+{text}" if signed and number > 0 else text
    return text.replace("-", "−")


def count(value: object) -> str:
    """Return a whole number, or a dash.

    Examples
    --------
    >>> count(227.0), count(None)
    ('227', '–')
    """
    number = _number(value)
    return f"{round(number)}" if math.isfinite(number) else NOT_DEFINED


def p_value(value: object) -> str:
    """Return a p-value with three decimals and no leading zero.

    Examples
    --------
    >>> p_value(0.0342), p_value(1e-6), p_value(1.0)
    ('.034', '<.001', '>.999')
    """
    number = _number(value)
    if not math.isfinite(number):
        return NOT_DEFINED
    if number < 0.001:
        return "<.001"
    return ">.999" if number > 0.999 else f"{number:.3f}".removeprefix("0")


def p_phrase(value: object) -> str:
    """Return a p-value with its letter, joined by spaces that do not break.

    Examples
    --------
    >>> p_phrase(0.2).replace("\u00a0", " ")
    'p = .200'
    """
    text = p_value(value)
    return f"p\u00a0{text[0]}\u00a0{text[1:]}" if text[0] in "<>" else f"p\u00a0=\u00a0{text}"


def percent(value: object, *, digits: int = 0) -> str:
    """Return a proportion as a percentage.

    Examples
    --------
    >>> percent(0.256)
    '26 %'
    """
    number = _number(value)
    return f"{fixed(100 * number, digits)} %" if math.isfinite(number) else NOT_DEFINED


def percent_interval(lower: object, upper: object) -> str:
    """Return two proportions as limits in per cent, or a dash.

    Examples
    --------
    >>> percent_interval(0.14, 0.503)
    '14 to 50 %'
    """
    if not (math.isfinite(_number(lower)) and math.isfinite(_number(upper))):
        return NOT_DEFINED
    return f"{fixed(100 * _number(lower), 0)} to {percent(upper)}"


def metric_value(value: object, metric: str, *, signed: bool = False) -> str:
    """Return a value of a metric with the digits that metric deserves.

    Examples
    --------
    >>> metric_value(0.59512, "concordance_uno"), metric_value(0.0514, "ipa_horizon")
    ('0.595', '5.1 %')
    """
    if metric == "ipa_horizon":
        number = _number(value)
        text = fixed(100 * number, 1, signed=signed)
        return text if text == NOT_DEFINED else f"{text} %"
    return fixed(value, _DIGITS.get(metric, 3), signed=signed)


def interval(lower: object, upper: object, digits: int, *, signed: bool = False) -> str:
    """Return two limits joined by "to".

    Examples
    --------
    >>> interval(0.531, 0.646, 2)
    '0.53 to 0.65'
    """
    return f"{fixed(lower, digits, signed=signed)} to {fixed(upper, digits, signed=signed)}"


def metric_interval(lower: object, upper: object, metric: str, *, signed: bool = False) -> str:
    """Return the limits of a metric joined by "to", or nothing where there are none.

    Examples
    --------
    >>> metric_interval(-0.02, 0.05, "concordance_uno", signed=True)
    '−0.020 to +0.050'
    """
    if not (math.isfinite(_number(lower)) and math.isfinite(_number(upper))):
        return ""
    if _number(lower) == _number(upper):
        return ""
    low = metric_value(lower, metric, signed=signed).removesuffix(" %")
    return f"{low} to {metric_value(upper, metric, signed=signed)}"


def sentence_list(items: list[str]) -> str:
    """Return items joined by commas and "and".

    Examples
    --------
    >>> sentence_list(["TNM", "BCLC", "levels"])
    'TNM, BCLC and levels'
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def true_minus(text: str) -> str:
    """Return prose with true minus signs before numbers.

    Examples
    --------
    >>> true_minus("a change of -0.02 (95 % interval -0.05 to 0.01), non-tumour 1-2")
    'a change of −0.02 (95 % interval −0.05 to 0.01), non-tumour 1-2'
    """
    return re.sub(r"(?<![\w.)\]-])-(?=\.?\d)", "−", text)


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan
