"""How the site is built: `nox -s docs`. Nothing is fetched while it is built or read."""

import os
import sys
from pathlib import Path

import gradlab

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "gradlab"
author = "The gradlab developers"
copyright = author
version = release = gradlab.__version__
language = "en_GB"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_design",
    "numpydoc",
    "extensions.mathml",
    "extensions.api_pages",
    "extensions.experiment_pages",
    "extensions.llms",
]
# links into the documentation of JAX and others need the network, so they are made only where they are asked for
if os.environ.get("GRADLAB_DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        name: (f"https://{place}/", None)
        for name, place in {
            "python": "docs.python.org/3",
            "numpy": "numpy.org/doc/stable",
            "pandas": "pandas.pydata.org/docs",
            "matplotlib": "matplotlib.org/stable",
            "jax": "docs.jax.dev/en/latest",
        }.items()
    }

exclude_patterns = ["_build"]
# a name in single backticks is an argument or a column
default_role = "code"

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist", "fieldlist", "attrs_inline"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"gradlab {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
