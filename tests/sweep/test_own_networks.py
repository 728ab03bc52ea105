"""Networks of a user's own layers in a sweep: computed, kept, extended, resumed, reported."""

import numpy as np
import pytest

import gradlab as gl
from gradlab.sweep.grid import as_values, from_values

X, Y = np.random.default_rng(0).normal(size=(8, 4)).astype("float32"), np.arange(8) % 3
HOW = {"seeds": 2, "batch": 8, "columns": ["log10_delta_rms"]}


def network(width=5, depth=2, name="mine"):
    hidden = [layer for _ in range(depth) for layer in (gl.dense(width), gl.activation("tanh"))]
    return gl.CustomNetwork(gl.serial(*hidden, gl.dense(3)), (4,), name=name)


def test_a_grid_holds_what_tells_them_apart():
    sweep = gl.Sweep(networks=[network(), network(6), network()], **HOW)
    assert len(sweep.networks) == 2
    assert [config.depth for config in sweep.configs()] == [2, 2]
    assert from_values(as_values(sweep)) == sweep
    assert "activation" not in as_values(sweep) and "networks" not in as_values(gl.Sweep(depth=2))
    other = gl.CustomNetwork(gl.serial(gl.dense(5, "he_normal"), gl.activation("tanh"), gl.dense(3)), (4,), name="mine")
    with pytest.raises(gl.GradlabError, match="names that tell networks apart"):
        gl.Sweep(networks=[network(depth=1), other])
    with pytest.raises(gl.GradlabError, match="networks= or depth="):
        gl.Sweep(networks=network(), depth=3)
    with pytest.raises(gl.GradlabError, match="networks of your own layers"):
        gl.Sweep(networks=[gl.MLP()])
    with pytest.raises(gl.GradlabError, match="to be made in this process"):
        list(gl.Sweep(networks="mine 0123").configs())


def test_rows_are_kept_and_extended(tmp_path):
    run = lambda networks: gl.run(gl.Sweep(networks=networks, **HOW), (X, Y), tmp_path / "run", progress=False)
    first = run([network()])
    assert first["architecture"].unique().tolist() == ["mine"]
    alone = gl.frame(gl.measure(network(), X, Y, seeds=2, columns=HOW["columns"]))
    assert np.array_equal(first["log10_delta_rms"], alone["log10_delta_rms"])
    both = run([network(), network(depth=3)])
    assert both["network"].nunique() == 2
    assert np.array_equal(both["log10_delta_rms"][: len(first)], first["log10_delta_rms"])
    assert gl.load(tmp_path / "run").frame["network"].nunique() == 2


def test_the_command_line_does_not_take_a_request_of_them_for_another(tmp_path, capsys):
    from gradlab import cli
    from gradlab.sweep.grid import to_toml

    file = tmp_path / "sweep.toml"
    file.write_text(to_toml({"request": as_values(gl.Sweep(networks=network(), **HOW))}))
    assert cli.main(["sweep", "--config", str(file), "--dry-run"]) == 2
    assert "networks" in capsys.readouterr().err


@pytest.mark.slow
def test_reported(tmp_path):
    sweep = gl.Sweep(networks=[network(), network(depth=3)], seeds=2, batch=8)
    gl.run(sweep, (X, Y), tmp_path / "run", progress=False)
    gl.report(tmp_path / "run")
    assert "mine" in next((tmp_path / "run").glob("*.md")).read_text()
