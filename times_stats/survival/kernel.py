"""Second engine of the survival model: its density in compiled loops, without PyMC.

The graph of `build` says what the model is. This says it again, for speed and for processes that
cannot wait until a graph is compiled. Both take the same arrays and give the same variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np
import pandas as pd
from nutpie.compile_pymc import CompiledPyMCModel

from times_stats._checks import name_rows
from times_stats._typing import FloatArray, IntArray
from times_stats.errors import InputError
from times_stats.resampling import spawn_rng
from times_stats.survival.effects import EffectDesign, design_effects
from times_stats.survival.kernel_loops import (
    BLOCK,
    ROWS,
    BasisTerms,
    Predictor,
    WeibullTerms,
    basis_callback,
    basis_density,
    expand_callback,
    pack,
    weibull_callback,
    weibull_density,
)
from times_stats.survival.spec import SurvivalSpec

type Density = Callable[[FloatArray], tuple[float, FloatArray]]

_LOG = "_log__"  # ending of the name of a scale's log, as PyMC has it
_NEVER = -1e300  # log of time 0: finite, so that no hazard times it is 0
_NOBODY = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class SurvivalKernel:
    """The model in compiled loops, for data of any size with the same columns and cohorts.

    Parameters
    ----------
    spec : SurvivalSpec
        Only `baseline` and `n_basis` are used; priors come with the data.
    design : EffectDesign
        Effects of the columns.
    n_cohorts : int
        Cohorts the model has room for.
    delayed_entry, interval_censoring : bool
        Whether it has room for patients who entered late, and for events found at scans.
    """

    spec: SurvivalSpec
    design: EffectDesign
    n_cohorts: int
    delayed_entry: bool = False
    interval_censoring: bool = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each unconstrained parameter, in the order of the graph."""
        found: dict[str, tuple[int, ...]] = {"slope": ()}
        if self.design.groups:
            found[f"effect_scale{_LOG}"] = (len(self.design.groups),)
            n_shared = self.design.n_shared
            if n_shared:
                found["effect_latent"] = (n_shared,)
            if n_shared < self.design.group.size:
                found["column_latent"] = (len(self.design.matrix),)
        found["level"] = ()
        if self.n_cohorts > 1:
            found[f"cohort_scale{_LOG}"] = ()
            found["cohort_latent"] = (self.n_cohorts,)
        if self.spec.baseline == "weibull":
            return found | {"log_shape": ()}
        return found | {f"smoothness{_LOG}": (), "step_latent": (self.spec.n_basis - 1,)}

    @property
    def n_parameters(self) -> int:
        """How many numbers the parameters are."""
        return sum(_size(shape) for shape in self.shapes.values())

    def log_density(self, **arrays: FloatArray | IntArray) -> Density:
        """Return a function that evaluates log density and gradient.

        Parameters
        ----------
        **arrays : ndarray
            From `data_arrays`.

        Returns
        -------
        callable
            From the unconstrained parameters to the log density and its gradient, which the next
            call overwrites. Where either is not finite the density is minus infinity.

        Raises
        ------
        InputError
            If the arrays are not those of this model.
        """
        words = pack(*self._lay_out(arrays))
        gradient = np.zeros(self.n_parameters)
        memory = np.zeros((ROWS, max(BLOCK, gradient.size)))
        evaluate = weibull_density if self.spec.baseline == "weibull" else basis_density

        def density(point: FloatArray) -> tuple[float, FloatArray]:
            return evaluate(point, gradient, memory, words), gradient

        return density

    def with_data(self, **arrays: FloatArray | IntArray) -> CompiledPyMCModel:
        """Return the model on data, for ``nutpie.sample``.

        Parameters
        ----------
        **arrays : ndarray
            From `data_arrays`.

        Returns
        -------
        nutpie.compile_pymc.CompiledPyMCModel
            With the variables of the graph, under their names. Chains start where those of the
            graph do: within 1 of the prior mean or, on the log, of the prior scale.

        Raises
        ------
        InputError
            If the arrays are not those of this model.

        Notes
        -----
        nutpie calls the loops by their address, as it calls a compiled graph.
        ``nutpie.compiled_pyfunc.from_pyfunc`` would do with documented calls only, but it sets up
        a Python thread for every evaluation, which takes three times as long as an evaluation on
        300 patients.
        """
        words = pack(*self._lay_out(arrays))
        shapes = self.shapes
        scales = {name.removesuffix(_LOG): shapes[name] for name in shapes if name.endswith(_LOG)}
        shapes |= scales
        sizes = [_size(shape) for shape in shapes.values()]
        ends = np.cumsum(sizes).tolist()
        places = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        is_weibull = self.spec.baseline == "weibull"
        centre = self._centre(np.asarray(arrays["prior"]), np.asarray(arrays["centred"]))

        def start(seed: int) -> FloatArray:
            return centre + spawn_rng(seed, "start").uniform(-1.0, 1.0, centre.size)

        return CompiledPyMCModel(
            dims={},
            compiled_logp_func=_compile(weibull_callback if is_weibull else basis_callback),
            compiled_expand_func=_compile(expand_callback),
            initial_point_func=start,
            shared_data={},
            shared_var_keys={},
            user_data=words,
            n_expanded=ends[-1],
            shape_info=(list(shapes), places, list(shapes.values())),
            logp_func=None,
            expand_func=None,
            _n_dim=centre.size,
            _shapes=shapes,
            _coords={},
        )

    def _centre(self, prior: FloatArray, centred: FloatArray) -> FloatArray:
        """Middle of the starting points: the mean of a normal, the scale of a half-normal."""
        middle = {
            "slope": prior[0],
            f"effect_scale{_LOG}": np.log(prior[2]),
            "column_latent": centred[0] * prior[0],
            f"cohort_scale{_LOG}": np.log(prior[5]),
            f"smoothness{_LOG}": np.log(prior[6]),
        }
        return np.concatenate(
            [np.full(_size(shape), middle.get(name, 0.0)) for name, shape in self.shapes.items()]
        )

    def _lay_out(
        self, arrays: Mapping[str, FloatArray | IntArray]
    ) -> tuple[Predictor, WeibullTerms | BasisTerms]:
        """Sort patients by cohort, and sum up what the events say once and for all."""
        data: dict[str, Any] = {name: np.asarray(value) for name, value in arrays.items()}
        self._check(data)
        cohort = data.pop("cohort", np.zeros(data["event"].size, dtype=np.int64))
        order = np.argsort(cohort, kind="stable")
        for name in set(data) - {"prior", "centred", "log_weight", "log_width"}:
            data[name] = data[name][order]
        found = np.flatnonzero(data["found"]) if self.interval_censoring else _NOBODY
        counts = np.bincount(cohort, minlength=self.n_cohorts)
        is_scale = [
            np.full(_size(shape), name.endswith(_LOG)) for name, shape in self.shapes.items()
        ]
        predictor = Predictor(
            prior=data["prior"],
            centred=np.append(data["centred"], 0.0)[:3],  # steps: not centred, unless it is said
            matrix=self.design.matrix.T,
            group=self.design.group,
            n_groups=len(self.design.groups),
            n_shared=self.design.n_shared,
            z=_in_blocks(data["z"]),
            starts=np.append(0, np.cumsum(counts)),
            seen=np.bincount(cohort[order], data["event"], minlength=self.n_cohorts),
            seen_z=data["event"] @ data["z"],
            found=found,
            scales=np.flatnonzero(np.concatenate(is_scale)),
        )
        if self.spec.baseline == "weibull":
            return predictor, self._weibull_terms(data, found)
        return predictor, self._basis_terms(data, found)

    def _weibull_terms(self, data: Mapping[str, Any], found: IntArray) -> WeibullTerms:
        late = np.flatnonzero(data["begun_entry"]) if self.delayed_entry else _NOBODY
        until = np.where(data.get("begun", 1.0) > 0, data["log_time"], _NEVER)
        return WeibullTerms(
            at_end=_in_blocks(until[:, None]),
            seen_total=float(data["event"] @ data["log_time"]),
            at_scan=data["log_time_upper"][found] if self.interval_censoring else np.zeros(0),
            late=late,
            at_entry=data["log_time_entry"][late] if self.delayed_entry else np.zeros(0),
        )

    def _basis_terms(self, data: Mapping[str, Any], found: IntArray) -> BasisTerms:
        if self.spec.baseline == "mspline":
            basis = data["basis"]
            integral = {name.removeprefix("integral"): value for name, value in data.items()}
        else:
            number = np.arange(self.spec.n_basis)
            basis = (data["interval"][:, None] == number) / np.exp(data["log_width"])
            integral = {
                role: _share_gone_by(data[f"interval{role}"], data[f"within{role}"], number)
                for role in ("", "_entry", "_upper")
                if f"interval{role}" in data
            }
        until = integral[""]
        at_risk = until - integral["_entry"] if self.delayed_entry else until
        more = integral["_upper"] - until if self.interval_censoring else until
        distinct, times_seen = np.unique(basis[data["event"] > 0], axis=0, return_counts=True)
        return BasisTerms(
            log_weight=data["log_weight"],
            at_risk=_in_blocks(at_risk),
            until_found=more[found],
            basis=_in_blocks(distinct),
            times_seen=_in_blocks(times_seen[:, None].astype(np.float64)),
            n_distinct=times_seen.size,
        )

    def _check(self, data: Mapping[str, Any]) -> None:
        """Refuse arrays of another model: a loop would read past their end."""
        n = data["event"].size if "event" in data else 0
        n_basis, each = self.spec.n_basis, (n,)
        wanted: dict[str, tuple[int, ...]] = {"z": (n, len(self.design.matrix)), "event": each}
        if self.n_cohorts > 1:
            wanted["cohort"] = each
        if self.interval_censoring:
            wanted["found"] = each
        if self.spec.baseline != "weibull":
            wanted["log_weight"] = (n_basis,)
        for role in ["", *["_entry"] * self.delayed_entry, *["_upper"] * self.interval_censoring]:
            if self.spec.baseline == "weibull":
                wanted[f"log_time{role}"] = each
                if role or self.interval_censoring:
                    wanted[f"begun{role}"] = each
            elif self.spec.baseline == "piecewise":
                wanted |= {f"interval{role}": each, f"within{role}": each, "log_width": (n_basis,)}
            else:
                wanted |= {f"integral{role}": (n, n_basis), "basis": (n, n_basis)}
        odd = sorted(set(data) ^ {*wanted, "prior", "centred"})
        if odd:
            raise InputError(
                f"the kernel and the data differ in {name_rows(odd)}: compile it for the model of "
                "these data, or use the engine 'graph'"
            )
        wrong = [name for name, shape in wanted.items() if data[name].shape != shape]
        for name in data:
            limit = {"cohort": self.n_cohorts, "interval": n_basis}.get(name.partition("_")[0])
            if limit and n and not 0 <= data[name].min() <= data[name].max() < limit:
                wrong.append(name)
        if wrong:
            raise InputError(
                f"the kernel was compiled for another size of {name_rows(wrong)}: "
                "compile it for these data"
            )


