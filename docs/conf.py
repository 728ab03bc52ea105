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
    "sphinx_gallery.gen_gallery",
    "extensions.mathml",
    "extensions.api_pages",
    "extensions.columns_page",
    "extensions.experiment_pages",
    "extensions.explorer_pages",
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

exclude_patterns = ["_build", "gallery"]
# a name in single backticks is an argument or a column
default_role = "code"

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist", "fieldlist", "attrs_inline"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

# scripts stand in `gallery`; their pages are made in `figures`
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "figures",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": (),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "show_api_usage": False,
    "min_reported_time": 60,
    "remove_config_comments": True,
}

html_theme = "furo"
html_title = f"gradlab {release}"
html_static_path = ["_static"]
# files that `extensions.explorer_pages` makes, which the site holds as they are
html_extra_path = ["_build/explorer"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False

# figures of the pages on theory and of the myths are drawn when the site is built
extensions.append("matplotlib.sphinxext.plot_directive")
plot_formats = [("png", 160)]
plot_html_show_formats = plot_html_show_source_link = False
plot_working_directory = str(HERE)
