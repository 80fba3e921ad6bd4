"""What the guide to `times-stats compare` shows: two columns of the shipped data as risks.

`level` is the mean of CXCL17 over its three regions, `peritumour` its peritumoral staining. Neither
was learned from anything.

    python benchmarks/comparison/hcc_markers.py > benchmarks/comparison/hcc_markers.txt
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import times_stats as ts


def main() -> None:
    """Write the risk file, compare, print."""
    study = ts.datasets.load_hcc_ihc()
    cxcl17 = study.measurements[study.measurements["marker"] == "CXCL17"]
    regions = cxcl17.pivot_table(index="patient_id", columns="region", values="value")
    risks = regions.assign(level=regions.mean(axis=1))[["level", "peritumour"]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "risks.csv"
        risks.to_csv(path)
        found = ts.pipeline.compare_risks(
            ts.datasets.hcc_ihc_study_file("all"), path, out=Path(folder) / "compared"
        )
    print(found.text, end="")


if __name__ == "__main__":
    main()