def compile_kernel(
    spec: SurvivalSpec,
    *,
    columns: pd.MultiIndex,
    n_cohorts: int = 1,
    delayed_entry: bool = False,
    interval_censoring: bool = False,
) -> SurvivalKernel:
    """Return the survival model in compiled loops.

    Parameters
    ----------
    spec : SurvivalSpec
        Baseline; priors may differ with each set of data.
    columns : MultiIndex
        Levels marker and region of the evidence.
    n_cohorts : int
        Cohorts of the study; data may hold fewer.
    delayed_entry, interval_censoring : bool
        Whether data may hold patients who entered late, and events found at scans.

    Returns
    -------
    SurvivalKernel
        The machine code is compiled once on a computer, at the first data, and kept on disk.

    Raises
    ------
    InputError
        If the specification asks for more than evidence and levels of cohorts.

    Examples
    --------
    >>> pairs = [("CD8", "front"), ("CD8", "tumour"), ("Ki67", "front"), ("Ki67", "tumour")]
    >>> kernel = compile_kernel(SurvivalSpec(), columns=pd.MultiIndex.from_tuples(pairs))
    >>> kernel.shapes["effect_latent"], kernel.shapes["column_latent"], kernel.n_parameters
    ((4,), (4,), 14)
    """
    by_cohort = n_cohorts > 1 and spec.cohort_effects != ("level",)
    if by_cohort or spec.covariates or len(columns) == 0:
        what = (
            f"cohort effects on {' and '.join(spec.cohort_effects) or 'nothing'}"
            if by_cohort
            else "covariates"
            if spec.covariates
            else "a model without evidence"
        )
        raise InputError(f"the kernel has no room for {what}: use the engine 'graph'")
    design = design_effects(columns, region_order=spec.region_order)
    return SurvivalKernel(spec, design, n_cohorts, delayed_entry, interval_censoring)


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))


def _share_gone_by(interval: IntArray, within: FloatArray, number: IntArray) -> FloatArray:
    """Share of each interval gone by at a time, shape (n, n_basis)."""
    here, before = interval[:, None] == number, interval[:, None] > number
    return np.asarray(before + here * within[:, None])


def _in_blocks(rows: FloatArray) -> FloatArray:
    """Cut rows into blocks, each with its columns one after the other; 0 after the last row."""
    n, width = rows.shape
    filled = np.zeros((-(-n // BLOCK) * BLOCK, width))
    filled[:n] = rows
    return filled.reshape(-1, BLOCK, width).transpose(0, 2, 1)


@cache
def _compile(function: Callable[..., int]) -> Any:
    """Compile a function that nutpie calls by its address, and keep the machine code on disk."""
    number, pointer = numba.types.int64, numba.types.CPointer(numba.types.double)
    counts = [number] * (2 if function is expand_callback else 1)
    arguments = [*counts, *[pointer] * (4 - len(counts)), numba.types.voidptr]
    return numba.cfunc(number(*arguments), cache=True)(function)
