"""Four clinical cohorts of liver cancer: the stage, with slopes and shapes of cohorts.

The data are public records put together elsewhere (GSE14520, Gao 2019, TCGA-LIHC, ICGC LIRI-JP).
The collection states no licence, so they are no part of the project: they are read from the path
given, and only what is printed and drawn here is kept. Months everywhere.

The covariate is the stage as each cohort recorded it, I to IV, as a monotone effect; there is no
evidence. Patients without outcome or stage, or followed for no time, are left out and counted. Fits
to all cohorts use the default sampler and gate; fits without a cohort are those of a fold.

Run: python benchmarks/clinical/cohorts.py COHORTS_CSV [FIGURE] > benchmarks/clinical/cohorts.txt
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from times_stats.errors import DataWarning
from times_stats.evaluation.calibration import calibration_in_the_large
from times_stats.evaluation.discrimination import concordance_harrell
from times_stats.nonparametric import kaplan_meier, reverse_kaplan_meier
from times_stats.plots import plot_kaplan_meier_bands
from times_stats.resampling import spawn_rng
from times_stats.survival.covariates import Covariate
from times_stats.survival.hazard import stacked
from times_stats.survival.influence import refit_loo, stacking_weights
from times_stats.survival.left_out_cohorts import LeftOutCohorts, leave_one_cohort_out
from times_stats.survival.prediction import linear_predictor, predict_survival
from times_stats.survival.predictive_checks import predictive_kaplan_meier
from times_stats.survival.predictor import climbed_shares
from times_stats.survival.result import SurvivalFit
from times_stats.survival.sampling import compile_survival, fit_survival
from times_stats.survival.spec import SurvivalSpec
from times_stats.survival.updating import update_cohort

NAMES = {
    "CHCC_Gao2019": "Gao",
    "GSE14520_LCI": "LCI",
    "ICGC_LIRI_JP": "LIRI",
    "TCGA_LIHC": "TCGA",
}
STAGES = ("I", "II", "III", "IV")
ENDPOINTS = {"rfs": "recurrence-free survival", "os": "overall survival"}
# LIRI has 43 deaths, and half of a cohort's events must be left to judge the update on.
N_UPDATE_EVENTS = {"rfs": 30, "os": 20}
HORIZON = 24.0
N_SPLITS = 20
SEED = 1
SPEC = SurvivalSpec(
    baseline="mspline",
    covariates=(Covariate("tnm_stage", levels=STAGES, by_cohort=True),),
    cohort_effects=("level", "shape"),
)
SCALES = {  # of a cohort's level, its slope of the stage, its shape
    "level": ("prior_cohort_scale", "cohort_scale"),
    "slope of the stage": ("prior_cohort_slope_scale", "covariate_cohort_scale"),
    "shape": ("prior_cohort_shape_scale", "cohort_shape_scale"),
}
HALF_NORMAL = (0.0313, 0.6745, 2.2414)  # quantiles .025, .5 and .975 at scale 1


def read_cohorts(path: Path) -> pd.DataFrame:
    """Return the patients of all cohorts, under the short names."""
    table = pd.read_csv(path, dtype={"patient_id": str, "tnm_stage": str, "bclc": str})
    table["cohort"] = table["cohort"].map(NAMES)
    return table.set_index("patient_id").sort_index()


def why_left_out(table: pd.DataFrame, endpoint: str) -> pd.Series:
    """Return the first reason that applies to each patient; empty for those who are used."""
    months, event = table[f"{endpoint}_months"], table[f"{endpoint}_event"]
    reasons = {
        "no outcome": months.isna() | event.isna(),
        "no stage": table["tnm_stage"].isna(),
        "time 0": months == 0,
    }
    return pd.Series(np.select([*reasons.values()], [*reasons], default=""), index=table.index)


def outcome_and_stage(
    table: pd.DataFrame, endpoint: str
) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
    """Return outcome, cohort and stage of the patients who are used."""
    used = table[why_left_out(table, endpoint) == ""]
    y = pd.DataFrame(
        {"time": used[f"{endpoint}_months"], "event": used[f"{endpoint}_event"].astype(int)}
    )
    return y, used["cohort"], used[["tnm_stage"]]


def doubled(spec: SurvivalSpec) -> SurvivalSpec:
    """Return the model with twice the prior scales of what differs between cohorts."""
    return dataclasses.replace(
        spec, **{name: 2 * getattr(spec, name) for name, _ in SCALES.values()}
    )


def rank_of(stage: pd.DataFrame) -> np.ndarray:
    """Return the stage as a number."""
    return stage["tnm_stage"].map({name: k for k, name in enumerate(STAGES)}).to_numpy(float)


def concordance_within(
    y: pd.DataFrame, risk: pd.Series | np.ndarray, cohort: pd.Series
) -> dict[str, float]:
    """Return Harrell's C within each cohort."""
    risk = pd.Series(np.asarray(risk), index=y.index)
    return {
        str(name): concordance_harrell(rows["time"], rows["event"], risk[rows.index])
        for name, rows in y.groupby(cohort)
    }


