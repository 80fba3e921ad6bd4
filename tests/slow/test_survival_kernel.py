"""Both engines sample the same posterior; draws of the kernel hang on the seed and nothing else."""

from __future__ import annotations

import arviz as az
import numpy as np
import nutpie
import pandas as pd
import pytest
import xarray as xr

from times_stats.survival.baseline import learn_baseline
from times_stats.survival.draws import read_trace
from times_stats.survival.kernel import compile_kernel
from times_stats.survival.model_data import SurvivalData, data_arrays
from times_stats.survival.outcomes import read_outcome

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sampling")]

N = 300


def simulate(compiled, seed=4):
    """Weibull times with cohort effects; late entries and scans where the model has room."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 0.5, (N, len(compiled.columns)))
    cohort = rng.integers(0, compiled.n_cohorts, N)
    eta = z @ np.array([1.2, 0.6, 0.3, 0.0]) + np.array([0.0, 0.6, -0.6])[cohort]
    time = 30 * (rng.exponential(size=N) / np.exp(eta)) ** (1 / 1.3)
    censored = rng.uniform(10, 70, N)
    y = pd.DataFrame({"time": np.minimum(time, censored), "event": (time <= censored).astype(int)})
    if compiled.delayed_entry:
        y["entry"] = np.where(rng.random(N) < 0.2, y["time"] * rng.random(N), 0.0)
    if compiled.interval_censoring:
        found = (rng.random(N) < 0.4) & (y["event"] == 1) & (y["entry"] == 0)
        y["time_lower"] = np.where(found, np.floor(y["time"] / 6) * 6, np.nan)
        y["time_upper"] = np.where(found, np.ceil(y["time"] / 6) * 6, np.nan)
    baseline, outcome, used = learn_baseline(read_outcome(y), compiled.spec)
    return SurvivalData(
        columns=compiled.columns,
        evidence=z[used],
        outcome=outcome[used],
        cohort=cohort[used],
        n_cohorts=compiled.n_cohorts,
        baseline=baseline,
        delayed_entry=compiled.delayed_entry,
        interval_censoring=compiled.interval_censoring,
    )


def kernel_of(compiled):
    return compile_kernel(
        compiled.spec,
        columns=compiled.columns,
        n_cohorts=compiled.n_cohorts,
        delayed_entry=compiled.delayed_entry,
        interval_censoring=compiled.interval_censoring,
    )


def sample(model, seed, cores=2, draws=2000):
    trace = nutpie.sample(
        model,
        draws=draws,
        tune=1000,
        chains=4,
        cores=cores,
        seed=seed,
        target_accept=0.95,
        save_warmup=False,
        progress_bar=False,
        return_raw_trace=True,
    )
    return read_trace(trace)[0]


def as_dataset(draws):
    return xr.Dataset(
        {
            name: (("chain", "draw", *(f"{name}_{k}" for k in range(values.ndim - 2))), values)
            for name, values in draws.items()
        }
    )


@pytest.mark.parametrize("fixture", ["compiled_weibull", "compiled_piecewise", "compiled_mspline"])
def test_posterior_means_and_sds_agree_with_the_graph_within_monte_carlo_error(fixture, request):
    compiled = request.getfixturevalue(fixture)
    arrays = data_arrays(compiled.spec, simulate(compiled), compiled.design)
    graph = as_dataset(sample(compiled.model.with_data(**arrays), seed=1))
    kernel = as_dataset(sample(kernel_of(compiled).with_data(**arrays), seed=2))
    assert dict(kernel.sizes) == dict(graph.sizes)
    assert {name: kernel[name].dims for name in kernel} == {
        name: graph[name].dims for name in graph
    }
    for method, summary in (("mean", np.mean), ("sd", np.std)):
        errors = [az.mcse(draws, method=method) for draws in (graph, kernel)]
        off = {
            name: (summary(kernel[name], axis=(0, 1)) - summary(graph[name], axis=(0, 1)))
            / np.hypot(errors[0][name], errors[1][name])
            for name in graph
        }
        each = np.concatenate([np.ravel(values) for values in off.values()])
        assert np.abs(each).max() < 5, (method, off)
        assert np.sqrt(np.mean(each**2)) < 2, (method, off)


@pytest.mark.parametrize("fixture", ["compiled_weibull", "compiled_mspline"])
def test_same_seed_gives_same_draws_whatever_cores(fixture, request):
    compiled = request.getfixturevalue(fixture)
    model = kernel_of(compiled).with_data(
        **data_arrays(compiled.spec, simulate(compiled), compiled.design)
    )
    first = sample(model, seed=3, cores=1, draws=200)
    for cores in (2, 4):
        again = sample(model, seed=3, cores=cores, draws=200)
        for name, values in first.items():
            np.testing.assert_array_equal(again[name], values)
    other = sample(model, seed=4, draws=200)
    assert not np.array_equal(other["slope"], first["slope"])
