"""The tally of a check of cells: what was found, how often, and where."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from times_stats._checks import name_rows

_COLUMNS = ["what", "n_cells", "n_images", "n_patients", "images", "patients"]


class Tally:
    """Counts of what was found in a table of cells, in the order it was found.

    Examples
    --------
    >>> tally = Tally()
    >>> tally.add("cells dropped", n_cells=3, images=["a1"], patients=["a"])
    >>> tally.table()["n_images"].tolist()
    [1]
    """

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: list[tuple[str, int, int, int, str, str]] = []

    def add(
        self, what: str, *, n_cells: int, images: Iterable[str], patients: Iterable[str]
    ) -> None:
        """Record one finding.

        Parameters
        ----------
        what : str
            What was found.
        n_cells : int
            How many cells it concerns.
        images, patients : iterable of str
            Where; five at most are named.
        """
        which, whose = (list(dict.fromkeys(map(str, names))) for names in (images, patients))
        row = (what, int(n_cells), len(which), len(whose), name_rows(which), name_rows(whose))
        self._rows.append(row)

    def add_images(self, what: str, images: pd.DataFrame, *, counted: str) -> None:
        """Record a finding counted by image, if there is any.

        Parameters
        ----------
        what : str
            What was found.
        images : DataFrame
            ``patient_id``, ``image_id`` and the count.
        counted : str
            Column of the count.
        """
        found = images[images[counted] > 0]
        if len(found):
            self.add(
                what,
                n_cells=int(found[counted].sum()),
                images=found["image_id"].dropna(),
                patients=found["patient_id"].dropna(),
            )

    def table(self) -> pd.DataFrame:
        """Return the findings.

        Returns
        -------
        DataFrame
            ``what``, ``n_cells``, ``n_images``, ``n_patients``, ``images``, ``patients``.
        """
        return pd.DataFrame(self._rows, columns=_COLUMNS).astype(
            {"what": "str", "images": "str", "patients": "str"}
        )
