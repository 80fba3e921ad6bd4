"""Images pooled by patient: weights, spread between images, and why a value is missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from times_stats.features.measured_rows import COLUMNS
from times_stats.features.patient_pooling import KEYS, pool_images


def rows(*values):
    """Each (patient, image, statistic, r, value, information, reason)."""
    table = [
        (patient, image, "front", "CD8", statistic, r, value, information, reason)
        for patient, image, statistic, r, value, information, reason in values
    ]
    return pd.DataFrame(table, columns=COLUMNS)


def seen(patient, image, value, information=1.0, statistic="intensity", r=np.nan):
    return (patient, image, statistic, r, value, information, "")


def gone(patient, image, reason, statistic="intensity", r=np.nan):
    return (patient, image, statistic, r, np.nan, 0.0, reason)


def test_weighted_mean_and_variance_by_hand():
    pooled = pool_images(rows(seen("a", "1", 10.0, 1.0), seen("a", "2", 40.0, 3.0))).iloc[0]
    assert pooled["value"] == (10 * 1 + 40 * 3) / 4 == 32.5
    assert pooled["variance"] == pytest.approx(2 / 1 * (1 * 22.5**2 + 3 * 7.5**2) / 4)
    assert pooled["information"] == 4
    assert (pooled["n_images"], pooled["n_missing"], pooled["reason"]) == (2, 0, "")


def test_equal_weights_give_the_usual_mean_and_variance():
    values = np.array([3.0, 8.0, 1.0, 7.5, -2.0])
    pooled = pool_images(rows(*(seen("a", f"{i}", v, 0.2) for i, v in enumerate(values)))).iloc[0]
    assert pooled["value"] == pytest.approx(values.mean())
    assert pooled["variance"] == pytest.approx(values.var(ddof=1))


def test_one_image_has_no_variance():
    pooled = pool_images(rows(seen("a", "1", 5.0, 2.0), gone("a", "2", "no window"))).iloc[0]
    assert (pooled["value"], pooled["information"]) == (5.0, 2.0)
    assert np.isnan(pooled["variance"])
    assert (pooled["n_images"], pooled["n_missing"]) == (1, 1)
    assert pooled["reason"] == ""


def test_missing_everywhere_tells_the_most_frequent_reason_the_first_of_equals():
    table = rows(
        *(gone("a", f"{i}", why) for i, why in enumerate(["rare", "often", "often"])),
        *(gone("b", f"{i}", why) for i, why in enumerate(["z", "a", "z", "a"])),
    )
    pooled = pool_images(table).set_index("patient_id")
    assert pooled["reason"].to_dict() == {"a": "often", "b": "a"}
    assert pooled[["value", "variance"]].isna().all(axis=None)
    assert (pooled["information"] == 0).all()
    assert pooled["n_missing"].tolist() == [3, 4]


def test_every_missing_value_has_its_reason_with_and_without_a_radius():
    # A missing radius is a key like any other, beside radii that are there.
    table = rows(
        gone("a", "1", "no boundary"),
        gone("a", "1", "few cells", statistic="l_self", r=10.0),
        gone("a", "1", "small window", statistic="l_self", r=20.0),
        gone("a", "1", "one band", statistic="gradient"),
        seen("b", "2", 1.0),
        seen("b", "2", 4.0, statistic="l_self", r=10.0),
        gone("b", "2", "small window", statistic="l_self", r=20.0),
        seen("b", "2", 0.5, statistic="gradient"),
    )
    pooled = pool_images(table)
    assert (pooled["reason"].eq("") == pooled["value"].notna()).all()
    told = pooled.set_index(["patient_id", "statistic", "r"])["reason"]
    assert told["a", "l_self", 10.0] == "few cells"
    assert told["a", "l_self", 20.0] == "small window"
    assert told["b", "l_self", 20.0] == "small window"
    assert pooled.query("patient_id == 'a' and r.isna()")["reason"].tolist() == [
        "one band",
        "no boundary",
    ]


def test_radii_are_kept_apart_and_sorted():
    table = rows(
        *(
            seen("a", i, r + k, 1.0 + k, "l_self", r)
            for r in (20.0, 5.0)
            for k, i in enumerate("xy")
        )
    )
    pooled = pool_images(table)
    assert pooled["r"].tolist() == [5.0, 20.0]
    np.testing.assert_allclose(pooled["value"], [(5 + 2 * 6) / 3, (20 + 2 * 21) / 3])
    np.testing.assert_allclose(pooled["variance"], [2 * (1 * (2 / 3) ** 2 + 2 / 9) / 3] * 2)


def test_groups_without_radius_keep_their_own_variance_beside_groups_with_one():
    table = rows(
        *(seen("a", f"{i}", v) for i, v in enumerate([1.0, 3.0])),
        *(seen("a", f"{i}", v, 1.0, "l_self", 10.0) for i, v in enumerate([10.0, 30.0])),
        *(seen("b", f"{i}", v) for i, v in enumerate([100.0, 300.0])),
    )
    pooled = pool_images(table).set_index(["patient_id", "statistic"])["variance"]
    assert pooled.to_dict() == {
        ("a", "intensity"): 2.0,
        ("a", "l_self"): 200.0,
        ("b", "intensity"): 20000.0,
    }


def test_columns_and_types():
    pooled = pool_images(rows(seen("a", "1", 5.0), gone("b", "2", "no window")))
    assert pooled.columns.tolist() == [
        *KEYS,
        *("value", "variance", "information", "n_images", "n_missing", "reason"),
    ]
    assert pooled["reason"].dtype == "str"
    assert pooled[["n_images", "n_missing"]].dtypes.eq("int64").all()


IMAGES = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.integers(0, 200),
        st.floats(0.01, 5.0),
        st.sampled_from(["", "", "no window", "no boundary"]),
        st.sampled_from([np.nan, 10.0]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(images=IMAGES, seed=st.integers(0, 99))
def test_pooled_intensity_is_all_cells_over_all_area_in_any_order(images, seed):
    table = rows(
        *(
            gone(patient, f"{k}", why, r=r)
            if why
            else seen(patient, f"{k}", count / area, area, r=r)
            for k, (patient, count, area, why, r) in enumerate(images)
        )
    )
    pooled = pool_images(table)
    assert len(pooled) == len({(patient, r) for patient, *_, r in images})
    for row in pooled.to_dict("records"):
        of_it = [
            image
            for image in images
            if image[0] == row["patient_id"] and str(image[4]) == str(row["r"])
        ]
        held = [image for image in of_it if not image[3]]
        assert (row["n_images"], row["n_missing"]) == (len(held), len(of_it) - len(held))
        if held:
            expected = sum(image[1] for image in held) / sum(image[2] for image in held)
            assert row["value"] == pytest.approx(expected)
        else:
            reasons = [image[3] for image in of_it]
            assert row["reason"] == max(sorted(set(reasons)), key=reasons.count)
    shuffled = pool_images(table.sample(frac=1, random_state=seed))
    pd.testing.assert_frame_equal(pooled, shuffled, rtol=1e-12)
