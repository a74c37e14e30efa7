"""Sphinx: `sphinx-build -W -b html docs OUT`, warnings as errors."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import _api

project = "DynX"
author = "The DynX developers"
copyright = author
release = version = importlib.metadata.version("dynx")

extensions = ["myst_nb"]
exclude_patterns = ["_build", "figures"]
html_theme = "furo"
html_title = f"DynX {version}"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 170
nb_merge_streams = True

# A wide table keeps its short first column on one line.
html_static_path: list[str] = []
toc_object_entries_show_parents = "hide"


def setup(app):
    """Docstrings are Markdown, so they become part of the page's own Markdown."""
    app.connect("source-read", _api.insert)
