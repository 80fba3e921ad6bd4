"""The survival model against brms and Stan: whole process at 292 patients, sampling at 5,000.

Each fit runs in a process of its own, rivals in turn within a repeat, medians of the repeats; every
program on one core unless --cores says otherwise. Same study for all: 5 markers in 2 regions, 6
cohorts.

292 patients, whole process, from its start to the diagnosed posterior, compilation included. Four
chains of 1,000 kept draws. `ours` has the shipped settings (1,500 warm-up, target acceptance .99);
`warm` takes compiled code from a disk cache that one run outside the clock has filled, `cold` has
an empty one. brms has a simpler model: ten slopes of their own, no shared slope, no effects of
marker and region; once with its defaults (1,000 warm-up, target .8), once with our target. Limits:
brms at least 5 times ours, warm (12 times, the hand-written kernel); ours has an effective sample
size of 400 or more, bulk and tail, of every quantity, and no divergence. Held against ours is the
faster of the two brms fits that pass that gate themselves. Compilation and sampling are CPU
seconds.

5,000 patients, sampling alone, warm-up included, compiled beforehand, the same model for both
(survival_rivals.stan), same warm-up, draws and target acceptance. Seconds of ours are of the whole
`fit_survival` with its diagnostics; of Stan, the sampler's own clock summed over chains. Limit:
Stan at least 5 times ours, absolute and per effective draw.

At both sizes posterior means of ours and Stan must agree to 4 Monte Carlo standard errors, taken
at the smallest effective sample size of each; otherwise the two did not fit the same model.

Run: python benchmarks/speed/survival_rivals.py > benchmarks/speed/survival_rivals.txt
      [--repeats 3] [--cores 1] [--only small|large]     (needs Rscript, r-cran-brms, r-cran-rstan)
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

HERE = Path(__file__).parent
SEED, CHAINS, DRAWS = 1, 4, 1000
SMALL, LARGE = 292, 5_000
COLUMNS = pd.MultiIndex.from_product(
    [[f"M{number}" for number in range(1, 6)], ["front", "tumour"]], names=["marker", "region"]
)
COHORTS, SHARES = tuple("ABCDEF"), (0.3, 0.22, 0.16, 0.14, 0.1, 0.08)
MONTHS, SHAPE = 40.0, 1.2
ENGINES = ("graph", "kernel")
BRMS = ("brms, target .8", "brms, our target")
LEAST_ESS, MOST_ERRORS = 400, 4.0
GRAPH_LIMIT, KERNEL_LIMIT, STAN_LIMIT = 5.0, 12.0, 5.0


def simulate(n: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Return evidence, outcome and cohort of one study."""
    from times_stats.resampling import spawn_rng

    rng = spawn_rng(SEED, "speed of survival", n)
    marker = np.repeat(rng.normal(0.0, 0.3, 5), 2)
    slopes = 0.5 + marker + np.tile(rng.normal(0.0, 0.2, 2), 5) + rng.normal(0.0, 0.2, len(COLUMNS))
    shared = np.repeat(rng.normal(0.0, 0.25, (n, 5)), 2, axis=1)
    z = shared + rng.normal(0.0, 0.25, (n, len(COLUMNS)))
    code = rng.choice(len(COHORTS), n, p=SHARES)
    eta = z @ slopes + rng.normal(0.0, 0.3, len(COHORTS))[code]
    happens = MONTHS * (rng.exponential(1.0, n) / np.exp(eta)) ** (1 / SHAPE)
    leaves = rng.uniform(10.0, 80.0, n)
    index = pd.Index([f"P{number:05d}" for number in range(n)], name="patient_id")
    outcome = pd.DataFrame(
        {"time": np.minimum(happens, leaves), "event": (happens <= leaves).astype(int)}, index=index
    )
    cohort = pd.Series(np.array(COHORTS)[code], index=index, name="cohort")
    return pd.DataFrame(z, index=index, columns=COLUMNS), outcome, cohort


