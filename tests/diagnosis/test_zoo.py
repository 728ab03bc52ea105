"""What is read of a model is what explicit taps read, value and cotangent at every place; the gradients are its own."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.diagnosis import reading
from gradlab.diagnosis.program import Program
from tests.diagnosis.zoo import ZOO

pytestmark = pytest.mark.usefixtures("standard_promotion")
#: Losses that stand for all in the quick suite.
QUICK = ("dense", "custom_derivative", "branches", "tensor_parallel")


def rms(x):
    return np.sqrt(np.mean(np.asarray(x, np.float64) ** 2))


def explicit(case):
    """Values and cotangents at the taps of a case: derivatives by perturbations that are zero."""
    shapes = {}

    def note(name, x):
        shapes[name] = (x.shape, x.dtype)
        return x

    jax.eval_shape(lambda params: case.tapped(params, *case.args, note), case.params)

    def perturbed(added):
        values = {}

        def tap(name, x):
            values[name] = x + added[name]
            return values[name]

        return case.tapped(case.params, *case.args, tap), values

    nothing = {name: jnp.zeros(*shape) for name, shape in shapes.items()}
    deltas, values = jax.jit(jax.grad(perturbed, has_aux=True))(nothing)
    return values, deltas


def places(program, vectors):
    """Root mean squares by the name of the place."""
    found = {}
    for number, vector in vectors.items():
        of = 10 ** reading.columns(np.asarray(vector))["log10_rms"]
        name = program.sites[number].name
        found |= {name + "".join(f"[{i}]" for i in at): of[at] for at in np.ndindex(of.shape)}
    return found


def check(name):
    case = ZOO[name]()
    program = Program.of(case.loss, case.params, case.args)
    found = program.run(case.params, case.args)
    loss, grads = jax.jit(jax.value_and_grad(case.loss))(case.params, *case.args)
    half = any(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(case.params))
    # sums of a few hundred products, in an order of the compiler's own: some ten units in the last place
    close = 2e-2 if half else 2e-5
    np.testing.assert_allclose(float(found.loss), float(loss), rtol=close)
    for mine, own in zip(jax.tree.leaves(found.grads), jax.tree.leaves(grads), strict=True):
        assert rms(mine - own) <= close * rms(own)
    values, deltas = explicit(case)
    read_values, read_deltas = places(program, found.values), places(program, found.deltas)
    assert set(values) <= set(read_values), sorted(set(values) - set(read_values))
    for tap in values:
        np.testing.assert_allclose(read_values[tap], rms(values[tap]), rtol=close, err_msg=tap)
        np.testing.assert_allclose(read_deltas.get(tap, 0.0), rms(deltas[tap]), rtol=5 * close, err_msg=tap)
    assert sum(unseen.products for unseen in program.unseen) == case.unseen
    return program


@pytest.mark.parametrize("name", QUICK)
def test_places_read_what_explicit_taps_read(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ZOO) - set(QUICK)))
def test_places_of_all_others_read_what_explicit_taps_read(name):
    check(name)


SETTINGS = {
    "JAX_REMAT3=1 JAX_CUSTOM_VJP3=1": "scanned_transformer_products_saved custom_derivative named_values loops_in_vmap",
    "XLA_FLAGS=--xla_force_host_platform_device_count=4": "data_parallel tensor_parallel",
}


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_places_under_what_jax_makes_otherwise(setting):
    """Its newer remat and custom_vjp, which are objects and not primitives; several devices."""
    names = SETTINGS[setting].split()
    code = f"from tests.diagnosis.test_zoo import check; [print(check(name).sites[0].name) for name in {names}]"
    env = os.environ | dict(part.split("=", 1) for part in setting.split(" "))
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stderr[-2000:]
    assert len(run.stdout.split()) == len(names)
