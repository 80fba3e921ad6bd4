"""The names users rely on: they resolve, they are documented, and importing them stays light."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate

import times_stats as ts

PACKAGE = Path(ts.__file__).parent

HEAVY = {
    "arviz",
    "h5netcdf",
    "jinja2",
    "matplotlib",
    "numba",
    "nutpie",
    "pymc",
    "pytensor",
    "scipy",
    "shap",
    "sklearn",
    "statsmodels",
    "xgboost",
}

STAGES = [
    "child_pugh",
    "albi",
    "tnm",
    "tnm_ajcc7",
    "bclc",
    "cnlc",
    "okuda",
    "clip",
    "jis",
    "milan",
    "erasl_pre",
    "erasl_post",
]

# "Python names that must exist" of the design. A planned name becomes a built one by moving up.
BUILT = [
    "read_study",
    "run",
    "Study",
    "RunResult",
    "TimesScore",
    "datasets.load_hcc_ihc",
    "datasets.load_times_published",
    "boosting.MarkerModel",
    "boosting.crossfit",
    "score.pool_published",
    "score.pool_shrunken",
    "score.pool_random_effects",
    "survival.SurvivalSpec",
    "survival.fit_survival",
    "survival.predict_survival",
    "survival.predict_rmst",
    "attribution.marker_region_shapley",
    "attribution.integration_test",
    "evaluation.concordance_harrell",
    "evaluation.concordance_uno",
    "evaluation.time_dependent_auc",
    "evaluation.brier_score",
    "evaluation.integrated_brier",
    "evaluation.calibration_slope",
    "evaluation.calibration_in_the_large",
    "evaluation.ici",
    "evaluation.net_benefit",
    "evaluation.compare",
    "simulate.simulate_study",
    "audit.check_run",
    "audit.find_leakage",
    "staging.read_recorded_stage",
    *(f"staging.{system}{suffix}" for system in STAGES for suffix in ("", "_bounds")),
    "features.ripley_k",
    "features.besag_l",
    "features.pair_correlation",
    "features.cross_k",
    "features.cross_l",
    "features.nearest_neighbour_g",
    "features.cross_g",
    "regions.Window",
    "regions.tumour_boundary",
    "regions.signed_distance",
    "datasets.load_lung_vectra",
]

# A docstring names everything that goes in and what comes out; the rest of numpydoc is taste.
DOCSTRING_FAULTS = {
    "GL01",  # text starts on the wrong line
    "GL06",  # unknown section
    "GL07",  # sections in the wrong order
    "GL08",  # no docstring
    "SS01",  # no summary
    "PR01",  # a parameter is not documented
    "PR02",  # a documented parameter does not exist
    "RT01",  # no Returns section
    "YD01",  # no Yields section
}


def resolve(dotted: str) -> object:
    """Return the public object, looked up the way a user does."""
    found: object = ts
    for part in dotted.split("."):
        found = getattr(found, part)
    return found


def modules() -> list[str]:
    """Return the full name of every module of the package, from the files."""
    return sorted(
        info.name
        for info in pkgutil.walk_packages([str(PACKAGE)], "times_stats.")
        if not info.name.endswith("__main__")
    )


def public_names(module: types.ModuleType) -> list[str]:
    """Return what a package exports, or what a module without ``__all__`` defines."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
    ]


def public_objects() -> Iterator[tuple[str, type | types.FunctionType]]:
    """Yield each public function and class once, as (dotted name, object)."""
    for name in [name for name in ts.__all__ if not name.startswith("__")]:
        found = getattr(ts, name)
        if not isinstance(found, types.ModuleType):
            yield name, found
            continue
        for inner in public_names(found):
            value = getattr(found, inner)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{name}.{inner}", value


def test_importing_the_package_is_light():
    code = "import sys, json, times_stats; dir(times_stats); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert "times_stats" in loaded
    assert not loaded & HEAVY


