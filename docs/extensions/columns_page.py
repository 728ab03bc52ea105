"""The page of the frame's columns, made from the schema in the code."""

from pathlib import Path

from extensions.api_pages import write
from gradlab._types import COORDINATES, MEASURED, SCHEMA_VERSION
from gradlab.config import GRID, OPTIONS

INTRODUCTION = """# Columns of the frame

One row is one network, seed, step and layer. This page is made from the schema in the code, version {version}.

Columns that begin with `log10_` hold powers of ten, and `-inf` for a true zero. NaN is a value that was not measured,
or that the layer does not have. L is the number of hidden layers, and dL/dz is the delta.


"""
#: What a network or a training was asked for; these columns are there where a run's networks have the option.
ASKED = "Options of networks and of training are columns too, where a network of the run has them:"


def cell(text):
    """Return a text for the cell of a table: a bar would end the cell."""
    return text.replace("|", r"\\|").replace("*", r"\\*")


def table(columns):
    """Return the table of names and meanings."""
    rows = "\n".join(f"| `{name}` | {cell(meaning)} |" for name, meaning in columns.items())
    return f"| column | meaning |\n|---|---|\n{rows}\n"


def write_page(app, config):
    """Write the page."""
    others = ", ".join(f"`{name}`" for name in sorted({*OPTIONS, *GRID} - {*COORDINATES, *MEASURED}))
    text = INTRODUCTION.format(version=SCHEMA_VERSION)
    text += f"## Coordinates\n\n{table(COORDINATES)}\n{ASKED} {others}.\n\n## Measured\n\n{table(MEASURED)}"
    write(Path(app.srcdir) / "guide" / "columns.md", text)


def setup(app):
    """Write the page before Sphinx looks which ones there are."""
    app.connect("config-inited", write_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
