"""Small examples that show where our measures part from scikit-survival's and lifelines'.

scikit-survival is called. lifelines does not install beside pandas 3: what it would return is
computed with our functions from the one rule of its source that differs, the sign of the score of
`utils.concordance_index`.

    python benchmarks/evaluation/conventions.py > benchmarks/evaluation/conventions.txt
"""

from __future__ import annotations

import numpy as np
import sksurv
from sksurv.metrics import (
    brier_score,
    concordance_index_censored,
    concordance_index_ipcw,
    cumulative_dynamic_auc,
)
from sksurv.util import Surv

import times_stats as ts

# patient 3 is censored in the month of an event, patient 5's event falls on the horizon
TIME = np.array([2.0, 4.0, 4.0, 5.0, 6.0, 8.0, 9.0])
EVENT = np.array([1, 1, 0, 1, 1, 0, 0])
RISK = np.array([5.0, 2.0, 4.0, 3.0, 1.0, 2.0, 0.0])
SURVIVAL = np.array([0.2, 0.5, 0.4, 0.3, 0.7, 0.6, 0.9])
HORIZON = 6.0


def row(what: str, ours: float, theirs: float) -> None:
    """Print one comparison."""
    print(f"{what:<66}{ours:>9.4f}{theirs:>11.4f}")


def main() -> None:
    """Print the examples."""
    y = Surv.from_arrays(EVENT.astype(bool), TIME)
    ev = ts.evaluation
    print("patient ", *(f"{k:>4}" for k in range(1, 8)))
    for name, values in (("time", TIME), ("event", EVENT), ("risk", RISK), ("S(6)", SURVIVAL)):
        print(f"{name:<8}", *(f"{value:>4g}" for value in values))
    print(f"\n{f'scikit-survival {sksurv.__version__}':<66}{'ours':>9}{'theirs':>11}")
    harrell = ev.concordance_harrell(TIME, EVENT, RISK)
    row(
        "Harrell's C: the same rule for tied times and tied risks",
        harrell,
        concordance_index_censored(EVENT.astype(bool), TIME, RISK)[0],
    )
    near = RISK + np.array([0, 0, 0, 0, 0, 1e-9, 0])
    row(
        "... risks 1e-9 apart: ordered here, equal there (tied_tol 1e-8)",
        ev.concordance_harrell(TIME, EVENT, near),
        concordance_index_censored(EVENT.astype(bool), TIME, near)[0],
    )
    row(
        "Uno's C to 6: an event at 6 counts here, not there; G(t-), G(t)",
        ev.concordance_uno(TIME, EVENT, RISK, horizon=HORIZON),
        concordance_index_ipcw(y, y, RISK, tau=HORIZON)[0],
    )
    row(
        "... to 6.5, so that only the weights differ",
        ev.concordance_uno(TIME, EVENT, RISK, horizon=6.5),
        concordance_index_ipcw(y, y, RISK, tau=6.5)[0],
    )
    row(
        "AUC at 6: a case weighs 1/G(t-) here, 1/G(t) there",
        ev.time_dependent_auc(TIME, EVENT, RISK, times=[HORIZON])[0],
        cumulative_dynamic_auc(y, y, RISK, [HORIZON])[0][0],
    )
    row(
        "Brier score at 6: the same two weights",
        ev.brier_score(TIME, EVENT, SURVIVAL[:, None], times=[HORIZON])[0],
        brier_score(y, y, SURVIVAL[:, None], [HORIZON])[1][0],
    )
    untied = TIME + np.array([0, 0, 0.1, 0, 0, 0, 0])
    y = Surv.from_arrays(EVENT.astype(bool), untied)
    row(
        "... patient 3 censored at 4.1: no tie, no difference",
        ev.brier_score(untied, EVENT, SURVIVAL[:, None], times=[HORIZON])[0],
        brier_score(y, y, SURVIVAL[:, None], [HORIZON])[1][0],
    )
    print(f"\n{'lifelines':<66}{'ours':>9}{'theirs':>11}")
    row(
        "concordance_index(time, risk, event): larger = longer survival",
        harrell,
        ev.concordance_harrell(TIME, EVENT, -RISK),
    )
    print(f"\n{'which pairs are compared':<66}{'C':>9}")
    at_four = (TIME == 4).astype(int)
    for what, time, event in (
        ("a tied event and censoring are, the event first (ours and R's)", TIME, EVENT),
        ("patient 3 has its event too: two events at one time are not", TIME, EVENT | at_four),
    ):
        print(f"{what:<66}{ev.concordance_harrell(time, event, RISK):>9.4f}")


if __name__ == "__main__":
    main()
