"""Sphinx: `sphinx-build -W -b html docs OUT`, warnings as errors."""

import importlib.metadata
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import _api
import _llms

# Figures belong into the pages, whatever backend the shell asks for.
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"

project = "DynX"
author = "The DynX developers"
copyright = author
release = version = importlib.metadata.version("dynx")

extensions = ["myst_nb", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "figures"]
html_theme = "furo"
html_title = f"DynX {version}"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
# Cells are run again where they, the packages or the examples have changed; `docs/_build/cache` keeps what they gave.
nb_execution_mode = "cache"
nb_execution_cache_path = str(importlib.import_module("_gallery").cells())
extensions += ["_gallery", "_notebooks"]  # They make a page of each model and of each notebook.
nb_execution_raise_on_error = True
nb_execution_timeout = 170
# Patterns of pages that are laid out and not run, as `notebooks/* tour.md`.
nb_execution_excludepatterns = os.environ.get("DYNX_RUN_ELSEWHERE", "").split()
nb_merge_streams = True

html_static_path = ["_static"]
html_css_files = ["wide.css"]
# Mathematics is drawn by MathJax 3.2.2 (Apache licence, beside it) from these pages, so that they need no network.
mathjax_path = "mathjax/tex-chtml.js"
mathjax_options = {"loading_method": "defer"}
toc_object_entries_show_parents = "hide"


def setup(app):
    """Docstrings are Markdown, so they become part of the page's own Markdown."""
    app.connect("source-read", _api.insert)
    app.connect("build-finished", _llms.write)
