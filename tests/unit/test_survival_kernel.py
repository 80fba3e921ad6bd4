"""The compiled loops against the PyMC graph and the density written by hand: the same numbers."""

from __future__ import annotations

import ctypes
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_survival_model import (
    CASES,
    PRIORS,
    derivatives,
    hand_written,
    made_up_data,
)

from times_stats.errors import InputError
from times_stats.survival.build import build_model
from times_stats.survival.effects import design_effects
from times_stats.survival.kernel import _compile, compile_kernel
from times_stats.survival.kernel_loops import (
    BLOCK,
    _exponentials,
    _logarithms,
    pack,
    weibull_callback,
)
from times_stats.survival.model_data import data_arrays
from times_stats.survival.spec import SurvivalSpec

ROOM = ("n_cohorts", "delayed_entry", "interval_censoring")
BASELINES = ("weibull", "piecewise", "mspline")


def both(spec, data):
    """The kernel for the data, and their arrays."""
    kernel = compile_kernel(
        spec, columns=data.columns, **{name: getattr(data, name) for name in ROOM}
    )
    design = design_effects(data.columns, region_order=spec.region_order)
    return kernel, data_arrays(spec, data, design)


def random_points(kernel, count=2):
    rng = np.random.default_rng(5)
    return [
        {name: rng.normal(0, 0.7, shape) for name, shape in kernel.shapes.items()}
        for _ in range(count)
    ]


def flat(point):
    return np.concatenate([np.ravel(value) for value in point.values()])


def assert_close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-8)


def hold_against_graph(spec, data):
    from pytensor.compile.mode import Mode

    kernel, arrays = both(spec, data)
    model = build_model(spec, data)
    assert list(kernel.shapes) == [variable.name for variable in model.continuous_value_vars]
    initial = model.initial_point(0)
    assert kernel.shapes == {name: np.shape(value) for name, value in initial.items()}
    graph = model.compile_fn([model.logp(), model.dlogp()], mode=Mode(linker="py", optimizer=None))
    density = kernel.log_density(**arrays)
    for point in random_points(kernel):
        value, gradient = density(flat(point))
        wanted, wanted_gradient = graph(point)
        assert_close(value, wanted)
        assert_close(gradient, wanted_gradient)


@pytest.mark.parametrize(("baseline", "shape", "parameterisation", "kind"), CASES)
def test_density_and_gradient_equal_the_graph(baseline, shape, parameterisation, kind):
    spec = SurvivalSpec(baseline=baseline, parameterisation=parameterisation, **PRIORS)
    pairs, n_cohorts = shape
    data = made_up_data(spec, pairs=pairs, n_cohorts=n_cohorts, kind=kind, slope_prior=(0.1, 0.8))
    hold_against_graph(spec, data)


@pytest.mark.parametrize(("baseline", "shape", "parameterisation", "kind"), CASES)
def test_density_and_gradient_equal_those_written_by_hand(baseline, shape, parameterisation, kind):
    spec = SurvivalSpec(baseline=baseline, parameterisation=parameterisation, **PRIORS)
    pairs, n_cohorts = shape
    data = made_up_data(spec, pairs=pairs, n_cohorts=n_cohorts, kind=kind, slope_prior=(0.1, 0.8))
    kernel, arrays = both(spec, data)
    density = kernel.log_density(**arrays)
    for point in random_points(kernel):
        centred = parameterisation == "centred"
        value, gradient = density(flat(point))
        assert_close(value, np.real(hand_written(spec, data, point, centred)[0]))
        slopes = derivatives(spec, data, point, centred)
        assert_close(gradient, np.concatenate([slopes[name] for name in kernel.shapes]))


@pytest.mark.parametrize("baseline", BASELINES)
def test_effects_of_ordered_regions(baseline):
    spec = SurvivalSpec(baseline=baseline, region_order=("y", "w", "x"))
    data = made_up_data(spec, n_cohorts=2)
    matrix = design_effects(data.columns, region_order=spec.region_order).matrix
    assert not np.isin(matrix, (0.0, 1.0)).all()
    hold_against_graph(spec, data)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("n", [2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 33])
def test_several_blocks_that_cohorts_straddle(baseline, n):
    spec = SurvivalSpec(baseline=baseline)
    hold_against_graph(spec, made_up_data(spec, n_cohorts=3, n=n, kind="delayed interval"))


def test_a_cohort_without_patients():
    spec = SurvivalSpec()
    data = made_up_data(spec, n_cohorts=4)
    data.cohort[data.cohort == 2] = 3
    hold_against_graph(spec, data)


@pytest.mark.parametrize("baseline", BASELINES)
def test_order_of_patients_within_the_data_changes_rounding_only(baseline):
    spec = SurvivalSpec(baseline=baseline)
    data = made_up_data(spec, n_cohorts=3, n=60, kind="delayed interval")
    kernel, arrays = both(spec, data)
    fixed = {"prior", "centred", "log_weight", "log_width"}
    order = np.random.default_rng(1).permutation(60)
    shuffled = {name: a if name in fixed else a[order] for name, a in arrays.items()}
    x = flat(random_points(kernel)[0])
    value, gradient = kernel.log_density(**arrays)(x)
    again, gradient_again = kernel.log_density(**shuffled)(x)
    assert again == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(gradient_again, gradient, rtol=1e-11, atol=1e-11)


