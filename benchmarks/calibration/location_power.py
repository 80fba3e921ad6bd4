"""How many patients and tiles does it take to see that location matters, given the level.

Simulated studies of one marker in two regions, as patchy as the patchiest of the five published
genes (intraclass correlation .52). Level and location of a patient are the means over the tiles of
the log amount and of the log ratio of the regions; one Cox regression holds both, and location is
seen where the Wald test of its coefficient rejects at 5 %.

Run: python benchmarks/calibration/location_power.py > benchmarks/calibration/location_power.txt
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from times_stats.rivals import RidgeCox
from times_stats.simulate import simulate_study

PATIENTS, TILES, HAZARD_RATIOS = (80, 163, 292), (1, 3, 5), (1.0, 1.4, 2.0)
N_STUDIES = 300


def sees_location(*, n_patients: int, n_images: int, location_effect: float, seed: int) -> bool:
    """Simulate one study, and test location given the level."""
    study = simulate_study(
        n_patients=n_patients,
        n_images=n_images,
        markers=1,
        image_icc=0.52,
        location_effect=location_effect,
        seed=seed,
    )
    tiles = study.measurements.pivot_table(
        index=["patient_id", "image_id"], columns="region", values="value"
    )
    summary = pd.DataFrame(
        {
            "level": np.log(tiles.mean(axis=1)),
            "location": np.log(tiles["tumour_centre"] / tiles["invasive_front"]),
        }
    )
    features = summary.groupby("patient_id").mean()
    outcome = study.patients.set_index("patient_id")[["time", "event"]]
    model = RidgeCox(transform="none", penalty={"features": 0.0}).fit(features, outcome)
    z = model.coef_[1] / math.sqrt(model.covariance_[1, 1])
    return bool(abs(z) > 1.96)


def power(*, n_patients: int, n_images: int, location_effect: float, n_studies: int) -> float:
    """Share of studies that see location."""
    seen = [
        sees_location(
            n_patients=n_patients, n_images=n_images, location_effect=location_effect, seed=seed
        )
        for seed in range(n_studies)
    ]
    return float(np.mean(seen))


def main() -> None:
    print(f"Share of {N_STUDIES} studies that see location given the level, at 5 %")
    print("hazard ratio per standard deviation of the true location; standard error at most .03")
    print(f"{'patients':>8} {'tiles':>6}" + "".join(f"   HR {hr:.1f}" for hr in HAZARD_RATIOS))
    for n_patients in PATIENTS:
        for n_images in TILES:
            shares = [
                power(
                    n_patients=n_patients,
                    n_images=n_images,
                    location_effect=math.log(hr),
                    n_studies=N_STUDIES,
                )
                for hr in HAZARD_RATIOS
            ]
            cells = "".join(f"{share:9.3f}" for share in shares)
            print(f"{n_patients:8d} {n_images:6d}{cells}", flush=True)


if __name__ == "__main__":
    main()
