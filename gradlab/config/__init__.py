"""What can be asked for: names and frozen configurations, free of JAX.

The command line imports this room and no other, so that ``--help`` is instant.
"""

from gradlab.config.architectures import CONFIGS, GRID, OWN
from gradlab.config.bounds import MOST_POSITIONS, check_product
from gradlab.config.configuration import Configuration, configuration, option, setting
from gradlab.config.fields import ALL, batch_size, integer, positive_integer, seed_numbers, shown
from gradlab.config.names import (
    ACTIVATIONS,
    ALIASES,
    ARCHITECTURES,
    DATASETS,
    DTYPES,
    INITIALIZERS,
    LOSSES,
    MEASURED_DTYPES,
    OPTIMIZERS,
    PARAMETERS,
    REGISTRIES,
    SCHEDULES,
    content_hash,
    one_after_another,
    resolve,
)
from gradlab.config.networks import (
    ConvNetConfig,
    MLPConfig,
    NetworkConfig,
    ResNetConfig,
    TransformerConfig,
)
from gradlab.config.recurrent import RNNConfig
from gradlab.config.registry import Registry
from gradlab.config.sweep import Sweep
from gradlab.config.training import (
    ON_FAILURE,
    OPTIONS,
    TRAINING_GRID,
    UNCHANGED,
    TrainingConfig,
    TrainingSweep,
    record_steps,
)

#: The grids, by the work that is done on them.
SWEEPS: dict[str, type[Sweep]] = {kind.TASK: kind for kind in (Sweep, TrainingSweep)}

__all__ = [
    "ALL",
    "ACTIVATIONS",
    "CONFIGS",
    "ALIASES",
    "ARCHITECTURES",
    "Configuration",
    "ConvNetConfig",
    "DATASETS",
    "DTYPES",
    "MEASURED_DTYPES",
    "GRID",
    "INITIALIZERS",
    "LOSSES",
    "MLPConfig",
    "MOST_POSITIONS",
    "NetworkConfig",
    "ON_FAILURE",
    "OPTIMIZERS",
    "OPTIONS",
    "OWN",
    "PARAMETERS",
    "REGISTRIES",
    "RNNConfig",
    "Registry",
    "ResNetConfig",
    "SCHEDULES",
    "SWEEPS",
    "Sweep",
    "TRAINING_GRID",
    "TrainingConfig",
    "TrainingSweep",
    "TransformerConfig",
    "UNCHANGED",
    "batch_size",
    "check_product",
    "configuration",
    "content_hash",
    "integer",
    "one_after_another",
    "option",
    "positive_integer",
    "record_steps",
    "resolve",
    "seed_numbers",
    "setting",
    "shown",
]