def mean_risk(fit: SurvivalFit, cohort: pd.Series, stage: pd.DataFrame) -> pd.Series:
    """Return the posterior mean of each patient's linear predictor."""
    eta = linear_predictor(fit, None, cohort=cohort, covariates=stage).mean("sample")
    return pd.Series(eta.to_numpy(), index=eta["patient"].to_numpy())[stage.index]


def slopes(fit: SurvivalFit) -> dict[str, np.ndarray]:
    """Return draws of the log hazard ratio of IV to I: in common, and of each cohort."""
    posterior = fit.posterior["posterior"].to_dataset()
    common = stacked(posterior, "covariate_effect")[:, 0]
    own = stacked(posterior, "covariate_cohort_effect")[:, 0]
    return {"common": common} | {
        name: common + own[:, number] for number, name in enumerate(fit.cohorts)
    }


def interval(draws: np.ndarray, digits: int = 2) -> str:
    low, middle, high = np.quantile(draws, [0.025, 0.5, 0.975])
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def print_table(rows: list[dict[str, object]]) -> None:
    print(pd.DataFrame(rows).to_string(index=False))


def heading(text: str) -> None:
    print(f"\n== {text}")


@dataclasses.dataclass
class Analysis:
    """One endpoint: its patients, and every fit to them."""

    name: str
    y: pd.DataFrame
    cohort: pd.Series
    stage: pd.DataFrame
    weibull: SurvivalFit
    mspline: SurvivalFit
    wider: SurvivalFit
    weight: pd.Series
    loo: dict[str, pd.DataFrame]
    left_out: LeftOutCohorts

    @property
    def of_cohorts(self) -> Iterator[tuple[str, pd.Index]]:
        """Each cohort with its patients."""
        return ((str(name), rows.index) for name, rows in self.y.groupby(self.cohort))


def analyse(table: pd.DataFrame, endpoint: str) -> Analysis:
    y, cohort, stage = outcome_and_stage(table, endpoint)
    tables = {"cohort": cohort, "covariates": stage, "seed": SEED}
    fits, loo = {}, {}
    for kind in ("weibull", "mspline"):
        spec = dataclasses.replace(SPEC, baseline=kind)
        compiled = compile_survival(spec, n_cohorts=cohort.nunique())
        fits[kind] = fit_survival(spec, None, y, **tables, compiled=compiled)
        loo[kind] = refit_loo(fits[kind], compiled=compiled).by_patient
    # From here on the M-spline, compiled last.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # patients fitted again are counted below
        weight = stacking_weights(fits)
    wider = fit_survival(doubled(SPEC), None, y, **tables, compiled=compiled)
    left_out = leave_one_cohort_out(
        SPEC.for_folds(),
        None,
        y,
        **tables,
        horizon=HORIZON,
        n_update_events=N_UPDATE_EVENTS[endpoint],
        compiled=compiled,
    )
    print(f"{endpoint}: every fit done", file=sys.stderr, flush=True)
    return Analysis(
        endpoint, y, cohort, stage, **fits, wider=wider, weight=weight, loo=loo, left_out=left_out
    )