def fit_ours(engine: str, n: int, cores: int) -> dict[str, Any]:
    """Compile and fit our model in this process."""
    from times_stats.survival import SurvivalSpec, compile_survival, fit_survival

    spec = SurvivalSpec(draws=DRAWS, chains=CHAINS)
    evidence, outcome, cohort = simulate(n)
    began = time.process_time()
    compiled = compile_survival(spec, columns=COLUMNS, n_cohorts=len(COHORTS), engine=engine)
    compile_seconds = time.process_time() - began
    began, cpu = time.perf_counter(), time.process_time()
    fit = fit_survival(
        spec, evidence, outcome, cohort=cohort, seed=SEED, compiled=compiled, cores=cores
    )
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    posterior = fit.posterior["posterior"].to_dataset()
    posterior["log_shape"] = np.log(posterior["shape"])
    named: dict[str, np.ndarray] = {}
    for name in ("slope", "intercept", "log_shape", "cohort_scale"):
        named[name] = posterior[name].to_numpy().reshape(-1)
    for name in ("beta", "effect_scale", "cohort_effect"):
        values = posterior[name].to_numpy()
        for k in range(values.shape[-1]):
            named[f"{name}[{k + 1}]"] = values[..., k].reshape(-1)
    steps = fit.posterior["sample_stats"]["n_steps"]
    return {
        "compile": compile_seconds,
        "elapsed": seconds,
        "sampling": cpu,
        "min_ess": fit.diagnostics.min_ess,
        "max_rhat": fit.diagnostics.max_rhat,
        "divergences": fit.diagnostics.divergences,
        "leapfrogs": float(steps.mean()),
        "mean": {name: float(values.mean()) for name, values in named.items()},
        "sd": {name: float(values.std(ddof=1)) for name, values in named.items()},
        "events": fit.events,
    }


def write_data(n: int, file: Path) -> None:
    """Write what Stan needs: the very arrays that our graph gets."""
    from times_stats.survival.baseline import learn_baseline
    from times_stats.survival.effects import design_effects
    from times_stats.survival.model_data import SurvivalData, data_arrays
    from times_stats.survival.outcomes import read_outcome
    from times_stats.survival.spec import SurvivalSpec

    spec = SurvivalSpec(draws=DRAWS, chains=CHAINS)
    evidence, outcome, cohort = simulate(n)
    baseline, moved, used = learn_baseline(read_outcome(outcome), spec)
    codes = np.unique(cohort, return_inverse=True)[1]
    design = design_effects(COLUMNS)
    data = SurvivalData(
        columns=COLUMNS,
        evidence=evidence.to_numpy()[used],
        outcome=moved[used],
        cohort=codes[used],
        n_cohorts=len(COHORTS),
        baseline=baseline,
    )
    arrays = data_arrays(spec, data, design)
    model = {
        "N": int(used.sum()),
        "K": len(COLUMNS),
        "E": design.group.size,
        "G": len(design.groups),
        "C": len(COHORTS),
        "z": arrays["z"].tolist(),
        "log_time": arrays["log_time"].tolist(),
        "event": arrays["event"].tolist(),
        "cohort": (arrays["cohort"] + 1).tolist(),
        "design": design.matrix.tolist(),
        "group": (design.group + 1).tolist(),
        "prior": arrays["prior"][:7].tolist(),  # what follows belongs to options not in use
    }
    settings = {
        "chains": CHAINS,
        "draws": DRAWS,
        "tune": spec.tune,
        "target_accept": spec.target_accept,
        "seed": SEED,
    }
    assert not arrays["centred"].any(), "the program in Stan knows the non-centred form only"
    file.write_text(json.dumps({"model": model, "settings": settings}))


def run(command: list[str], out: Path, caches: Path | None = None) -> dict[str, Any]:
    """Run one process to its end; return what it wrote, with its wall and CPU seconds."""
    environment = dict(os.environ)
    if caches is not None:
        environment["PYTENSOR_FLAGS"] = f"base_compiledir={caches / 'pytensor'}"
        environment["NUMBA_CACHE_DIR"] = str(caches / "numba")
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors[-3000:]}")
    answer: dict[str, Any] = json.loads(out.read_text())
    return answer | {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime}


