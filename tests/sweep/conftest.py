"""Makes `fakes` importable from the tests here, whatever pytest's import mode."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest


@pytest.fixture
def own_activation(forget):
    """Registers activations for one test: ``own_activation(name, phi, dphi)``."""
    from gradlab.core import activations

    return activations.register_activation
