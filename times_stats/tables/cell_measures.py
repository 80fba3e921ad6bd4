"""What was measured of the cells of a study: tables by image and by patient."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CellMeasures:
    """Measures of cells, by image and pooled by patient.

    Attributes
    ----------
    images : DataFrame
        ``patient_id``, ``image_id``, ``region``, ``marker``, ``statistic``, ``r`` (micrometres; NaN
        for what is no function of distance), ``value``, ``information`` (weight of the image),
        ``reason`` (why the value is missing), sorted.
    patients : DataFrame
        The same pooled over the images of a patient, with ``variance`` between images,
        ``n_images`` and ``n_missing``.
    summary : DataFrame
        One row per image: cells, area, boundary, and what was left out.
    counts : DataFrame
        ``what``, ``n_cells``, ``n_images``, ``n_patients``, ``images``, ``patients``: the table as
        a whole, and everything that was dropped, kept in spite of a doubt, or warned of.
    markers, regions : tuple of str
        Names, in order.
    settings : dict
        How regions were drawn: what must agree where a model is applied to other cells.

    Examples
    --------
    >>> empty = pd.DataFrame()
    >>> CellMeasures(empty, empty, empty, empty, ("CD8",), ("tumour_centre",), {}).markers
    ('CD8',)
    """

    images: pd.DataFrame
    patients: pd.DataFrame
    summary: pd.DataFrame
    counts: pd.DataFrame
    markers: tuple[str, ...]
    regions: tuple[str, ...]
    settings: dict[str, object]

    def __repr__(self) -> str:
        return f"<CellMeasures: {len(self.summary)} images, {len(self.markers)} markers>"

    def amounts(self) -> pd.DataFrame:
        """Return the intensities by image as a measurements table.

        Returns
        -------
        DataFrame
            ``patient_id``, ``marker``, ``region``, ``image_id``, ``value`` (cells per square
            millimetre) and ``weight`` (square millimetres); images without the region have no row.
        """
        held = (
            self.images["statistic"].eq("intensity")
            & self.images["value"].notna()
            & self.images["region"].isin(self.regions)
        )
        table = self.images.loc[held].rename(columns={"information": "weight"})
        columns = ["patient_id", "marker", "region", "image_id", "value", "weight"]
        return table[columns].reset_index(drop=True)

    def levels(self) -> pd.DataFrame:
        """Return how much there is of each marker whatever the region.

        Returns
        -------
        DataFrame
            Patient by marker: all cells over all area of all images of the patient that have a
            window, whether or not they have a boundary; per square millimetre.
        """
        held = self.patients["statistic"].eq("intensity") & ~self.patients["region"].isin(
            self.regions
        )
        return self.patients[held].pivot_table(
            index="patient_id", columns="marker", values="value", dropna=False
        )
