"""Makes `fakes` importable from the tests here, whatever pytest's import mode."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest


@pytest.fixture
def own_activation():
    """Registers activations for one test: ``own_activation(name, phi, dphi)``."""
    from gradlab import config
    from gradlab.core import activations

    names = []

    def register(name, phi, dphi):
        names.append(name)
        activations.register_activation(name, phi, dphi)

    yield register
    for name in set(names):
        config.registered["activation"].remove(name)
        del activations.TABLE[name], activations._fingerprints[name]
