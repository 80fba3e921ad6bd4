"""What the audit of a run looks at: splits, predictions, and what they must differ from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from times_stats.audit.run_record import (
    RunRecord,
    data_hashes,
    digest_features,
    find_duplicates,
)
from times_stats.boosting.calibration import complementary_log_log
from times_stats.model_files import load_score
from times_stats.pipeline.nested import SCORE, SURVIVAL, cohort_indicators, cox_inputs
from times_stats.pipeline.preparation import Prepared
from times_stats.pipeline.steps import Fitted
from times_stats.rivals.cox import RidgeCox
from times_stats.survival.prediction import linear_predictor


def record_run(
    prepared: Prepared,
    fitted: Fitted,
    *,
    scores: pd.DataFrame,
    provenance: dict[str, Any],
) -> RunRecord:
    """Collect what the audit of a run reads.

    Parameters
    ----------
    prepared : Prepared
        The analysed patients.
    fitted : Fitted
        What the steps made.
    scores : DataFrame
        As in ``scores.csv``, index ``patient_id``.
    provenance : dict
        Holds the hashes of the data.

    Returns
    -------
    RunRecord
        Ready to be checked and written.
    """
    nested, y = fitted.nested, prepared.outcome
    compared = prepared.stages.notna().all(axis=1).to_numpy().astype(np.int64)
    parts = [
        pd.DataFrame(
            {
                "repeat": repeat,
                "fold": labels,
                "patient_id": y.index.astype(str),
                "time": y["time"].to_numpy(),
                "event": y["event"].to_numpy(),
                "compared": compared,
                **{name: risk[repeat] for name, risk in nested.linear_predictor.items()},
            }
        )
        for repeat, labels in enumerate(nested.folds)
    ]
    hashes = data_hashes(provenance)
    return RunRecord(
        predictions=pd.concat(parts, ignore_index=True),
        splits=nested.splits,
        in_sample=_predict_in_sample(prepared, fitted),
        comparison=fitted.comparison,
        scores=scores.reset_index(),
        duplicates=find_duplicates(prepared.features, y),
        features=digest_features(prepared.features),
        hashes=hashes,
        provenance=hashes,
    )


def _predict_in_sample(prepared: Prepared, fitted: Fitted) -> pd.DataFrame:
    """Predict every patient by models fitted to all of them: what no result may be."""
    features, y = prepared.features, prepared.outcome
    score = load_score(fitted.model_path).predict_table(features)["score"].to_numpy()
    survival = linear_predictor(fitted.fit, fitted.evidence, cohort=y["cohort"]).mean("sample")
    rivals = {}
    weak = list(cohort_indicators(y).columns)
    for name, inputs in cox_inputs(features, y, levels=prepared.table.levels).items():
        rivals[name] = RidgeCox(weak=weak).fit(inputs, y).predict(inputs)
    return pd.DataFrame(
        {
            "patient_id": features.index.astype(str),
            SCORE: complementary_log_log(score),
            SURVIVAL: survival.to_numpy(),
            **rivals,
        }
    )
