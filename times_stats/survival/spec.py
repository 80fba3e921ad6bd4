"""What survival model is fitted: baseline, priors, sampler settings and the gate. No data."""

from __future__ import annotations

import dataclasses
import math
import numbers
from dataclasses import dataclass
from typing import Literal

from times_stats._checks import Faults, nearest_key
from times_stats.survival.covariates import Covariate

SPLINE_DEGREE = 3
BASELINES = ("weibull", "piecewise", "mspline")
COHORT_EFFECTS = ("level", "slope", "shape")


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivalSpec:
    r"""Survival model on evidence by marker and region.

    .. math::

        \eta_i = \sum_{m,r} (\beta_{mr} + s_{c(i)}) z_{imr} + x_i' \gamma + a_{c(i)}, \qquad
        \beta_{mr} = \mu + \text{marker}_m + \text{region}_r + \text{interaction}_{mr}

    Every group of effects, and the cohort effects :math:`a`, is normal around 0 with its own
    half-normal scale. Groups that the columns cannot tell apart are left out: with one marker
    :math:`\beta = \mu + \text{region}`, with one region a marker
    :math:`\beta = \mu + \text{marker}`, with one column :math:`\beta = \mu`, with one cohort no
    :math:`a`. Slopes of cohorts :math:`s` and covariates :math:`x` only where asked for.

    Parameters
    ----------
    baseline : {"weibull", "piecewise", "mspline"}
        ``weibull``: :math:`H(t) = e^{\alpha_0 + \eta} (t/s)^{k}` with `s` the median follow-up.
        ``mspline``: :math:`h(t) = e^{\alpha_0 + \eta} \sum_k w_k M_k(t)`, weights a softmax of a
        random walk, constant hazard beyond the last training event. ``piecewise``: the same with
        :math:`M_k` constant on each of `n_basis` intervals.
    n_basis : int
        Of the ``mspline`` baseline, cubic M-splines, 4 or more: ``n_basis - 4`` inner knots at
        quantiles of the event times. Six follow one bend early and one late; more than that
        asks for many events. Of the ``piecewise`` baseline, intervals, 2 or more, with about as
        many distinct event times in each.
    covariates : tuple of Covariate
        Clinical covariates beside the evidence, or in place of it.
    cohort_effects : tuple of {"level", "slope", "shape"}
        What differs between cohorts, pooled towards what is common. ``level``: the hazard as a
        whole. ``slope``: how much all evidence counts. ``shape``: the log Weibull shape, or the
        steps of the random walk, by deviations that sum to zero over the cohorts.
    region_order : tuple of str
        Regions by their distance to the tumour boundary. The effects of neighbours then differ by
        the steps of a random walk, which gives each marker a profile; without it regions are
        exchangeable.
    prior_slope_mean, prior_slope_sd : float
        Normal prior of :math:`\mu`. The evidence is already a log hazard, so the slope is a
        recalibration: 1 trusts the boosted models, 0 ignores them; they overfit, hence 1/2 +- 1/2.
    prior_effect_scale : float
        Half-normal scale of the three effect scales. A slope that leaves the common one by more
        than 1 would turn evidence round or double it: twice this scale.
    prior_cohort_scale : float
        Half-normal scale of the sd of cohort effects: at the prior median, .34, 95 % of cohort
        hazard ratios to the average lie between 1/2 and 2. With 3 or 4 cohorts it matters; vary it.
    prior_cohort_slope_scale : float
        Half-normal scale of the sd of slopes of cohorts, of the evidence and of each covariate.
    prior_cohort_shape_scale : float
        Half-normal scale of the sd of log Weibull shapes of cohorts, or of their steps of the
        random walk: cohorts of one disease differ more in how many relapse than in when.
    prior_covariate_sd : float
        Normal prior around 0 of the effect of one sd of a number, and of the highest level against
        the lowest: hazard ratios from e^-2 to e^2.
    prior_intercept_sd : float
        Normal prior of the log level around the crude event rate of the training data: within a
        factor e^4 of it (centring as in rstanarm and survextrap).
    prior_shape_sd : float
        Normal prior of the log Weibull shape around 0: shapes .38 to 2.7.
    prior_smoothness_scale : float
        Half-normal scale of the steps of the random walk (log weights) away from the weights that
        make the hazard constant (Jackson 2023).
    parameterisation : {"auto", "centred", "non_centred"}
        Of the effects. ``auto`` chooses by the information in the data: non-centred while there
        are fewer than `events_for_centring` events per group (coefficient or cohort), centred
        from there on. Few events leave the posterior of effect and scale a funnel, which only the
        non-centred form samples; many events tie each effect down, and then only the centred
        form is quick.
    events_for_centring : float
        Threshold of ``auto``. It is high because a scale learned from two or three members keeps
        its funnel: below it the centred form may save steps but pays in effective draws and
        divergences.
    chains, tune, draws : int
        Chains, and warm-up and kept draws of each.
    target_accept : float
        Acceptance rate the step size is tuned to. High, for small steps: longer ones diverge in
        the funnel of some studies, which then miss the gate. The price is time.
    max_rhat, min_ess, max_divergent : float
        The gate: a fit is "converged" only when R-hat of every quantity is below `max_rhat`, bulk
        and tail effective sample sizes reach `min_ess`, and at most the share `max_divergent` of
        the kept draws diverged (default 1 in 1000: the non-centred form leaves a stray divergence
        in the neck of the funnel, where a scale is near 0). Thresholds of Vehtari et al. (2021);
        `for_folds` has wider ones.

    Raises
    ------
    InputError
        If a setting is out of range.

    References
    ----------
    Brilleman et al. (2020), arXiv:2002.09633. Jackson (2023), doi:10.1186/s12874-023-02094-1.
    Vehtari et al. (2021), doi:10.1214/20-BA1221. Papaspiliopoulos et al. (2007),
    doi:10.1214/088342307000000014.

    Examples
    --------
    >>> SurvivalSpec(baseline="mspline").n_basis
    6
    >>> SurvivalSpec().for_folds().max_rhat
    1.05
    """

    baseline: Literal["weibull", "piecewise", "mspline"] = "weibull"
    n_basis: int = 6
    covariates: tuple[Covariate, ...] = ()
    cohort_effects: tuple[Literal["level", "slope", "shape"], ...] = ("level",)
    region_order: tuple[str, ...] = ()
    prior_slope_mean: float = 0.5
    prior_slope_sd: float = 0.5
    prior_effect_scale: float = 0.5
    prior_cohort_scale: float = 0.5
    prior_cohort_slope_scale: float = 0.5
    prior_cohort_shape_scale: float = 0.25
    prior_covariate_sd: float = 1.0
    prior_intercept_sd: float = 2.0
    prior_shape_sd: float = 0.5
    prior_smoothness_scale: float = 1.0
    parameterisation: Literal["auto", "centred", "non_centred"] = "auto"
    events_for_centring: float = 1000.0
    chains: int = 4
    tune: int = 1500
    draws: int = 2000
    target_accept: float = 0.99
    max_rhat: float = 1.01
    min_ess: float = 400.0
    max_divergent: float = 0.001

    def __post_init__(self) -> None:
        faults = Faults()
        if self.baseline not in BASELINES:
            near = nearest_key(str(self.baseline), BASELINES)
            faults.add(
                f"survival baseline '{self.baseline}' is not known: use "
                + (f"'{near}'" if near else " or ".join(f"'{name}'" for name in BASELINES))
            )
        if self.parameterisation not in ("auto", "centred", "non_centred"):
            faults.add(
                f"parameterisation '{self.parameterisation}' is not known: "
                "use 'auto', 'centred' or 'non_centred'"
            )
        least = 2 if self.baseline == "piecewise" else SPLINE_DEGREE + 1
        what = "intervals" if self.baseline == "piecewise" else "cubic splines"
        if self.n_basis < least:
            faults.add(f"n_basis is {self.n_basis}: use {least} or more {what}")
        for name in (field.name for field in dataclasses.fields(self)):
            value = getattr(self, name)
            if name.startswith("prior_") and name != "prior_slope_mean" and not 0 < value < 1e6:
                faults.add(f"{name} is {value}: use a positive number")
        for name in ("n_basis", "chains", "tune", "draws"):
            if not isinstance(getattr(self, name), numbers.Integral):
                faults.add(f"{name} is {getattr(self, name)}: use a whole number")
        if not math.isfinite(self.prior_slope_mean):
            faults.add(f"prior_slope_mean is {self.prior_slope_mean}: use a number")
        for name, least in (("chains", 1), ("tune", 1), ("draws", 4)):
            if getattr(self, name) < least:
                faults.add(f"{name} is {getattr(self, name)}: use {least} or more")
        if not 0 < self.target_accept < 1:
            faults.add(f"target_accept is {self.target_accept}: use a number between 0 and 1")
        self._add_structure_faults(faults)
        faults.raise_if_any("survival settings")

    def _add_structure_faults(self, faults: Faults) -> None:
        for what, kind in (
            ("covariates", Covariate),
            ("cohort_effects", str),
            ("region_order", str),
        ):
            given = getattr(self, what)
            if isinstance(given, str) or not isinstance(given, (tuple, list)):
                faults.add(f"{what} is {given!r}: give a tuple")
                return
            if not all(isinstance(value, kind) for value in given):
                faults.add(
                    f"{what} holds something else than {kind.__name__}: give a tuple of these"
                )
                return
            object.__setattr__(self, what, tuple(given))
        for name in self.cohort_effects:
            if name not in COHORT_EFFECTS:
                faults.add(f"cohort effect '{name}' is not known: use 'level', 'slope' or 'shape'")
        names = [term.name for term in self.covariates]
        for what, given in (
            ("covariates", names),
            ("cohort_effects", self.cohort_effects),
            ("region_order", self.region_order),
        ):
            if len(set(given)) < len(given):
                faults.add(f"{what} name something twice: name each once")
        if len(self.region_order) == 1:
            faults.add("region_order names one region: name two or more, or none")

    @property
    def structure(self) -> tuple[object, ...]:
        """What is compiled in: two specifications with the same can share a compilation."""
        n_basis = 0 if self.baseline == "weibull" else self.n_basis
        return (
            self.baseline,
            n_basis,
            self.covariates,
            tuple(name for name in COHORT_EFFECTS if name in self.cohort_effects),
            self.region_order,
        )

    @property
    def n_knots(self) -> int:
        """Knots of the baseline, boundaries included; 0 for the Weibull."""
        return {
            "weibull": 0,
            "piecewise": self.n_basis + 1,
            "mspline": self.n_basis - SPLINE_DEGREE + 1,
        }[self.baseline]

    def for_folds(self) -> SurvivalSpec:
        """Return the same model with fewer draws and a wider gate, for the fits of an outer loop.

        Returns
        -------
        SurvivalSpec
            Two chains of 1000 + 1000 draws; R-hat below 1.05, effective sample sizes of 100, 1 % of
            the draws divergent at most. Only posterior means of held-out patients are used, and
            their Monte Carlo error is a tenth of the posterior sd at 100 effective draws.
        """
        return dataclasses.replace(
            self,
            chains=min(self.chains, 2),
            tune=min(self.tune, 1000),
            draws=min(self.draws, 1000),
            target_accept=min(self.target_accept, 0.95),
            max_rhat=1.05,
            min_ess=100.0,
            max_divergent=0.01,
        )
