"""A simulated study with cells through the whole line: what it was made with comes out."""

from __future__ import annotations

import numpy as np
import pytest

import times_stats as ts
from times_stats.simulate import TissueDesign, simulate_cells

pytestmark = pytest.mark.slow

QUICK = """
[evaluate]
n_folds = 4
n_repeats = 1
n_resamples = 100
"""


def test_run_finds_the_marker_and_the_region_that_matter(tmp_path):
    """The hazard depends on the share of M1 in the front, strongly, and on nothing else."""
    study = simulate_cells(
        n_patients=80,
        effect=0.0,
        stage_effect=0.0,
        location_effect=1.2,
        tissue_design=TissueDesign(side=600, nest_radius=120),
        seed=1,
    )
    file = ts.pipeline.write_simulated_study(study, out=tmp_path / "study")
    text = file.read_text(encoding="utf-8")
    text = text.replace("[compare]", f"n_repeats = 2\n{QUICK}\n[compare]")
    file.write_text(text, encoding="utf-8")
    result = ts.run(ts.read_study(file), out=tmp_path / "run")
    share = result.attribution.set_index(["marker", "region"])["share"]
    assert share.idxmax() == ("M1", "invasive_front")
    assert share["M1", "invasive_front"] > 0.4
    # rank correlations with what the hazard depends on; 3.5 standard errors of none at all
    location, bound = study.truth["location_index"], 3.5 / np.sqrt(79)
    names = ["score", "probability_M1", "probability_M2"]
    follows = result.scores[names].corrwith(location, method="spearman")
    assert follows["score"] > bound
    assert follows["probability_M1"] > bound
    assert abs(follows["probability_M2"]) < bound
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000
