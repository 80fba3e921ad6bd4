"""Sphinx configuration: MyST-NB pages, executed in the build; warnings are errors."""

from __future__ import annotations

import os

import times_stats

# Notebook kernels share two cores with the build.
os.environ.setdefault("OMP_NUM_THREADS", "1")

project = "times_stats"
author = "The times_stats developers"
copyright = f"2026, {author}"
version = release = times_stats.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints", "jupyter_execute"]
language = "en"

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_show_tb = True
nb_merge_streams = True

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
numpydoc_class_members_toctree = False

html_theme = "furo"
html_title = f"times_stats {release}"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]
templates_path = ["_templates"]
