"""How Sphinx builds the documentation; the reference is read from the docstrings of the package."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "trioakt"
author = "The trioakt contributors"
project_copyright = author
release = version = version_of("trioakt")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "code"
add_module_names = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
maximum_signature_line_length = 100
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "trioakt"