def print_patients(table: pd.DataFrame, found: Analysis) -> None:
    reason = why_left_out(table, found.name)
    rows = []
    for name, group in table.groupby("cohort"):
        used = found.y.reindex(group.index[reason[group.index] == ""])
        stage = found.stage["tnm_stage"].reindex(used.index)
        row = {"cohort": name, "in the file": len(group)}
        row |= {
            why: int((reason[group.index] == why).sum())
            for why in ("no outcome", "no stage", "time 0")
        }
        row |= {"used": len(used), "events": used["event"].sum()}
        row |= {f"{s}": f"{used['event'][stage == s].sum()}/{(stage == s).sum()}" for s in STAGES}
        if len(used):
            curve = reverse_kaplan_meier(used["time"], used["event"])
            row["follow-up"] = f"{curve.times[np.argmax(curve.values <= 0.5)]:.0f}"
        rows.append(row)
    print(f"{ENDPOINTS[found.name]} (stages: events/patients; follow-up: median, reverse KM)")
    print(pd.DataFrame(rows).fillna("").to_string(index=False))


def print_concordance(table: pd.DataFrame, found: Analysis) -> None:
    own = mean_risk(found.mspline, found.cohort, found.stage)
    without = pd.concat(
        [
            mean_risk(
                found.left_out.fits[name],
                pd.Series(None, rows, dtype=object),
                found.stage.loc[rows],
            )
            for name, rows in found.of_cohorts
        ]
    )
    columns = {
        "stage": concordance_within(found.y, rank_of(found.stage), found.cohort),
        "model": concordance_within(found.y, own, found.cohort),
        "model without the cohort": concordance_within(
            found.y, without[found.y.index], found.cohort
        ),
    }
    bclc = table["bclc"].reindex(found.y.index).dropna()
    columns["BCLC"] = concordance_within(
        found.y.loc[bclc.index],
        bclc.map({"0": 0.0, "A": 1.0, "B": 2.0, "C": 3.0}),
        found.cohort[bclc.index],
    )
    print(ENDPOINTS[found.name])
    print(pd.DataFrame(columns).map("{:.3f}".format).replace("nan", "not recorded").to_string())


def print_baselines(found: Analysis) -> None:
    one, other = found.loo["mspline"], found.loo["weibull"]
    gain = (one["elpd"] - other["elpd"]).to_numpy()
    print(
        f"{ENDPOINTS[found.name]}: log predictive density of the M-spline less that of the "
        f"Weibull {gain.sum():.1f} (se {np.sqrt(gain.size) * gain.std(ddof=1):.1f}); "
        f"stacking weight of the M-spline {found.weight['mspline']:.2f}; patients fitted again "
        f"{one['refitted'].sum()} and {other['refitted'].sum()}"
    )
    months = pd.cut(found.y["time"].reindex(one.index), [0, 3, 12, 24, np.inf])
    parts = pd.Series(gain, index=one.index).groupby(months, observed=True).sum()
    print(
        "  by the patients' follow-up in months: "
        + ", ".join(f"{key} {value:.1f}" for key, value in parts.items())
    )
    rows = []
    for kind in ("weibull", "mspline"):
        fit = getattr(found, kind)
        check = predictive_kaplan_meier(fit, times=np.arange(2.0, 61.0, 2.0), n_draws=1000)
        check["gap"] = check["observed"] - check["median"]
        check["outside"] = ~check["observed"].between(check["lower"], check["upper"])
        for name, part in check[check["observed"].notna()].groupby("cohort"):
            worst = part.loc[part["gap"].abs().idxmax()]
            rows.append(
                {
                    "baseline": kind,
                    "cohort": name,
                    "times": len(part),
                    "outside the 95 % band": part["outside"].sum(),
                    "largest gap": f"{worst['gap']:+.3f}",
                    "at month": f"{worst['time']:.0f}",
                }
            )
    print_table(rows)


