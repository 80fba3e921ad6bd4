"""Saved scores: the same predictions after loading, and no damaged file reaches XGBoost."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import times_stats
from times_stats.boosting import MarkerModel
from times_stats.errors import DataWarning, InputError, ModelFileError
from times_stats.model_files import check_booster, check_manifest, load_score, save_score
from times_stats.model_files import write_manifest as renew
from times_stats.score import TimesScore

BOOSTER = "boosters/marker000_repeat000_fold000.json"
ROOT = Path(times_stats.__file__).parents[1]


def study(n=90, seed=1):
    rng = np.random.default_rng(seed)
    columns = pd.MultiIndex.from_product([["CD57", "CD8"], ["adjacent", "tumour"]])
    index = pd.Index([f"p{i:03d}" for i in range(n)], name="patient_id")
    features = pd.DataFrame(rng.lognormal(size=(n, 4)), index=index, columns=columns)
    time = rng.exponential(size=n) * 40 / features.iloc[:, 1].to_numpy()
    return features, pd.DataFrame({"time": time + 0.1, "event": 1}, index=index)


def fit(objective="survival:cox", pooling="shrunken", **options):
    model = MarkerModel(objective=objective, n_rounds=4, min_child_weight=1, reg_lambda=1)
    given = {"model": model, "pooling": pooling, "horizon": 12.0, "n_folds": 2, "n_repeats": 2}
    return TimesScore(**given, **options).fit(*study())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_score(fit(), tmp_path_factory.mktemp("saved") / "model")


@pytest.mark.parametrize("objective", ["survival:cox", "binary:logistic"])
@pytest.mark.parametrize("pooling", ["shrunken", "random_effects"])
def test_loaded_score_predicts_the_same(objective, pooling, tmp_path):
    score = fit(objective, pooling)
    loaded = load_score(save_score(score, tmp_path / "model"))
    new = study(20, seed=3)[0]
    new.iloc[2, 0] = np.nan
    pd.testing.assert_frame_equal(
        score.predict_table(new), loaded.predict_table(new), check_exact=True
    )
    pd.testing.assert_frame_equal(
        score.evidence(new), loaded.evidence(new), check_exact=True, check_names=False
    )
    pd.testing.assert_frame_equal(
        score.training_range_, loaded.training_range_, check_exact=True, check_names=False
    )
    assert loaded.get_params()["model__objective"] == objective
    assert loaded.baseline_variance_ == score.baseline_variance_
    assert (score.baseline_variance_ > 0) == (objective == "survival:cox")
    assert len(loaded.out_of_fold_) == 0


@pytest.mark.parametrize("pooling", ["gls", "bayesian"])
def test_bootstrap_variances_and_the_latent_prior_survive_saving(pooling, tmp_path):
    score = fit(pooling=pooling, variance="bootstrap", n_bootstrap=10)
    loaded = load_score(save_score(score, tmp_path / "model"))
    new = study(20, seed=3)[0]
    new.iloc[2, 0] = np.nan
    pd.testing.assert_frame_equal(
        score.predict_table(new), loaded.predict_table(new), check_exact=True
    )
    assert loaded.latent_prior_ == score.latent_prior_
    assert loaded.n_negative_weights_ == score.n_negative_weights_
    assert loaded.get_params()["n_bootstrap"] == 10
    with pytest.raises(InputError, match="holds no patients to learn another rule from"):
        loaded.repool(pooling="shrunken")
    for old, broken in (('"bootstrap"', '"tiles"'), ('"n_bootstrap": 10', '"n_bootstrap": 11')):
        path = tmp_path / "model" / "score.json"
        text = path.read_text()
        path.write_text(text.replace(old, broken, 1))
        renew(tmp_path / "model")
        with pytest.raises(ModelFileError, match=r"unknown variance|describe 11 resamples"):
            load_score(tmp_path / "model")
        path.write_text(text)


@pytest.mark.parametrize("distribution", ["normal", "logistic", "extreme"])
def test_failure_times_and_constraints_survive_saving(distribution, tmp_path):
    model = MarkerModel(
        objective="survival:aft",
        aft_distribution=distribution,
        aft_scale=0.8,
        monotone_constraints={"CD8:tumour": 1, "adjacent": -1},
        region_interaction=False,
        n_rounds=4,
        min_child_weight=1,
        reg_lambda=1,
    )
    score = TimesScore(model=model, horizon=12.0, n_folds=2, n_repeats=2).fit(*study())
    loaded = load_score(save_score(score, tmp_path / "model"))
    new = study(20, seed=3)[0]
    new.iloc[2, 0] = np.nan
    pd.testing.assert_frame_equal(
        score.predict_table(new), loaded.predict_table(new), check_exact=True
    )
    for name, value in model.get_params().items():
        assert loaded.get_params()[f"model__{name}"] == value
    assert loaded.crossfit_.models[0][0]["CD57"].monotone_constraints == {"adjacent": -1}
    assert loaded.baseline_variance_ == 0


def test_a_tuned_score_is_saved_with_its_choice(tmp_path):
    model = MarkerModel(min_child_weight=1, reg_lambda=1)
    score = TimesScore(
        model=model, tuning=[{"n_rounds": 3}, {"n_rounds": 6}], horizon=12.0, n_folds=2, n_repeats=2
    ).fit(*study())
    loaded = load_score(save_score(score, tmp_path / "model"))
    assert loaded.get_params()["model__n_rounds"] == score.tuning_.parameters["n_rounds"]
    assert loaded.tuning is None
    assert loaded.tuning_ is None
    pd.testing.assert_frame_equal(
        score.predict_table(study()[0]), loaded.predict_table(study()[0]), check_exact=True
    )


@pytest.fixture(scope="module")
def saved_times(tmp_path_factory):
    return save_score(fit("survival:aft"), tmp_path_factory.mktemp("times") / "model")


@pytest.mark.parametrize(
    ("name", "where", "value", "message"),
    [
        ("score.json", ("marker_model", "aft_distribution"), "weibull", "unknown aft_distribution"),
        ("score.json", ("marker_model", "aft_scale"), 0.0, "aft_scale is damaged"),
        ("score.json", ("marker_model", "region_interaction"), 1, "region_interaction is damaged"),
        ("score.json", ("marker_model", "monotone_constraints"), {"x": 2}, "monotone_constraints"),
        ("score.json", ("marker_model", "monotone_constraints"), [1], "monotone_constraints"),
        (BOOSTER, ("learner", "objective", "name"), "survival:cox", "not survival:aft"),
        (BOOSTER, ("learner", "objective", "aft_loss_param"), {}, "aft_loss_param"),
        (
            BOOSTER,
            ("learner", "objective", "aft_loss_param", "aft_loss_distribution_scale"),
            "-1",
            "aft_loss_param is damaged",
        ),
        (
            BOOSTER,
            ("learner", "objective", "aft_loss_param", "aft_loss_distribution"),
            "x",
            "aft_loss_param is damaged",
        ),
    ],
)
def test_damaged_failure_times_are_refused(name, where, value, message, saved_times, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(saved_times, folder)
    _edit_json(name, _path(*where, value=value))(folder)
    renew(folder)
    with pytest.raises(ModelFileError, match=message):
        load_score(folder)


def test_markers_without_a_split_and_the_default_leaf_survive_saving(tmp_path):
    features, y = study()
    features["CD8"] = np.where(np.arange(180).reshape(90, 2) < 6, 1.0, 0.0)
    score = TimesScore(horizon=12.0, n_folds=2, n_repeats=2)
    with pytest.warns(DataWarning, match="CD8"):
        score.fit(features, y, folds=np.array([np.arange(90) % 2, np.arange(90) // 2 % 2]))
    loaded = load_score(save_score(score, tmp_path / "model"))
    assert loaded.uninformative_ == score.uninformative_ == ("CD8",)
    assert loaded.get_params()["model__min_child_weight"] is None
    assert loaded.crossfit_.models[0][0]["CD57"].min_child_weight_ == 10
    pd.testing.assert_frame_equal(
        score.predict_table(features), loaded.predict_table(features), check_exact=True
    )


def test_no_patient_is_saved(saved):
    text = "".join(path.read_text() for path in saved.rglob("*.json"))
    assert "p000" not in text
    assert not [path for path in saved.rglob("*") if path.suffix not in ("", ".json")]


def test_saving_needs_a_fit_and_an_empty_folder(saved, tmp_path):
    with pytest.raises(InputError, match="not fitted"):
        save_score(TimesScore(), tmp_path / "model")
    with pytest.raises(InputError, match="no empty folder"):
        save_score(fit(), saved)
    with pytest.raises(InputError, match="is no folder"):
        renew(tmp_path / "absent")


def test_a_joined_file_is_fine_once_the_manifest_is_renewed(saved, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    (folder / "posterior.nc").write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"not in the manifest: posterior\.nc"):
        load_score(folder)
    renew(folder)
    assert "posterior.nc" in check_manifest(folder)
    assert load_score(folder).horizon == 12.0


# --- mutants -----------------------------------------------------------------------------------


def _edit_json(name, change):
    def mutate(folder):
        document = json.loads((folder / name).read_text())
        changed = change(document)
        (folder / name).write_text(json.dumps(document if changed is None else changed))

    return mutate


def _tree(**changes):
    """Change arrays of the first tree with several nodes."""

    def change(document):
        trees = document["learner"]["gradient_booster"]["model"]["trees"]
        tree = next(tree for tree in trees if len(tree["left_children"]) >= 5)
        for key, new in changes.items():
            tree[key] = new(tree[key]) if callable(new) else new

    return _edit_json(BOOSTER, change)


def _at(position, value):
    def change(array):
        array = copy.copy(array)
        array[position] = value
        return array

    return change


def _path(*keys, value):
    def change(document):
        inner = document
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value

    return change


def _raw(name, change):
    def mutate(folder):
        path = folder / name
        path.write_bytes(change(path.read_bytes()))

    return mutate


def _flip(position):
    def change(raw):
        place = int(position * len(raw))
        return raw[:place] + bytes([raw[place] ^ 0x10]) + raw[place + 1 :]

    return change


def _swap_first(old, new):
    return lambda raw: raw.replace(old, new, 1)


def _ubj(folder):
    import xgboost as xgb

    booster = xgb.Booster(model_file=bytearray((folder / BOOSTER).read_bytes()))
    (folder / BOOSTER).write_bytes(bytes(booster.save_raw("ubj")))


MODEL = ("learner", "gradient_booster", "model")
# Damage with a *renewed* manifest: only the structural check stands before XGBoost.
RENEWED = {
    **{
        f"truncated at {part}": _raw(BOOSTER, lambda r, p=part: r[: int(p * len(r))])
        for part in (0.0, 0.01, 0.3, 0.7, 0.99)
    },
    "not json": _raw(BOOSTER, lambda r: b"binf" + r),
    "random bytes": _raw(BOOSTER, lambda r: np.random.default_rng(1).bytes(len(r))),
    "ubj": _ubj,
    "utf-16": _raw(BOOSTER, lambda r: r.decode().encode("utf-16")),
    "deep nesting": _raw(BOOSTER, lambda _: b"[" * 100_000 + b"]" * 100_000),
    "deep nesting in place": _edit_json(
        BOOSTER, _path("version", value=json.loads("[" * 40 + "]" * 40))
    ),
    "list": _raw(BOOSTER, lambda _: b"[]"),
    "null": _raw(BOOSTER, lambda _: b"null"),
    "no learner": _edit_json(BOOSTER, lambda d: d.pop("learner") and None),
    "extra key": _edit_json(BOOSTER, _path("config", value={})),
    "duplicate key": _raw(BOOSTER, _swap_first(b'"version"', b'"version":[3,4,1],"version"')),
    "old version": _edit_json(BOOSTER, _path("version", value=[1, 7, 0])),
    "next major version": _edit_json(BOOSTER, _path("version", value=[4, 0, 0])),
    "version of text": _edit_json(BOOSTER, _path("version", value="3.4.1")),
    "other objective": _edit_json(
        BOOSTER, _path("learner", "objective", "name", value="reg:squarederror")
    ),
    "unknown objective": _edit_json(BOOSTER, _path("learner", "objective", "name", value="x" * 99)),
    "dart": _edit_json(BOOSTER, _path("learner", "gradient_booster", "name", value="dart")),
    "gblinear": _edit_json(
        BOOSTER, _path("learner", "gradient_booster", value={"name": "gblinear", "model": {}})
    ),
    "more trees announced": _edit_json(
        BOOSTER, _path(*MODEL, "gbtree_model_param", "num_trees", value="2000000000")
    ),
    "tree missing": _edit_json(
        BOOSTER, lambda d: d["learner"]["gradient_booster"]["model"]["trees"].pop() and None
    ),
    "no tree": _edit_json(BOOSTER, _path(*MODEL, "trees", value=[])),
    "indptr beyond": _edit_json(BOOSTER, _path(*MODEL, "iteration_indptr", value=[0, 1, 2, 3, 99])),
    "tree_info negative": _edit_json(BOOSTER, _path(*MODEL, "tree_info", value=[-5, 0, 0, 0])),
    "features announced": _edit_json(
        BOOSTER, _path("learner", "learner_model_param", "num_feature", value="100000")
    ),
    "classes announced": _edit_json(
        BOOSTER, _path("learner", "learner_model_param", "num_class", value="7")
    ),
    "base score nan": _edit_json(
        BOOSTER, _path("learner", "learner_model_param", "base_score", value="[nan]")
    ),
    "base score of text": _edit_json(
        BOOSTER, _path("learner", "learner_model_param", "base_score", value="0.5" * 9999)
    ),
    "categories": _edit_json(BOOSTER, _path(*MODEL, "cats", value={"enc": [1]})),
    "child out of range": _tree(left_children=_at(0, 10_000)),
    "child negative": _tree(left_children=_at(0, -7)),
    "child huge": _tree(left_children=_at(0, 2**70)),
    "cycle to the root": _tree(left_children=_at(0, 0)),
    "cycle of two": _tree(left_children=_at(1, 1), right_children=_at(1, 0)),
    "shared child": _tree(right_children=lambda a: [a[0] - 1, *a[1:]]),
    "one child only": _tree(right_children=_at(0, -1)),
    "orphans": _tree(left_children=_at(0, -1), right_children=_at(0, -1)),
    "parent wrong": _tree(parents=_at(2, 1)),
    "root with a parent": _tree(parents=_at(0, 1)),
    "feature beyond": _tree(split_indices=_at(0, 2)),
    "feature negative": _tree(split_indices=_at(0, -1)),
    "feature huge": _tree(split_indices=_at(0, 4_000_000_000)),
    "short array": _tree(split_conditions=lambda a: a[:-1]),
    "long array": _tree(base_weights=lambda a: [*a, 0.0]),
    "empty arrays": _tree(left_children=[], right_children=[]),
    "nan": _tree(split_conditions=_at(0, float("nan"))),
    "infinity": _tree(split_conditions=_at(0, float("inf"))),
    "beyond float32": _tree(split_conditions=_at(0, 1e39)),
    "text for number": _tree(split_conditions=_at(0, "0.5")),
    "null for number": _tree(sum_hessian=_at(0, None)),
    "bool for index": _tree(split_indices=_at(0, True)),
    "float for index": _tree(left_children=_at(0, 1.0)),
    "list for number": _tree(base_weights=_at(0, [0.5])),
    "object for array": _tree(left_children={"0": 1}),
    "cover zero": _tree(sum_hessian=_at(1, 0.0)),
    "categorical split": _tree(split_type=_at(0, 1)),
    "category nodes": _tree(categories_nodes=[0], categories=[1]),
    "deleted nodes": _tree(tree_param=_at("num_deleted", "3")),
    "nodes announced": _tree(tree_param=_at("num_nodes", "2147483647")),
    "vector leaves": _tree(tree_param=_at("size_leaf_vector", "4")),
    "tree id": _tree(id=77),
    "integer of 10,000 digits": _raw(
        BOOSTER, _swap_first(b'"default_left":[', b'"default_left":[' + b"9" * 10_000 + b",")
    ),
    "score: not json": _raw("score.json", lambda r: r[:-9]),
    "score: fit missing": _edit_json("score.json", lambda d: d["fits"].pop() and None),
    "score: repeats": _edit_json("score.json", _path("n_repeats", value=10**9)),
    "score: columns": _edit_json("score.json", _path("columns", value=[["a", "b"]])),
    "score: prior negative": _edit_json("score.json", _path("prior", "df", value=[-1.0, 2.0])),
    "score: uninformative": _edit_json("score.json", _path("uninformative", value=["CD57"])),
    "score: uninformative of text": _edit_json("score.json", _path("uninformative", value="")),
    "score: baseline variance": _edit_json("score.json", _path("baseline_variance", value=-1.0)),
    "score: variance of a baseline": _edit_json(
        "score.json", _path("fits", 0, "baseline", "variance", value=[-1.0])
    ),
    "score: correlation": _edit_json(
        "score.json", _path("error_correlation", value=[[1.0, 2.0], [2.0, 1.0]])
    ),
    "score: baseline falls": _edit_json(
        "score.json", _path("fits", 0, "baseline", "cumulative_hazard", value=[1.0])
    ),
    "score: objective": _edit_json("score.json", _path("marker_model", "objective", value="x")),
    "score: unknown key": _edit_json("score.json", _path("pickle", value="gASV")),
    "score: pooling": _edit_json("score.json", _path("score", "pooling", value="eval")),
    "booster missing": lambda folder: (folder / BOOSTER).unlink(),
    "booster of three features": _edit_json(
        BOOSTER, _path(*MODEL, "trees", 0, "tree_param", "num_feature", value="3")
    ),
}


def _manifest_entry(name):
    def mutate(folder):
        document = json.loads((folder / "manifest.json").read_text())
        document["files"][name] = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
        (folder / "manifest.json").write_text(json.dumps(document))

    return mutate


def _link(folder):
    (folder / BOOSTER).rename(folder.parent / "elsewhere.json")
    (folder / BOOSTER).symlink_to(folder.parent / "elsewhere.json")


def _link_folder(folder):
    (folder / "boosters").rename(folder.parent / "elsewhere")
    (folder / "boosters").symlink_to(folder.parent / "elsewhere")


# Damage under the old manifest.
STALE = {
    **{f"bit flip at {part}": _raw(BOOSTER, _flip(part)) for part in (0.1, 0.5, 0.9)},
    "empty": _raw(BOOSTER, lambda _: b""),
    "missing": lambda folder: (folder / BOOSTER).unlink(),
    "extra": lambda folder: (folder / "extra.json").write_text("{}"),
    "extra pickle": lambda folder: (folder / "boosters" / "a.pkl").write_bytes(b"\x80\x04."),
    "symbolic link": _link,
    "linked folder": _link_folder,
    "path traversal": _manifest_entry("../secret.json"),
    "absolute path": _manifest_entry("/etc/hostname"),
    "hidden traversal": _manifest_entry("boosters/../../secret"),
    "backslash": _manifest_entry("..\\secret"),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "manifest empty": _raw("manifest.json", lambda _: b""),
    "manifest no json": _raw("manifest.json", lambda r: r[:-20]),
    "manifest version": _edit_json("manifest.json", _path("format_version", value=99)),
    "manifest format": _edit_json("manifest.json", _path("format", value="zip")),
    "manifest files": _edit_json("manifest.json", _path("files", value=[])),
    "manifest hash": _edit_json("manifest.json", _path("files", BOOSTER, "sha256", value="x")),
    "manifest size": _edit_json("manifest.json", _path("files", BOOSTER, "size", value=-1)),
    "manifest list": _raw("manifest.json", lambda _: b"[" * 5000),
}

# Each mutant is loaded in a process of its own: a forked child of one warm parent per worker.
DRIVER = """
import os, sys, json, signal
import numpy as np
from times_stats.errors import ModelFileError
from times_stats.model_files.score_files import load_score
import times_stats.model_files.booster_structure, xgboost
for line in sys.stdin:
    folder = line.rstrip("\\n")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        signal.alarm(20)
        try:
            load_score(folder)
            text = "loaded"
        except ModelFileError as error:
            text = "refused: " + str(error)
        except BaseException as error:
            text = "other: " + repr(error)
        os.write(write, text.encode()[:2000])
        os._exit(0)
    os.close(write)
    text = b"".join(iter(lambda: os.read(read, 4096), b"")).decode()
    os.close(read)
    _, status = os.waitpid(child, 0)
    print(json.dumps({"text": text, "status": status}), flush=True)
