"""The two engines of the survival model: the PyMC graph and the compiled loops.

One evaluation: log density and gradient, each engine called by its address as nutpie calls it, the
engines alternating within one process; medians of CPU time, with the cost of an empty call taken
off. Five markers in two regions, six cohorts, right-censored times without ties.

One process: from the start of Python to the last draw, with the code that can be kept on disk kept
there; 4 x 1000 draws after 1000 of warm-up on 292 patients, target acceptance 0.95, one core. Wall
and CPU seconds, the lower of two runs in turn. Imports take most of the kernel's time.

Run: python benchmarks/speed/survival_kernel.py > benchmarks/speed/survival_kernel.txt
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import ctypes  # noqa: E402
import resource  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numba  # noqa: E402
import numpy as np  # noqa: E402
import nutpie  # noqa: E402
import pandas as pd  # noqa: E402

from times_stats.survival.kernel import compile_kernel  # noqa: E402
from times_stats.survival.spec import SurvivalSpec  # noqa: E402

BASELINES = ("weibull", "piecewise", "mspline")
COLUMNS = pd.MultiIndex.from_product([list("ABCDE"), ["front", "tumour"]])
N_COHORTS = 6
SIZES = {292: 200, 50_000: 20}  # patients, and evaluations in each repeat
REPEATS, RUNS = 31, 2
SAMPLER = {
    "draws": 1000,
    "tune": 1000,
    "chains": 4,
    "cores": 1,
    "seed": 1,
    "target_accept": 0.95,
    "progress_bar": False,
    "save_warmup": False,
    "return_raw_trace": True,
}


def make_data(spec: SurvivalSpec, n: int) -> Any:
    """Simulate a study with Weibull times."""
    from times_stats.survival.baseline import learn_baseline
    from times_stats.survival.model_data import SurvivalData
    from times_stats.survival.outcomes import read_outcome

    rng = np.random.default_rng(20261125)
    z, cohort = rng.normal(0, 0.3, (n, len(COLUMNS))), rng.integers(0, N_COHORTS, n)
    eta = 0.5 * z.sum(axis=1) + rng.normal(0, 0.4, N_COHORTS)[cohort]
    event_time = 30 * (rng.exponential(size=n) / np.exp(eta)) ** (1 / 1.2)
    censored = rng.uniform(10, 70, n)
    y = pd.DataFrame(
        {"time": np.minimum(event_time, censored), "event": (event_time <= censored).astype(int)}
    )
    baseline, outcome, _ = learn_baseline(read_outcome(y), spec)
    return SurvivalData(
        columns=COLUMNS,
        evidence=z,
        outcome=outcome,
        cohort=cohort,
        n_cohorts=N_COHORTS,
        baseline=baseline,
    )


def compile_graph(spec: SurvivalSpec, data: Any) -> Any:
    """Compile as `compile_survival` does."""
    import pytensor

    from times_stats.survival.build import build_model

    with pytensor.config.change_flags(numba__fastmath=False):
        return nutpie.compile_pymc_model(build_model(spec, data))


def caller(function: Any, n: int, data: np.ndarray) -> Callable[[np.ndarray, int], float]:
    """Return a function that times calls of a callback: microseconds a call."""
    gradient, value = np.zeros(n), np.zeros(1)
    double = ctypes.POINTER(ctypes.c_double)
    call = function.ctypes

    def timed(x: np.ndarray, count: int) -> float:
        x_at, gradient_at, value_at = (a.ctypes.data_as(double) for a in (x, gradient, value))
        data_at = data.ctypes.data_as(ctypes.c_void_p)
        began = time.thread_time()
        for _ in range(count):
            call(n, x_at, gradient_at, value_at, data_at)
        took = time.thread_time() - began
        timed.value, timed.gradient = value[0], gradient  # type: ignore[attr-defined]
        return took / count * 1e6

    return timed


def do_nothing(_n: int, _x: Any, _gradient: Any, _value: Any, _data: Any) -> int:
    """Stand in for a density, to time the call alone."""
    return 0


def empty_callback() -> Any:
    """Compile a callback that does nothing."""
    pointer = numba.types.CPointer(numba.types.double)
    arguments = (numba.types.uint64, pointer, pointer, pointer, numba.types.voidptr)
    return numba.cfunc(numba.types.int64(*arguments))(do_nothing)


def compare_evaluations() -> None:
    """Print the time of one evaluation of each engine."""
    from times_stats.survival.effects import design_effects
    from times_stats.survival.model_data import data_arrays

    print("One log density and gradient, microseconds of CPU")
    print(f"{'baseline':<12}{'patients':>9}{'graph':>10}{'kernel':>10}{'graph / kernel':>16}")
    nothing = empty_callback()
    for baseline in BASELINES:
        spec = SurvivalSpec(baseline=baseline)
        graph = compile_graph(spec, make_data(spec, 292))
        kernel = compile_kernel(spec, columns=COLUMNS, n_cohorts=N_COHORTS)
        for n, count in SIZES.items():
            arrays = data_arrays(spec, make_data(spec, n), design_effects(COLUMNS))
            models = [graph.with_data(**arrays), kernel.with_data(**arrays)]
            n_dim = kernel.n_parameters
            timed = [caller(m.compiled_logp_func, n_dim, m.user_data) for m in models]
            timed.append(caller(nothing, n_dim, models[1].user_data))
            x = np.random.default_rng(1).normal(0, 0.2, n_dim)
            took = np.array([[one(x, count) for one in timed] for _ in range(REPEATS)])
            first, second = timed[:2]
            np.testing.assert_allclose(second.value, first.value, rtol=1e-10)  # type: ignore[attr-defined]
            np.testing.assert_allclose(second.gradient, first.gradient, rtol=1e-7, atol=1e-7)  # type: ignore[attr-defined]
            a, b, empty = np.median(took, axis=0)
            a, b = a - empty, b - empty
            print(f"{baseline:<12}{n:>9,}{a:>10.1f}{b:>10.1f}{a / b:>16.1f}", flush=True)


def run_one(engine: str, baseline: str, path: str) -> None:
    """Compile and sample, in a process of its own."""
    spec = SurvivalSpec(baseline=baseline)  # type: ignore[arg-type]
    if engine == "kernel":
        kernel = compile_kernel(spec, columns=COLUMNS, n_cohorts=N_COHORTS)
        nutpie.sample(kernel.with_data(**np.load(path)), **SAMPLER)
        if {"pymc", "pytensor"} & set(sys.modules):
            raise RuntimeError("the process of the kernel loaded PyMC")
    else:
        nutpie.sample(compile_graph(spec, make_data(spec, 292)), **SAMPLER)


def seconds_of(engine: str, baseline: str, path: str) -> tuple[float, float]:
    """Return wall and CPU seconds of a process."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, __file__, engine, baseline, path], check=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare_processes() -> None:
    """Print wall and CPU seconds of a whole process of each engine."""
    from times_stats.survival.effects import design_effects
    from times_stats.survival.model_data import data_arrays

    print("\nOne process with 4 x 1000 draws, 292 patients: wall (CPU) seconds")
    print(f"{'baseline':<12}{'graph':>16}{'kernel':>16}{'graph / kernel':>18}")
    for baseline in BASELINES:
        spec = SurvivalSpec(baseline=baseline)
        data = make_data(spec, 292)
        arrays = data_arrays(spec, data, design_effects(COLUMNS))
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "arrays.npz"))
            np.savez(path, **arrays)
            runs = [
                {engine: seconds_of(engine, baseline, path) for engine in ("graph", "kernel")}
                for _ in range(RUNS)
            ]
        lowest = {
            engine: [min(column) for column in zip(*(run[engine] for run in runs), strict=True)]
            for engine in ("graph", "kernel")
        }
        shown = "".join(f"{f'{wall:.1f} ({cpu:.1f})':>16}" for wall, cpu in lowest.values())
        (a, b), (c, d) = lowest["graph"], lowest["kernel"]
        print(f"{baseline:<12}{shown}{f'{a / c:.1f} ({b / d:.1f})':>18}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_one(*sys.argv[1:])
    else:
        print(
            f"numba {numba.__version__}, nutpie {nutpie.__version__}; load of the machine "
            f"{os.getloadavg()[0]:.1f} at the start\n"
        )
        compare_evaluations()
        compare_processes()
