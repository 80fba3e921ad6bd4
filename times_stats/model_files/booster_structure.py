"""Structure of a saved booster, checked before XGBoost sees it.

XGBoost trusts its model files: damaged ones end the process or load in silence. What passes here
is a forest of plain binary trees whose every index is in range, written anew by `json`.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from times_stats._typing import FloatArray
from times_stats.boosting.failure_time import DISTRIBUTIONS
from times_stats.errors import ModelFileError
from times_stats.model_files.plain_json import as_numbers, as_object, parse_json

MOST_BYTES = 16 * 2**20
_MOST_NODES = 4096
_MOST_DEPTH = 16
_MOST_TREES = 20_000
_NO_PARENT = 2_147_483_647
_SUPPORTED_MAJOR, _SUPPORTED_MINOR = 3, 4
_BASE_SCORE = re.compile(r"\[?(-?\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?)\]?")
_OBJECTIVES: dict[str, dict[str, Any]] = {
    "survival:cox": {"name": "survival:cox"},
    "binary:logistic": {
        "name": "binary:logistic",
        "reg_loss_param": {"scale_pos_weight": "1"},
    },
}
_INTEGERS = ("left_children", "right_children", "parents", "split_indices", "split_type")
_FLOATS = ("base_weights", "loss_changes", "split_conditions", "sum_hessian")
_EMPTY = ("categories", "categories_nodes", "categories_segments", "categories_sizes")


def check_booster(raw: bytes, *, objective: str, n_features: int, source: str) -> bytes:
    """Check the JSON of a booster and return it written anew.

    Parameters
    ----------
    raw : bytes
        Model file in XGBoost's JSON format.
    objective : {"survival:cox", "survival:aft", "binary:logistic"}
        Objective it must have.
    n_features : int
        Number of features it must have.
    source : str
        File name, for the message.

    Returns
    -------
    bytes
        The same model, serialised by Python: the only bytes XGBoost may see.

    Raises
    ------
    ModelFileError
        Too large, not JSON, another objective or version, arrays of wrong length, children out of
        range or not forming one tree, feature indices out of range, numbers not finite.
    """
    if len(raw) > MOST_BYTES:
        raise ModelFileError(f"larger than {MOST_BYTES} bytes: no booster is", source=source)
    document = as_object(
        parse_json(raw, source=source), {"learner", "version"}, what="the booster", source=source
    )
    _check_version(document["version"], source)
    learner = as_object(
        document["learner"],
        {
            "attributes",
            "feature_names",
            "feature_types",
            "gradient_booster",
            "learner_model_param",
            "objective",
        },
        what="the learner",
        source=source,
    )
    for name, expected in (("attributes", {}), ("feature_names", []), ("feature_types", [])):
        _expect(learner[name], expected, name, source)
    if objective == "survival:aft":
        _check_failure_time(learner["objective"], source)
    elif learner["objective"] != _OBJECTIVES[objective]:
        raise ModelFileError(f"the objective is not {objective}", source=source)
    _check_learner_parameters(learner["learner_model_param"], objective, n_features, source)
    booster = as_object(
        learner["gradient_booster"], {"model", "name"}, what="the booster", source=source
    )
    _expect(booster["name"], "gbtree", "the booster's name", source)
    _check_forest(booster["model"], n_features, source)
    return json.dumps(document, allow_nan=False).encode("ascii")


def _check_version(version: Any, source: str) -> None:
    numbers = as_numbers(version, (3,), what="the version", source=source, low=0, high=1000)
    if numbers[0] != _SUPPORTED_MAJOR or numbers[1] < _SUPPORTED_MINOR:
        text = ".".join(f"{number:g}" for number in numbers)
        raise ModelFileError(
            f"written by XGBoost {text}: this package reads {_SUPPORTED_MAJOR}.x from "
            f"{_SUPPORTED_MAJOR}.{_SUPPORTED_MINOR} on",
            source=source,
        )
    if any(type(number) is not int for number in version):
        raise ModelFileError("the version is damaged", source=source)


def _check_failure_time(value: Any, source: str) -> None:
    """Distribution and scale are those of the training loss; predictions do not use them."""
    given = as_object(value, {"name", "aft_loss_param"}, what="the objective", source=source)
    if given["name"] != "survival:aft":
        raise ModelFileError("the objective is not survival:aft", source=source)
    names = {"aft_loss_distribution", "aft_loss_distribution_scale"}
    loss = as_object(given["aft_loss_param"], names, what="aft_loss_param", source=source)
    text = loss["aft_loss_distribution_scale"]
    found = _BASE_SCORE.fullmatch(text) if isinstance(text, str) else None
    sound = found is not None and 0 < float(found.group(1)) < 1e30
    if loss["aft_loss_distribution"] not in DISTRIBUTIONS or not sound:
        raise ModelFileError("aft_loss_param is damaged", source=source)


def _check_learner_parameters(value: Any, objective: str, n_features: int, source: str) -> None:
    names = {"base_score", "boost_from_average", "num_class", "num_feature", "num_target"}
    parameters = as_object(value, names, what="learner_model_param", source=source)
    for name, expected in (("num_class", "0"), ("num_target", "1")):
        _expect(parameters[name], expected, name, source)
    if parameters["boost_from_average"] not in ("0", "1"):
        raise ModelFileError("boost_from_average is damaged", source=source)
    _expect(parameters["num_feature"], str(n_features), "num_feature", source)
    text = parameters["base_score"]
    found = _BASE_SCORE.fullmatch(text) if isinstance(text, str) else None
    number = float(found.group(1)) if found else np.nan
    if not 0 < number < (1 if objective == "binary:logistic" else 1e30):
        raise ModelFileError("base_score is damaged", source=source)


def _check_forest(value: Any, n_features: int, source: str) -> None:
    model = as_object(
        value,
        {"cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees"},
        what="the forest",
        source=source,
    )
    trees = model["trees"]
    if not isinstance(trees, list) or not 1 <= len(trees) <= _MOST_TREES:
        raise ModelFileError("the list of trees is damaged", source=source)
    n_trees = len(trees)
    _expect(model["cats"], {"enc": [], "feature_segments": [], "sorted_idx": []}, "cats", source)
    parameters = {"num_parallel_tree": "1", "num_trees": str(n_trees)}
    _expect(model["gbtree_model_param"], parameters, "gbtree_model_param", source)
    _expect_integers(model["iteration_indptr"], range(n_trees + 1), "iteration_indptr", source)
    _expect_integers(model["tree_info"], [0] * n_trees, "tree_info", source)
    for position, tree in enumerate(trees):
        _check_tree(tree, position, n_features, source)


def _check_tree(value: Any, position: int, n_features: int, source: str) -> None:
    what = f"tree {position}"
    names = {*_INTEGERS, *_FLOATS, *_EMPTY, "default_left", "id", "tree_param"}
    tree = as_object(value, names, what=what, source=source)
    _expect_integers([tree["id"]], [position], f"{what}, id", source)
    left = tree["left_children"]
    if not isinstance(left, list) or not 1 <= len(left) <= _MOST_NODES:
        raise ModelFileError(f"{what} has no nodes, or too many", source=source)
    n_nodes = len(left)
    parameters = {
        "num_deleted": "0",
        "num_feature": str(n_features),
        "num_nodes": str(n_nodes),
        "size_leaf_vector": "1",
    }
    _expect(tree["tree_param"], parameters, f"{what}, tree_param", source)
    for name in _EMPTY:
        _expect(tree[name], [], f"{what}, {name}", source)
    limits = {
        "left_children": (-1, n_nodes - 1),
        "right_children": (-1, n_nodes - 1),
        "parents": (0, _NO_PARENT),
        "split_indices": (0, n_features - 1),
        "split_type": (0, 0),
        "default_left": (0, 1),
    }
    arrays: dict[str, FloatArray] = {}
    for name, (low, high) in limits.items():
        arrays[name] = as_numbers(
            tree[name], (n_nodes,), what=f"{what}, {name}", source=source, low=low, high=high
        )
        if any(type(number) is not int for number in tree[name]):
            raise ModelFileError(f"{what}, {name} holds no whole numbers", source=source)
    for name in _FLOATS:
        as_numbers(tree[name], (n_nodes,), what=f"{what}, {name}", source=source)
    if min(tree["sum_hessian"]) <= 0:
        raise ModelFileError(f"{what}, sum_hessian is not positive", source=source)
    _check_shape(arrays, n_nodes, what, source)


def _check_shape(arrays: dict[str, FloatArray], n_nodes: int, what: str, source: str) -> None:
    """One root, every other node the child of one earlier node: hence a tree, without cycles."""
    left, right = arrays["left_children"], arrays["right_children"]
    inner = np.flatnonzero(left != -1)
    children = np.concatenate([left[inner], right[inner]]).astype(np.int64)
    parent = np.concatenate([inner, inner])
    wrong = (
        not np.array_equal(left == -1, right == -1)
        or not np.array_equal(np.sort(children), np.arange(1, n_nodes))
        or bool((children <= parent).any())
        or arrays["parents"][0] != _NO_PARENT
        or not np.array_equal(arrays["parents"][children], parent)
    )
    if wrong:
        raise ModelFileError(f"{what}: its nodes do not form one tree", source=source)
    depth = np.zeros(n_nodes, dtype=np.int64)
    for node in range(1, n_nodes):
        depth[node] = depth[int(arrays["parents"][node])] + 1
    if depth.max() > _MOST_DEPTH:
        raise ModelFileError(f"{what} is deeper than {_MOST_DEPTH}", source=source)


def _expect(value: Any, expected: Any, what: str, source: str) -> None:
    if type(value) is not type(expected) or value != expected:
        raise ModelFileError(
            f"{what} is damaged or not of a model this package saves", source=source
        )


def _expect_integers(value: Any, expected: Any, what: str, source: str) -> None:
    wanted = list(expected)
    if (
        not isinstance(value, list)
        or value != wanted
        or any(type(number) is not int for number in value)
    ):
        raise ModelFileError(f"{what} is damaged", source=source)
