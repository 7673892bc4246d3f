"""Sphinx configuration: `make docs`."""

import sys
from pathlib import Path

import decodery

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "decodery"
author = "the decodery authors"
release = version = decodery.__version__
html_title = f"decodery {release}"
html_theme = "furo"
html_show_copyright = False
html_show_sphinx = False

extensions = ["myst_parser", "sphinx.ext.autodoc", "decodery_reference"]
exclude_patterns = ["_build", "_ext", "recipes"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# In docstrings `x` is code.
default_role = "code"
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"