def test_third_entry_of_centred_is_for_the_steps_and_may_be_left_out():
    spec = SurvivalSpec(baseline="mspline")
    kernel, arrays = both(spec, made_up_data(spec))
    x = flat(random_points(kernel)[0])
    values = [
        kernel.log_density(**arrays | {"centred": np.array(centred)})(x)[0]
        for centred in ([0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0])
    ]
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("size", [1e3, -1e3, 1e300, np.nan, np.inf])
def test_far_points_are_bad_or_finite_and_never_warn(baseline, size):
    spec = SurvivalSpec(baseline=baseline)
    kernel, arrays = both(spec, made_up_data(spec, n_cohorts=3, kind="delayed interval"))
    density = kernel.log_density(**arrays)
    for number in range(kernel.n_parameters):
        x = np.zeros(kernel.n_parameters)
        x[number] = size
        value, gradient = density(x)
        assert value == -np.inf or (np.isfinite(value) and np.isfinite(gradient).all())
        if not np.isfinite(size):
            assert value == -np.inf


def test_callback_agrees_and_tells_bad_points():
    spec = SurvivalSpec()
    kernel, arrays = both(spec, made_up_data(spec, n_cohorts=3, kind="delayed interval"))
    words, n = pack(*kernel._lay_out(arrays)), kernel.n_parameters
    call = _compile(weibull_callback).ctypes
    gradient, value = np.zeros(n), np.zeros(1)

    def evaluate(x):
        double = ctypes.POINTER(ctypes.c_double)
        places = [array.ctypes.data_as(double) for array in (x, gradient, value)]
        return call(n, *places, words.ctypes.data_as(ctypes.c_void_p))

    x = flat(random_points(kernel)[0])
    assert evaluate(x) == 0
    wanted, wanted_gradient = kernel.log_density(**arrays)(x)
    assert value[0] == wanted
    np.testing.assert_array_equal(gradient, wanted_gradient)
    assert evaluate(np.full(n, np.nan)) == 4


@pytest.mark.parametrize(("baseline", "n_cohorts"), [*itertools.product(BASELINES, (1, 3))])
def test_chains_start_within_one_of_where_the_graph_starts(baseline, n_cohorts):
    spec = SurvivalSpec(baseline=baseline, parameterisation="centred", **PRIORS)
    data = made_up_data(spec, n_cohorts=n_cohorts, slope_prior=(0.1, 0.8))
    kernel, arrays = both(spec, data)
    model = kernel.with_data(**arrays)
    starts = np.array([model.initial_point_func(seed) for seed in range(200)])
    centre = flat(build_model(spec, data).initial_point(0))
    assert (np.abs(starts - centre) < 1).all()
    assert (np.ptp(starts, axis=0) > 1.8).all()
    np.testing.assert_array_equal(model.initial_point_func(3), starts[3])


def test_exponentials_and_logarithms_are_right_to_the_last_places():
    out, spare = np.zeros(BLOCK), np.zeros(BLOCK)
    rng = np.random.default_rng(0)
    for _ in range(200):
        x = rng.uniform(-708, 709, BLOCK) * rng.choice([1e-9, 1e-3, 1.0], BLOCK)
        _exponentials(x, BLOCK, out, spare)
        np.testing.assert_allclose(out, np.exp(x), rtol=5e-16)
        x = np.exp(rng.uniform(-700, 700, BLOCK) * rng.choice([1e-9, 1e-3, 1.0], BLOCK))
        _logarithms(x, BLOCK, out, spare)
        np.testing.assert_allclose(out, np.log(x), rtol=5e-16, atol=0)
    _exponentials(np.array([-np.inf, -1e300, -709.0, 0.0, 710.0, np.inf]), 6, out, spare)
    assert out[:6].tolist() == [0.0, 0.0, 0.0, 1.0, np.inf, np.inf]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weather": np.zeros(25)}, "differ in weather"),
        ({"z": np.zeros((25, 3))}, "another size of z"),
        ({"event": np.ones(24)}, "another size of"),
        ({"cohort": np.full(25, 3)}, "another size of cohort"),
    ],
)
def test_arrays_of_another_model_are_refused(change, message):
    spec = SurvivalSpec()
    kernel, arrays = both(spec, made_up_data(spec, n_cohorts=3))
    with pytest.raises(InputError, match=message):
        kernel.with_data(**arrays | change)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cohort_effects": ("level", "shape")}, "cohort effects on level and shape"),
        ({"cohort_effects": ()}, "cohort effects on nothing"),
    ],
)
def test_options_the_kernel_lacks_are_refused(changes, message):
    columns = pd.MultiIndex.from_tuples([("A", "x"), ("B", "x")])
    with pytest.raises(InputError, match=f"no room for {message}: use the engine 'graph'"):
        compile_kernel(SurvivalSpec(**changes), columns=columns, n_cohorts=2)


def test_process_never_loads_pymc():
    code = (
        "import sys, times_stats.survival.kernel\n"
        "print(sorted({'pymc', 'pytensor'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