class Runner:
    """Runs each rival by name, with the folders their caches need."""

    def __init__(self, folder: Path, cores: int) -> None:
        self.folder, self.cores, self.out = folder, str(cores), folder / "out.json"
        self.filled: set[str] = set()

    def ours(self, engine: str, n: int, caches: Path) -> dict[str, Any]:
        call = [sys.executable, __file__, "--fit", engine, str(n), str(self.out)]
        return run([*call, "--cores", self.cores], self.out, caches)

    def cold(self, engine: str, n: int) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=self.folder) as empty:
            return self.ours(engine, n, Path(empty))

    def warm(self, engine: str, n: int) -> dict[str, Any]:
        caches = self.folder / "warm"
        if engine not in self.filled:  # outside the clock; the code serves any number of patients
            self.ours(engine, SMALL, caches)
            self.filled.add(engine)
        return self.ours(engine, n, caches)

    def theirs(self, rival: str, n: int, *, compiled: str = "none") -> dict[str, Any]:
        data = self.folder / f"study_{n}.json"
        if not data.exists():
            write_data(n, data)
        call = ["Rscript", str(HERE / "survival_rivals.R"), rival, str(data), str(self.out)]
        return run([*call, self.cores, compiled], self.out)


def middle(runs: list[dict[str, Any]], name: str) -> float:
    return float(np.median([found[name] for found in runs]))


def furthest(a: dict[str, Any], b: dict[str, Any]) -> tuple[str, float]:
    """Name the quantity whose posterior means differ most, in posterior sds."""
    gaps = {name: abs(a["mean"][name] - b["mean"][name]) / b["sd"][name] for name in a["mean"]}
    worst = max(gaps, key=lambda name: gaps[name])
    return worst, gaps[worst]


def judge(what: str, value: float, limit: float) -> None:
    print(f"  {what}: {value:.1f}x, limit {limit:g}x: {'met' if value >= limit else 'NOT met'}")


def passes(runs: list[dict[str, Any]]) -> bool:
    """Tell whether every run has effective draws enough and no divergence."""
    return all(one["min_ess"] >= LEAST_ESS and one["divergences"] == 0 for one in runs)


def check_quality(name: str, runs: list[dict[str, Any]]) -> None:
    ess, bad = min(one["min_ess"] for one in runs), max(one["divergences"] for one in runs)
    print(
        f"  {name}: smallest ESS {ess:.0f}, most divergences {bad}; "
        f"{LEAST_ESS} or more and none: {'met' if passes(runs) else 'NOT met'}"
    )


def check_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    name, gap = furthest(ours, theirs)
    errors = gap / np.sqrt(1 / ours["min_ess"] + 1 / theirs["min_ess"])
    print(
        f"  ours and Stan: posterior means at most {gap:.3f} sd apart ({name}), "
        f"{errors:.1f} Monte Carlo errors: "
        f"{'the same model' if errors <= MOST_ERRORS else 'NOT the same model'}"
    )


