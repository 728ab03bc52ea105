"""Seeds spread over several devices: the rows of one device, and what they were computed on."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

SCRIPT = """
import sys
import gradlab as gl

small = {"init": "he_normal", "dtype": "float64", "width": 8}
sweep = gl.Sweep(depth=(2, 5), activation=("tanh", "relu"), seeds=11, **small)
resnet = gl.Sweep(architecture="resnet", depth=3, activation="relu", seeds=3, **small)
for i, request in enumerate((sweep, resnet)):
    gl.run(request, out=f"{sys.argv[1]}/{i}", progress=False, cache=False)
"""


def rows(out, devices):
    environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    subprocess.run([sys.executable, "-c", SCRIPT, str(out)], check=True, env=environment)
    provenance = json.loads((out / "0" / "provenance.json").read_text())["backend"]
    return [pd.read_parquet(out / str(i) / "frame.parquet") for i in range(2)], provenance


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 8])
def test_rows_are_those_of_one_device(tmp_path, devices):
    """11 and 3 seeds: neither fills the devices evenly. To rounding: sums are taken in another order."""
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    alone, one = rows(tmp_path / "one", 1)
    spread, many = rows(tmp_path / "many", devices)
    assert "×" not in one and many.endswith(f"× {devices}")
    for a, b in zip(alone, spread, strict=True):
        assert list(a.columns) == list(b.columns) and len(a) == len(b)
        for name in a.columns:
            if pd.api.types.is_numeric_dtype(a[name]):
                np.testing.assert_allclose(a[name], b[name], rtol=1e-9, atol=1e-9, err_msg=name)
            else:
                assert a[name].astype(str).tolist() == b[name].astype(str).tolist()
