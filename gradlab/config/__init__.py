"""What can be asked for: names and frozen configurations, free of JAX.

The command line imports this room and no other, so that ``--help`` is instant.
"""

from gradlab.config.fields import integer, positive_integer
from gradlab.config.names import (
    ACTIVATIONS,
    ALIASES,
    ARCHITECTURES,
    DATASETS,
    DTYPES,
    IMPORT_HINT,
    INITIALIZERS,
    LOSSES,
    content_hash,
    registered,
    resolve,
)
from gradlab.config.networks import MLPConfig
from gradlab.config.sweep import GRID, Sweep

__all__ = [
    "ACTIVATIONS",
    "ALIASES",
    "ARCHITECTURES",
    "DATASETS",
    "DTYPES",
    "GRID",
    "IMPORT_HINT",
    "INITIALIZERS",
    "LOSSES",
    "MLPConfig",
    "Sweep",
    "content_hash",
    "integer",
    "positive_integer",
    "registered",
    "resolve",
]