def small(runner: Runner, repeats: int, n: int = SMALL) -> None:
    """Time whole processes, at 292 patients."""
    rivals = {f"ours, {engine}, warm": (runner.warm, engine) for engine in ENGINES}
    rivals |= {f"ours, {engine}, cold": (runner.cold, engine) for engine in ENGINES}
    rivals |= {BRMS[0]: (runner.theirs, "brms"), BRMS[1]: (runner.theirs, "brms_careful")}
    rivals |= {"Stan": (runner.theirs, "stan")}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, (call, which) in rivals.items():
            found[name].append(call(which, n))
    print(f"{n} patients, {found['ours, graph, warm'][0]['events']} events: whole process, seconds")
    head = f"{'':22} {'wall':>7} {'CPU':>7} {'compile':>8} {'sampling':>9}"
    print(f"{head} {'min ESS':>8} {'diverged':>9} {'max R-hat':>10} {'leapfrogs':>10}")
    for name, runs in found.items():
        print(
            f"{name:22} {middle(runs, 'wall'):7.1f} {middle(runs, 'cpu'):7.1f} "
            f"{middle(runs, 'compile'):8.1f} {middle(runs, 'sampling'):9.1f} "
            f"{min(one['min_ess'] for one in runs):8.0f} "
            f"{max(one['divergences'] for one in runs):9d} "
            f"{max(one['max_rhat'] for one in runs):10.3f} {middle(runs, 'leapfrogs'):10.1f}"
        )
    fine = [name for name in BRMS if passes(found[name])]
    brms_name = min(fine or BRMS, key=lambda name: middle(found[name], "wall"))
    brms = found[brms_name]
    print(f"  held against ours: '{brms_name}'" + ("" if fine else "; neither passes the gate"))
    for engine in ENGINES:
        for state in ("warm", "cold"):
            runs = found[f"ours, {engine}, {state}"]
            for name in BRMS:
                wall, cpu = (
                    middle(found[name], what) / middle(runs, what) for what in ("wall", "cpu")
                )
                print(f"  {name} / ours, {engine}, {state}: {wall:.1f}x wall, {cpu:.1f}x CPU")
        limit = GRAPH_LIMIT if engine == "graph" else KERNEL_LIMIT
        warm = found[f"ours, {engine}, warm"]
        judge(f"{engine}, warm, wall", middle(brms, "wall") / middle(warm, "wall"), limit)
        check_quality(f"{engine}", warm)
    check_same(found["ours, graph, warm"][0], found["Stan"][0])
    print(f"  {brms[0]['version']}\n")


def large(runner: Runner, repeats: int, n: int = LARGE) -> None:
    """Time sampling alone, at 5,000 patients."""
    compiled = str(runner.folder / "stan.rds")
    found: dict[str, list[dict[str, Any]]] = {f"ours, {engine}": [] for engine in ENGINES}
    found["Stan"] = []
    for _ in range(repeats):
        for engine in ENGINES:
            found[f"ours, {engine}"].append(runner.warm(engine, n))
        found["Stan"].append(runner.theirs("stan", n, compiled=compiled))
    first = found["ours, graph"][0]
    print(
        f"{n:,} patients, {first['events']:,} events: sampling, seconds "
        "(effects non-centred in both)"
    )
    head = f"{'':22} {'wall':>7} {'CPU':>7} {'per 1000 effective':>19}"
    print(f"{head} {'min ESS':>8} {'diverged':>9} {'max R-hat':>10} {'leapfrogs':>10}")
    for name, runs in found.items():
        each = [1000 * one["sampling"] / one["min_ess"] for one in runs]
        print(
            f"{name:22} {middle(runs, 'elapsed'):7.1f} {middle(runs, 'sampling'):7.1f} "
            f"{np.median(each):19.2f} {min(one['min_ess'] for one in runs):8.0f} "
            f"{max(one['divergences'] for one in runs):9d} "
            f"{max(one['max_rhat'] for one in runs):10.3f} {middle(runs, 'leapfrogs'):10.1f}"
        )
    for engine in ENGINES:
        ours, stan = found[f"ours, {engine}"], found["Stan"]
        judge(f"{engine}, CPU", middle(stan, "sampling") / middle(ours, "sampling"), STAN_LIMIT)
        rate = [
            np.median([one["sampling"] / one["min_ess"] for one in runs]) for runs in (stan, ours)
        ]
        judge(f"{engine}, CPU per effective draw", float(rate[0] / rate[1]), STAN_LIMIT)
        check_quality(engine, ours)
    check_same(first, found["Stan"][0])


def main() -> None:
    """Run one fit for a parent process, or everything."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--fit", nargs=3, metavar=("ENGINE", "N", "OUT"), help="one fit of ours")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--only", choices=("small", "large"))
    options = parser.parse_args()
    if options.fit:
        engine, n, out = options.fit
        Path(out).write_text(json.dumps(fit_ours(engine, int(n), options.cores)))
        return
    from times_stats import __version__

    print(
        f"times_stats {__version__}; {CHAINS} chains x {DRAWS} draws, {options.cores} core(s), "
        f"medians of {options.repeats}; load average at the start {os.getloadavg()[0]:.1f}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(Path(folder), options.cores)
        if options.only != "large":
            small(runner, options.repeats)
        if options.only != "small":
            large(runner, options.repeats)


if __name__ == "__main__":
    main()