def test_lazy_subpackages_stay_light_until_a_name_is_used():
    names = [n for n in ts.__all__ if isinstance(getattr(ts, n), types.ModuleType)]
    assert len(names) > 10
    code = (
        f"import sys, times_stats\nfor name in {names!r}:\n    dir(getattr(times_stats, name))\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"pymc", "pytensor", "nutpie", "xgboost", "shap", "numba", "matplotlib"}


@pytest.mark.parametrize("name", BUILT)
def test_designed_name_exists(name):
    assert callable(resolve(name))


# Sums that evaluation and rivals share; nothing a user calls.
INTERNAL = {"partial_likelihood"}


def test_every_public_module_of_the_package_is_exported():
    """What is public is reached from `times_stats` and held to the contracts of this file."""
    top = {name.split(".")[1] for name in modules()}
    exported = {n for n in ts.__all__ if isinstance(getattr(ts, n), types.ModuleType)}
    assert {name for name in top if not name.startswith("_")} - INTERNAL == exported


def test_every_name_of_a_nested_package_is_documented():
    """Packages inside packages export only what is public above them or documented all the same."""
    for name in modules():
        module = importlib.import_module(name)
        if name.count(".") < 2 or not hasattr(module, "__all__"):
            continue
        for inner in module.__all__:
            assert docstring_faults(getattr(module, inner)) == [], f"{name}.{inner}"


def test_every_exported_name_resolves_and_is_listed():
    packages = [ts] + [
        getattr(ts, name) for name in ts.__all__ if isinstance(getattr(ts, name), types.ModuleType)
    ]
    for package in packages:
        exported = getattr(package, "__all__", ())
        assert len(set(exported)) == len(exported), package.__name__
        for name in exported:
            assert getattr(package, name) is not None
        if package is not ts and "_EXPORTS" in vars(package):
            assert set(dir(package)) >= set(exported), package.__name__


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ts.nonsense  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ts.score.nonsense  # noqa: B018


def test_every_module_imports_and_none_shares_a_name_with_a_public_function():
    found = modules()
    assert len(found) > 40
    for name in found:
        importlib.import_module(name)
    last_parts = {name.rpartition(".")[2] for name in found}
    functions = {
        dotted.rpartition(".")[2] for dotted, value in public_objects() if inspect.isfunction(value)
    }
    assert len(functions) > 20
    assert not functions & last_parts


def test_public_names_still_resolve_after_every_module_is_imported():
    for name in modules():
        importlib.import_module(name)
    for name in BUILT:
        assert not isinstance(resolve(name), types.ModuleType), name


def docstring_faults(value: type | types.FunctionType) -> list[str]:
    """Return the numpydoc faults of an object that the contract counts.

    A value (dataclass) may document its fields as parameters or as attributes.
    """
    errors = validate(f"{value.__module__}.{value.__qualname__}")["errors"]
    faults = [f"{code} {text}" for code, text in errors if code in DOCSTRING_FAULTS]
    if inspect.isclass(value) and "__init__" not in vars(value):  # inherited with its docstring
        return [fault for fault in faults if not fault.startswith("PR01")]
    if not dataclasses.is_dataclass(value):
        return faults
    sections = get_doc_object(value)
    described = {
        name.strip(" *`")
        for section in ("Parameters", "Attributes")
        for entry in sections[section]
        for name in entry.name.split(",")
    }
    missing = {field.name for field in dataclasses.fields(value)} - described
    return [fault for fault in faults if not fault.startswith("PR01")] + sorted(missing)


def test_every_public_object_has_a_numpydoc_docstring():
    found = dict(public_objects())
    assert len(found) > 50
    faults = {name: docstring_faults(value) for name, value in found.items()}
    assert {name: said for name, said in faults.items() if said} == {}


# Entry points whose honest example would sample, read a file or fit for seconds.
WITHOUT_EXAMPLE = {
    "survival.fit_survival",
    "survival.predict_survival",
    "survival.predict_rmst",
    "attribution.integration_test",
}


@pytest.mark.parametrize("name", [n for n in BUILT if "." in n and n not in WITHOUT_EXAMPLE])
def test_designed_name_shows_an_example(name):
    assert get_doc_object(resolve(name))["Examples"], name


# Data that may be left out, and what names the thing itself; everything else is an option.
POSITIONAL_DEFAULTS = {
    "__main__.py main argv",
    "audit/leakage.py find_leakage test",  # the second table, or none
    "datasets/hepatocellular.py hcc_ihc_study_file analysis",  # which data
    "datasets/hepatocellular.py load_hcc_ihc analysis",
    "evaluation/resampled_metrics.py ResampledMetrics.of linear_predictor",  # arrays of a model
    "evaluation/resampled_metrics.py ResampledMetrics.of survival",
}


def public_functions(
    tree: ast.AST, *, inside: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield the public functions and methods of a module, and the constructors."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node, inside=f"{inside}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
            node.name == "__init__" or not node.name.startswith("_")
        ):
            yield inside + node.name, node


def positional_options(path: Path) -> Iterator[str]:
    """Yield what a caller could pass by position though it has a default or is a boolean."""
    where = path.relative_to(PACKAGE)
    for name, node in public_functions(ast.parse(path.read_text(encoding="utf-8"))):
        positional = node.args.posonlyargs + node.args.args
        n_required = len(positional) - len(node.args.defaults)
        for number, argument in enumerate(positional):
            annotation = ast.unparse(argument.annotation) if argument.annotation else ""
            if number >= n_required or re.fullmatch(r"bool( \| None)?", annotation):
                yield f"{where} {name} {argument.arg}"


def test_options_are_keyword_only():
    """No public function takes a boolean, or a default that is not data, by position."""
    paths = [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name in {"__init__.py", "__main__.py"} or not path.name.startswith("_")
    ]
    assert len(paths) > 40
    found = {option for path in paths for option in positional_options(path)}
    assert sorted(found - POSITIONAL_DEFAULTS) == []
    assert sorted(POSITIONAL_DEFAULTS - found) == []  # no exception outlives its reason


def test_every_public_object_stands_in_the_reference():
    page = (PACKAGE.parent / "docs" / "reference" / "index.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^ +times_stats\.(\S+)$", page, re.MULTILINE))
    aliases = {"studies.read_study", "tables.Study", "score.TimesScore"}
    aliases |= {"pipeline.run", "pipeline.RunResult"}
    assert {name for name, _ in public_objects()} - aliases == listed
