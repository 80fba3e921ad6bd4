"""A simulated study with cells through the whole line: what it was made with comes out."""

from __future__ import annotations

import pytest

import times_stats as ts
from times_stats.simulate import TissueDesign, simulate_cells

pytestmark = pytest.mark.slow

QUICK = """
[evaluate]
n_folds = 3
n_repeats = 1
n_resamples = 100
"""


def test_run_finds_the_marker_and_the_region_that_matter(tmp_path):
    """The hazard depends on the share of M1 in the front, strongly, and on nothing else."""
    study = simulate_cells(
        n_patients=60,
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
    scores = result.scores["score"]
    assert scores.corr(study.truth["location_index"], method="spearman") > 0.5
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000
