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
from times_stats.errors import NotBuiltError

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
    "audit.find_leakage",
    "staging.read_recorded_stage",
]
PLANNED = [
    "datasets.load_lung_vectra",
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
    "staging.child_pugh",
    "staging.albi",
    "staging.tnm",
    "staging.tnm_ajcc7",
    "staging.bclc",
    "staging.cnlc",
    "staging.okuda",
    "staging.clip",
    "staging.jis",
    "staging.milan",
    "staging.erasl_pre",
    "staging.erasl_post",
    "audit.check_run",
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
    assert not getattr(resolve(name), "__doc__", "").startswith("Not built yet")


@pytest.mark.parametrize("name", PLANNED)
def test_planned_name_says_it_is_not_built(name):
    planned = resolve(name)
    with pytest.raises(NotBuiltError, match=rf"{name} is not built yet .*CHANGELOG"):
        planned()


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


def annotated_functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}", node


def test_options_are_keyword_only():
    """No public function takes a boolean or a default by position after its data."""
    faults = []
    for where, node in annotated_functions():
        if node.name.startswith("_"):
            continue
        positional = node.args.posonlyargs + node.args.args
        for argument in positional:
            annotation = ast.unparse(argument.annotation) if argument.annotation else ""
            if re.fullmatch(r"bool( \| None)?", annotation):
                faults.append(where)
    assert not faults


def test_every_public_object_stands_in_the_reference():
    page = (PACKAGE.parent / "docs" / "reference" / "index.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^ +times_stats\.(\S+)$", page, re.MULTILINE))
    aliases = {"tables.read_study", "tables.Study", "score.TimesScore"}
    assert {name for name, _ in public_objects()} - aliases == listed