def print_stages(found: Analysis) -> None:
    fit = found.mspline
    climbed = climbed_shares(fit.posterior["posterior"].to_dataset(), "tnm_stage", len(STAGES))
    there = found.stage["tnm_stage"].groupby(found.cohort).agg(set)
    rows, positive = [], {}
    for name, slope in slopes(fit).items():
        eta = slope[:, None] * climbed
        row: dict[str, object] = {"hazard ratio": name}
        for low, high in ((0, 1), (1, 2), (2, 3), (0, 2), (0, 3)):
            seen = name == "common" or {STAGES[low], STAGES[high]} <= there[name]
            row[f"{STAGES[high]} to {STAGES[low]}"] = interval(
                np.exp(eta[:, high] - eta[:, low])
            ) + ("" if seen else " *")
        rows.append(row)
        positive[name] = (slope > 0).mean()
    print(f"{ENDPOINTS[found.name]} (median and 95 % interval; * no patient of one of the stages)")
    print_table(rows)
    print(
        "  probability that the effect is positive: "
        + ", ".join(f"{name} {value:.4f}" for name, value in positive.items())
    )
    rows = []
    for name, patients in found.of_cohorts:
        row = {"event-free at 24 months": name}
        for stage in STAGES:
            some = patients[found.stage.loc[patients, "tnm_stage"] == stage]
            if not len(some):
                row[stage] = "-"
                continue
            observed = kaplan_meier(found.y.loc[some, "time"], found.y.loc[some, "event"])
            fitted = predict_survival(
                fit,
                None,
                times=[HORIZON],
                cohort=found.cohort[some[:1]],
                covariates=found.stage.loc[some[:1]],
            )
            row[stage] = f"{observed.at([HORIZON])[0]:.2f} / {float(fitted.mean()):.2f}"
            row[stage] += f" ({len(some)})"
        rows.append(row)
    print("  observed (Kaplan-Meier) / fitted (patients)")
    print_table(rows)


def print_shapes(found: Analysis) -> None:
    posterior = found.weibull.posterior["posterior"].to_dataset()
    common, own = stacked(posterior, "shape"), stacked(posterior, "cohort_shape_effect")
    ends = np.array([0.0, 3.0, 6.0, 12.0, 24.0, 36.0])
    first = pd.DataFrame({"tnm_stage": ["I"]}, index=["one"])
    rows = []
    for number, name in enumerate(found.weibull.cohorts):
        alive = predict_survival(
            found.mspline, None, times=ends, covariates=first, cohort=pd.Series(name, first.index)
        ).to_numpy()[:, 0]
        hazard = -100 * np.diff(np.log(alive), axis=1) / np.diff(ends)
        row = {"cohort": name, "Weibull shape": interval(common * np.exp(own[:, number]))}
        row |= {
            f"{a:.0f}-{b:.0f}": interval(hazard[:, k], 1)
            for k, (a, b) in enumerate(itertools.pairwise(ends))
        }
        rows.append(row)
    print(
        f"{ENDPOINTS[found.name]} (events per 100 patient-months of stage I, M-spline, by months)"
    )
    print_table(rows)


def print_scales(found: Analysis) -> None:
    rows = []
    second = pd.DataFrame({"tnm_stage": ["II"]}, index=["one"])
    for name, fit in (("default", found.mspline), ("doubled", found.wider)):
        posterior = fit.posterior["posterior"].to_dataset()
        for what, (prior, scale) in SCALES.items():
            low, middle, high = getattr(fit.spec, prior) * np.array(HALF_NORMAL)
            drawn = stacked(posterior, scale).reshape(-1)
            rows.append(
                {
                    "prior": name,
                    "sd between cohorts": what,
                    "before the data": f"{middle:.2f} ({low:.2f}-{high:.2f})",
                    "after": interval(drawn),
                    "median over prior's": f"{np.median(drawn) / middle:.2f}",
                }
            )
    print(f"{ENDPOINTS[found.name]}, {len(found.mspline.cohorts)} cohorts")
    print_table(rows)
    for name, fit in (("default", found.mspline), ("doubled", found.wider)):
        climbed = climbed_shares(fit.posterior["posterior"].to_dataset(), "tnm_stage", len(STAGES))
        ratio = np.exp(slopes(fit)["common"] * climbed[:, 2])
        risk = 1 - predict_survival(fit, None, times=[HORIZON], covariates=second).to_numpy()
        print(
            f"  {name} prior: hazard ratio of III to I in common {interval(ratio)}; event by 24 "
            f"months, stage II of a cohort not in the fit {interval(risk)}"
        )


def print_left_out(found: Analysis) -> None:
    table = found.left_out.table.drop(columns="status").rename(
        columns={
            "calibration_in_the_large": "in the large",
            "calibration_slope": "slope",
            "events_update": "of them events",
            "n_update": "updated on",
        }
    )
    print(
        f"{ENDPOINTS[found.name]}, 24 months; fits: "
        + ", ".join(
            f"without {name} {fit.diagnostics.status}" for name, fit in found.left_out.fits.items()
        )
    )
    print(table.round(3).to_string(index=False))
    size = found.left_out.table.set_index("baseline")["calibration_in_the_large"].abs()
    print(
        "  mean size over cohorts: "
        + ", ".join(f"{name} {size[name].mean():.3f}" for name in ("integrated", "re-estimated"))
    )


