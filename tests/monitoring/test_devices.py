"""Arrays spread over four devices: explicit sharding, which `jax.make_mesh` gives, and parameters in parts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gradlab as gl


def told(ways):
    env = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_NUMPY_DTYPE_PROMOTION": "standard",
    }
    root = Path(gl.__file__).resolve().parents[1]
    script = Path(__file__).with_name("spread_over_devices.py")
    done = subprocess.run(
        [sys.executable, str(script), *ways], env=env, cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


#: Each in one process, most of whose time is the start.
WAYS = [("explicit", "fsdp"), ("explicit fsdp", "columns")]


@pytest.mark.slow
@pytest.mark.parametrize("ways", WAYS, ids=", ".join)
def test_a_watched_step_is_the_bare_one_and_exchanges_nothing_where_none_is_recorded(ways):
    told_of = told(ways)
    assert tuple(told_of) == ways
    for way, found in told_of.items():
        assert found["same"] and found["steps"] == [0, 2, 4] and found["observed"] == 6, way
        # sums of a few parts in another order: log10 of float32 numbers, and ratios of them
        assert found["apart"] < 1e-5, way
        assert found["step"] == 0, way
        # sums and maxima of all arrays, and where squares leave the range a second look
        assert found["conditions"] <= (0 if way == "explicit" else 3), way
