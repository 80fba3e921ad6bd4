"""Does the simulated published study have the recurrence and the staging of the published one.

First the constants of ``simulate_published_study`` are found. Of some agreements of each stage with
the latent severity, at one strength of that severity: the one at which the hazard ratio and the
concordance of the two-level stage together come nearest to the published ones, each distance in
published standard errors, in large studies without effects of cohorts. Other strengths are not
tried. Of some median times: the one at which nearest to 72 of 163 recur, in studies of 292 patients
with the effects of cohorts on, as they are drawn. Then studies of 292 patients are drawn at several
strengths of level and location, and measured as the authors measured theirs: stages in two levels,
one Cox regression each, Harrell's concordance. Theirs rest on 104 patients (TNM) and 100 (BCLC).

Run: PYTHONPATH=. python benchmarks/calibration/simulated_study.py, its output into
benchmarks/calibration/simulated_study.txt
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd

from times_stats.evaluation import concordance_harrell
from times_stats.rivals import RidgeCox
from times_stats.simulate import published_design as design
from times_stats.simulate import simulate_published_study, simulate_study

# Printed in the authors' scripts: hazard ratio, standard error of its log, concordance, its error.
# TNM II-IV against I in 104 patients, BCLC B/C against A in 100.
PUBLISHED = {"tnm": (2.0018, 0.3225, 0.589, 0.035), "bclc": (3.1497, 0.4424, 0.614, 0.023)}
RECURRED = 72 / 163
UPPER = {"tnm": ("II", "III", "IV"), "bclc": ("B", "C")}
N_PUBLISHED = {"tnm": 104, "bclc": 100}
N_LARGE, N_STUDIES = 12_000, 300


def two_levels(patients: pd.DataFrame, system: str) -> tuple[float, float]:
    """Return log hazard ratio and concordance of the upper stages against the others."""
    upper = patients[system].isin(UPPER[system]).astype(float)
    y = patients.set_index("patient_id")[["time", "event"]]
    X = pd.DataFrame({"upper": upper.to_numpy()}, index=y.index)
    model = RidgeCox(transform="none", penalty={"features": 0.0}).fit(X, y)
    return float(model.coef_[0]), concordance_harrell(y["time"], y["event"], upper)


def large_study(agreement: tuple[float, float], median: float, seed: int) -> pd.DataFrame:
    """Return patients of one large study at the default effects, cohorts as in the published."""
    shares = np.array(design.PUBLISHED_PATIENTS.cohort_sizes) / 292
    sizes = np.floor(shares * N_LARGE).astype(int)
    patients = replace(
        design.PUBLISHED_PATIENTS,
        cohort_sizes=tuple(map(int, sizes)),
        stage_agreement=agreement,
        median_months=median,
        cohort_sd=0.0,  # six effects do not average out in one study
    )
    return simulate_study(
        n_patients=int(sizes.sum()),
        n_cohorts=len(sizes),
        location_effect=0.4,
        stage_effect=design._STAGE_EFFECT,
        patient_design=patients,
        seed=seed,
    ).patients


def calibrate() -> None:
    """Print the fit over a grid of agreements, and recurrence over medians."""
    print(
        f"Two studies of {N_LARGE} patients, no effects of cohorts; effect .4, location .4, "
        f"stage {design._STAGE_EFFECT}"
    )
    print(f"{'stage':6} {'agreement':>9} {'HR':>6} {'C':>6} {'distance':>9}")
    for row, system in enumerate(PUBLISHED):
        log_hr, se_hr, c, se_c = (
            math.log(PUBLISHED[system][0]),
            *PUBLISHED[system][1:],
        )
        grid = (0.4, 0.45, 0.5, 0.55, 0.6) if row == 0 else (0.8, 0.85, 0.9, 0.95, 1.0)
        for agreement in grid:
            pair = (agreement, 0.8) if row == 0 else (0.5, agreement)
            found = np.mean(
                [two_levels(large_study(pair, design._MEDIAN_MONTHS, s), system) for s in (1, 2)],
                axis=0,
            )
            distance = math.hypot((found[0] - log_hr) / se_hr, (found[1] - c) / se_c)
            print(
                f"{system:6} {agreement:9.2f} {math.exp(found[0]):6.2f} {found[1]:6.3f} "
                f"{distance:9.2f}"
            )
    print(f"\n{N_STUDIES} studies of 292 patients with effects of cohorts, effect .4, location .4")
    print(f"{'median':>6} {'recurred':>9} {'(se)':>7}   published {RECURRED:.3f}")
    for median in (60, 64, 66, 68, 70, 72):
        rates = np.array([recurrence(median, seed) for seed in range(N_STUDIES)])
        error = rates.std(ddof=1) / math.sqrt(N_STUDIES)
        print(f"{median:6d} {rates.mean():9.3f} ({error:.3f})")


def recurrence(median: float, seed: int) -> float:
    """Return the share with recurrence in one study of the published size."""
    study = simulate_study(
        n_patients=292,
        n_cohorts=len(design.PUBLISHED_PATIENTS.cohort_sizes),
        location_effect=0.4,
        stage_effect=design._STAGE_EFFECT,
        patient_design=replace(design.PUBLISHED_PATIENTS, median_months=median),
        seed=seed,
    )
    return float(study.patients["event"].mean())


def measure() -> None:
    """Print what studies of the published size look like, mean and standard deviation."""
    print(f"\n{N_STUDIES} studies of 292 patients at each strength: mean (sd between studies)")
    print(
        f"{'effect':>6} {'location':>8} {'recurred':>15} {'HR TNM':>7} {'C TNM':>13} "
        f"{'HR BCLC':>8} {'C BCLC':>13} {'C true lp':>13}"
    )
    for effect, location in ((0.4, 0.4), (0.0, 0.0), (0.8, 0.0), (0.0, 0.8), (0.0, 1.25)):
        rows = []
        for seed in range(N_STUDIES):
            study = simulate_published_study(
                effect=effect, location_effect=location, n_images=1, seed=seed
            )
            patients = study.patients
            tnm, bclc = (two_levels(patients, system) for system in PUBLISHED)
            truth = study.truth["linear_predictor"]
            best = concordance_harrell(patients["time"], patients["event"], truth)
            rows.append([patients["event"].mean(), *tnm, *bclc, best])
        mean, sd = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
        print(
            f"{effect:6.2f} {location:8.2f} {mean[0]:8.3f} ({sd[0]:.3f}) {math.exp(mean[1]):7.2f} "
            f"{mean[2]:6.3f} ({sd[2]:.3f}) {math.exp(mean[3]):8.2f} {mean[4]:6.3f} ({sd[4]:.3f}) "
            f"{mean[5]:6.3f} ({sd[5]:.3f})"
        )
    print("published" + " " * 11 + f"{RECURRED:.3f}", end="")
    for system, (hr, _, c, se) in PUBLISHED.items():
        print(f"     HR {hr:.2f}  C {c:.3f} (se {se:.3f}, n {N_PUBLISHED[system]})", end="")
    print()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    calibrate()
    measure()