def split_calibration(found: Analysis) -> pd.DataFrame:
    """Return calibration of each left-out cohort over random choices of the patients updated on."""
    rows = []
    for name, patients in found.of_cohorts:
        fit = found.left_out.fits[name]
        for number in range(N_SPLITS):
            order = patients[spawn_rng(SEED, "split", name, number).permutation(len(patients))]
            events = found.y.loc[order, "event"].cumsum().to_numpy()
            n_first = int(np.searchsorted(events, N_UPDATE_EVENTS[found.name])) + 1
            first, later = order[:n_first], order[n_first:]
            updated = update_cohort(
                fit,
                None,
                found.y.loc[first],
                name="updated",
                covariates=found.stage.loc[first],
                seed=number,
            )
            for baseline, each, label in (
                ("integrated", fit, None),
                ("re-estimated", updated, "updated"),
            ):
                alive = predict_survival(
                    each,
                    None,
                    times=[HORIZON],
                    covariates=found.stage.loc[later],
                    cohort=pd.Series(label, later, dtype=object),
                ).mean("sample")
                value = calibration_in_the_large(
                    found.y.loc[later, "time"],
                    found.y.loc[later, "event"],
                    alive.sel(patient=later).to_numpy()[:, 0],
                    horizon=HORIZON,
                )
                rows.append((name, number, baseline, value))
    return pd.DataFrame(rows, columns=["cohort", "split", "baseline", "value"])


def print_splits(found: Analysis) -> None:
    wide = split_calibration(found).pivot_table(
        index=["cohort", "split"], columns="baseline", values="value"
    )
    by_cohort = wide.groupby("cohort")
    closer = wide["re-estimated"].abs() < wide["integrated"].abs()
    table = pd.DataFrame(
        {
            "integrated": by_cohort["integrated"].mean(),
            "re-estimated": by_cohort["re-estimated"].mean(),
            "sd over choices": by_cohort["re-estimated"].std(),
            "size before": wide["integrated"].abs().groupby("cohort").mean(),
            "size after": wide["re-estimated"].abs().groupby("cohort").mean(),
            "closer in": closer.groupby("cohort").sum().map(lambda n: f"{n} of {N_SPLITS}"),
        }
    )
    print(ENDPOINTS[found.name])
    print(table.round(3).to_string())
    size = wide.abs().groupby("split").mean()
    better = (size["re-estimated"] < size["integrated"]).sum()
    print(
        f"  mean size over cohorts: integrated {size['integrated'].mean():.3f}, re-estimated "
        f"{size['re-estimated'].mean():.3f}; smaller after in {better} of {N_SPLITS}"
    )


def main() -> None:
    table = read_cohorts(Path(sys.argv[1]))
    analyses = [analyse(table, endpoint) for endpoint in ENDPOINTS]
    print("Stage in clinical cohorts of liver cancer, by benchmarks/clinical/cohorts.py")
    heading("Patients, and why others were left out")
    for found in analyses:
        print_patients(table, found)
    heading("Harrell's C within each cohort")
    for found in analyses:
        print_concordance(table, found)
    heading("Baseline: leave-one-out, and the Kaplan-Meier curve in the band of replicated ones")
    for found in analyses:
        print_baselines(found)
    heading("Effect of the stage (M-spline)")
    for found in analyses:
        print_stages(found)
    heading("Shapes of the cohorts")
    for found in analyses:
        print_shapes(found)
    heading("What differs between cohorts, under two priors (M-spline)")
    for found in analyses:
        print_scales(found)
    heading("Each cohort left out in turn (M-spline)")
    for found in analyses:
        print_left_out(found)
    heading(f"The same over {N_SPLITS} random choices of the patients updated on")
    for found in analyses:
        print_splits(found)
    if len(sys.argv) > 2:
        check = predictive_kaplan_meier(
            analyses[0].mspline, times=np.arange(0.0, 61.0), n_draws=1000
        )
        plot_kaplan_meier_bands(check).savefig(sys.argv[2], metadata={"Software": None})


if __name__ == "__main__":
    main()