"""


def _run(folders):
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input="".join(f"{folder}\n" for folder in folders),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def outcomes(saved, tmp_path_factory):
    """What loading each mutant gave."""
    base = tmp_path_factory.mktemp("mutants")
    cases = {("renewed", name): change for name, change in RENEWED.items()}
    cases |= {("stale", name): change for name, change in STALE.items()}
    folders = {("untouched", ""): saved}
    for number, (case, change) in enumerate(cases.items()):
        folder = base / str(number) / "model"
        shutil.copytree(saved, folder)
        change(folder)
        if case[0] == "renewed":
            renew(folder)
        folders[case] = folder
    names = list(folders)
    with ThreadPoolExecutor(2) as pool:
        halves = list(pool.map(lambda k: _run([folders[n] for n in names[k::2]]), range(2)))
    return {name: halves[i % 2][i // 2] for i, name in enumerate(names)}


def test_the_untouched_model_loads(outcomes):
    assert outcomes["untouched", ""] == {"text": "loaded", "status": 0}


@pytest.mark.parametrize("name", RENEWED)
def test_damage_with_a_renewed_manifest_is_refused(outcomes, name):
    outcome = outcomes["renewed", name]
    assert outcome["status"] == 0
    assert outcome["text"].startswith("refused: ")


@pytest.mark.parametrize("name", STALE)
def test_damage_under_the_old_manifest_is_refused(outcomes, name):
    outcome = outcomes["stale", name]
    assert outcome["status"] == 0
    assert outcome["text"].startswith("refused: ")


def test_flipped_bits_are_refused_or_harmless(saved):
    """Structure check alone, 300 flips: refused, or still a sound forest."""
    raw = (saved / BOOSTER).read_bytes()
    rng = np.random.default_rng(1)
    passed = 0
    for place, bit in zip(rng.integers(len(raw), size=300), rng.integers(8, size=300), strict=True):
        flipped = raw[:place] + bytes([raw[place] ^ (1 << bit)]) + raw[place + 1 :]
        try:
            written = check_booster(flipped, objective="survival:cox", n_features=2, source="x")
        except ModelFileError:
            continue
        passed += 1
        assert set(json.loads(written)) == {"learner", "version"}
    assert 0 < passed < 300


def test_size_cap():
    with pytest.raises(ModelFileError, match="larger than"):
        check_booster(b" " * (16 * 2**20 + 1), objective="survival:cox", n_features=2, source="x")
