"""Several images per patient: pooled by their information, with the spread between them kept."""

from __future__ import annotations

import numpy as np
import pandas as pd

KEYS = ["patient_id", "region", "marker", "statistic", "r"]


def pool_images(values: pd.DataFrame) -> pd.DataFrame:
    r"""Pool the images of each patient, weighted by the information each holds.

    .. math:: \bar v = \frac{\sum_i w_i v_i}{\sum_i w_i}, \qquad
       s^2 = \frac{n}{n - 1} \frac{\sum_i w_i (v_i - \bar v)^2}{\sum_i w_i}

    With the area as weight, pooled intensities are all cells over all area.

    Parameters
    ----------
    values : DataFrame
        ``patient_id``, ``image_id``, ``region``, ``marker``, ``statistic``, ``r``, ``value``,
        ``information``, ``reason``, as `measure_image` gives them.

    Returns
    -------
    DataFrame
        Sorted by patient, region, marker, statistic and radius: ``value``, ``variance`` (between
        images; NaN below two), ``information`` (its sum), ``n_images`` that gave a value,
        ``n_missing`` that did not, ``reason`` (where no image gave a value: the most frequent of
        theirs).

    Examples
    --------
    >>> rows = [("a", "a1", "x", "CD8", "intensity", np.nan, 10.0, 1.0, ""),
    ...         ("a", "a2", "x", "CD8", "intensity", np.nan, 40.0, 2.0, ""),
    ...         ("b", "b1", "x", "CD8", "intensity", np.nan, np.nan, 0.0, "no region")]
    >>> names = ["patient_id", "image_id", "region", "marker", "statistic", "r", "value",
    ...          "information", "reason"]
    >>> pooled = pool_images(pd.DataFrame(rows, columns=names))
    >>> pooled[["patient_id", "value", "variance", "n_images", "reason"]]
      patient_id  value  variance  n_images     reason
    0          a   30.0     400.0         2
    1          b    NaN       NaN         0  no region
    """
    table = values.assign(
        weight=np.where(
            values["value"].notna() & (values["information"] > 0), values["information"], 0.0
        )
    )
    table["seen"] = table["weight"] > 0
    table["total"] = table["weight"] * table["value"].fillna(0.0)
    groups = table.groupby(KEYS, sort=True, dropna=False)
    pooled = groups.agg(
        information=("weight", "sum"),
        total=("total", "sum"),
        n_images=("seen", "sum"),
        n_missing=("seen", "size"),
    )
    pooled["n_missing"] -= pooled["n_images"]
    known = pooled["information"] > 0
    pooled["value"] = (pooled["total"] / pooled["information"]).where(known)
    centre = groups.ngroup().map(dict(enumerate(pooled["value"].to_numpy())))
    table["squares"] = table["weight"] * (table["value"] - centre).fillna(0.0) ** 2
    squares = table.groupby(KEYS, sort=True, dropna=False)["squares"].sum()
    n = pooled["n_images"].to_numpy(dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = squares.to_numpy() / pooled["information"].to_numpy() * n / (n - 1.0)
    pooled["variance"] = np.where(n > 1, variance, np.nan)
    table["group"] = groups.ngroup()  # positions: a missing radius is no key to look up
    why = pd.Series(np.arange(len(pooled))).map(_reasons(table)).to_numpy()
    pooled["reason"] = pd.array(np.where(known, "", why), dtype="str")
    columns = ["value", "variance", "information", "n_images", "n_missing", "reason"]
    return pooled[columns].reset_index()


def _reasons(table: pd.DataFrame) -> pd.Series:
    """Return the most frequent reason of each group, the first in the alphabet of equals."""
    missing = table[~table["seen"]]
    counts = missing.groupby(["group", "reason"]).size().reset_index(name="n")
    counts = counts.sort_values(["n", "reason"], ascending=[False, True], kind="stable")
    return counts.drop_duplicates("group").set_index("group")["reason"]
