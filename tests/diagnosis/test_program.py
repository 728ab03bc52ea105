"""What a program knows of a loss before it runs, and what it reads where not every place is reached."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import gradlab as gl
from gradlab.diagnosis import reading
from gradlab.diagnosis.program import Program

pytestmark = pytest.mark.usefixtures("standard_promotion")
ONES = jnp.ones((4, 4))
X = jax.random.normal(jax.random.key(0), (3, 4))


def sites(loss, params, *args, kind=None):
    found = Program.of(loss, params, args or (X,)).sites
    return [site for site in found if kind is None or site.kind == kind]


def described(loss, params, *args):
    program = Program.of(loss, params, args or (X,))
    return {
        "states": dict(zip(program.paths, program.states, strict=True)),
        "order": [program.paths[leaf] for leaf in program.first_use],
        "depths": dict(zip(program.paths, program.depths, strict=True)),
    }


def test_states_tell_why_a_leaf_has_no_gradient():
    params = {"used": ONES, "frozen": ONES, "floored": ONES, "aside": ONES, "unread": ONES, "n": jnp.arange(2)}

    def loss(params, x):
        _ = x @ params["aside"]
        x = jnp.tanh(x @ params["used"] + lax.stop_gradient(x @ params["frozen"]) + jnp.round(x @ params["floored"]))
        return jnp.mean(x[params["n"]])

    assert described(loss, params)["states"] == {
        "used": "used",
        "frozen": "frozen",
        "floored": "cut",
        "aside": "disconnected",
        "unread": "disconnected",
        "n": "not a float",
    }


def test_states_go_through_loops_and_branches():
    params = {"in": ONES, "out": ONES, "chosen": ONES, "watched": ONES, "unread": ONES}

    def loss(params, x):
        def step(carried, _):
            _, b, c = carried  # c reaches the loss after two steps
            return (b, c, jnp.tanh(c @ params["in"])), lax.stop_gradient(x @ params["watched"])

        (x, _, _), seen = lax.scan(step, (x, x, x), None, length=3)
        x = lax.cond(jnp.sum(params["chosen"]) > 0, lambda x: x @ params["out"], lambda x: x, x)
        return jnp.mean(x) + jnp.mean(seen)

    states = described(loss, params)["states"]
    assert states == {"in": "used", "out": "used", "chosen": "cut", "watched": "frozen", "unread": "disconnected"}


def test_a_leaf_that_only_decides_how_often_is_cut_off():
    def loss(params, x):
        more = lambda state: state[1] < jnp.sum(params["limit"])
        again = lambda state: (jnp.tanh(state[0] @ params["w"]), state[1] + 1)
        return jnp.mean(x @ params["v"]) + jnp.mean(lax.stop_gradient(lax.while_loop(more, again, (x, 0.0))[0]))

    states = described(loss, {"limit": ONES, "w": ONES, "v": ONES})["states"]
    assert states == {"limit": "cut", "w": "frozen", "v": "used"}


def test_leaves_stand_in_the_order_of_the_signal():
    params = {name: {"w": ONES, "b": jnp.ones(4)} for name in ("z", "a", "m")}

    def loss(params, x):
        for name in ("m", "z", "a"):
            x = jnp.tanh(x @ params[name]["w"] + params[name]["b"])
        return jnp.mean(x) + jnp.sum(params["a"]["w"] ** 2)

    assert described(loss, params)["order"] == ["m/w", "m/b", "z/w", "z/b", "a/w", "a/b"]


def test_scans_take_the_first_axes_of_leaves_apart():
    params = {"stack": jnp.ones((2, 3, 4, 4)), "cell": ONES, "turned": jnp.ones((4, 5, 4))}

    def loss(params, x):
        inner = lambda x, w: (jnp.tanh(x @ w @ params["cell"]), None)
        x, _ = lax.scan(lambda x, w: (lax.scan(inner, x, w)[0], None), x, params["stack"])
        x, _ = lax.scan(lambda x, w: (x @ w, None), x, jnp.swapaxes(params["turned"], 0, 1))
        return jnp.mean(x)

    found = described(loss, params)
    assert found["depths"] == {"stack": 2, "cell": 0, "turned": 0}
    by_name = {site.name: site for site in sites(loss, params, kind="product")}
    assert [scan[:2] for scan in by_name["stack"].scans] == [("layers", 2), ("layers", 3)]
    assert [scan[:2] for scan in by_name["cell"].scans] == [("steps", 2), ("steps", 3)]
    assert [scan[:2] for scan in by_name["turned"].scans] == [("layers", 5)]


def test_a_layer_picked_from_a_stack_by_number_has_its_number():
    def loss(params, x):
        for i in range(2):
            x = x @ params["stack"][i]
        for w in params["list"]:
            x = x @ w
        return jnp.mean(x)

    names = [site.name for site in sites(loss, {"stack": jnp.ones((2, 4, 4)), "list": jnp.ones((2, 4, 4))})]
    assert names == ["stack[0]", "stack[1]", "list[0]", "list[1]"]


def test_a_stack_of_arrays_has_the_name_of_all():
    def loss(params, x):
        stack = jnp.stack([layer["w"] for layer in params["blocks"]])
        x, _ = lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, stack)
        x, _ = lax.scan(lambda x, w: (x @ w, None), x, jnp.stack([params["a"], params["b"]]))
        return jnp.mean(x)

    found = Program.of(loss, {"blocks": [{"w": ONES}, {"w": ONES}], "a": ONES, "b": ONES}, (X,))
    products = [site for site in found.sites if site.kind == "product"]
    assert [(site.name, site.parameter) for site in products] == [("blocks", ""), ("a…b", "")]
    assert [site.scans[0][:2] for site in products] == [("layers", 2), ("layers", 2)]
    assert found.depths == (0, 0, 0, 0)


def test_a_scan_of_no_steps_has_no_places():
    loss = lambda params, x: jnp.mean(lax.scan(lambda x, w: (x @ w, None), x, params["w"])[0])
    params = {"w": jnp.ones((0, 4, 4))}
    program = Program.of(loss, params, (X,))
    found = program.run(params, (X,))
    assert all(vector.shape[0] == 0 for vector in found.values.values())
    np.testing.assert_allclose(found.loss, jnp.mean(X), rtol=1e-6)


def test_axes_of_units_come_from_the_operation():
    params = {"w": jnp.ones((4, 5)), "heads": jnp.ones((4, 2, 3)), "experts": jnp.ones((3, 4, 7))}

    def loss(params, x):
        a = jnp.tanh(jax.vmap(lambda x: params["w"].T @ x)(x))
        b = jnp.einsum("nd,dhk->nhk", x, params["heads"])
        b = jnp.sin(jnp.transpose(jnp.transpose(b, (2, 0, 1)), (2, 0, 1)))  # to k, n, h, then to h, k, n
        c = jnp.einsum("nd,ndk->nk", x, params["experts"])  # an expert for each example
        return jnp.mean(a) + jnp.mean(b) + jnp.mean(c)

    found = {site.name: (site.shape, site.features) for site in sites(loss, params)}
    assert found["w"] == ((5, 3), (0,))
    assert found["w/tanh"] == ((3, 5), (1,))
    assert found["heads"] == ((3, 2, 3), (1, 2))
    assert found["heads/sin"] == ((2, 3, 3), (0, 1))
    assert found["experts"] == ((3, 7), (0, 1))


def test_a_branch_that_is_not_taken_and_one_that_is():
    params = {"a": ONES, "b": ONES}
    loss = lambda params, x: jnp.mean(lax.cond(jnp.sum(x) > 1e9, lambda: x @ params["a"], lambda: x @ params["b"]))
    program = Program.of(loss, params, (X,))
    found = program.run(params, (X,))
    entries = reading.FIELDS.index("entries")
    counts = {site.name: int(np.asarray(found.values[site.number])[entries]) for site in program.sites}
    assert counts == {"a": 0, "b": 12}


def test_values_in_a_while_loop_are_of_all_its_steps():
    params = {"w": ONES}

    def loss(params, x):
        more = lambda state: state[1] < 3
        again = lambda state: (jnp.tanh(state[0] @ params["w"]), state[1] + 1)
        return jnp.mean(x @ params["w"]) + jnp.mean(lax.stop_gradient(lax.while_loop(more, again, (x, 0))[0]))

    program = Program.of(loss, params, (X,))
    found = program.run(params, (X,))
    inside = next(site for site in program.sites if site.name == "w#1")
    assert int(np.asarray(found.values[inside.number])[reading.FIELDS.index("entries")]) == 3 * 12
    assert inside.number not in found.deltas


def test_a_function_with_its_own_derivative_is_named_and_counted():
    @jax.custom_vjp
    def twice(x, w):
        return x @ w @ w

    twice.defvjp(lambda x, w: (twice(x, w), (x, w)), lambda kept, g: jax.vjp(lambda x, w: x @ w @ w, *kept)[1](g))
    program = Program.of(lambda params, x: jnp.mean(twice(x, params["w"])), {"w": ONES}, (X,))
    (unseen,) = program.unseen
    assert (unseen.why, unseen.name, unseen.products) == ("custom_vjp", "twice", 2)
    assert unseen.source.startswith("test_program.py:")
    assert [(site.name, site.kind) for site in program.sites] == [("w", "custom")]


def test_integers_none_and_numbers_among_the_parameters():
    params = {"w": ONES, "n": jnp.arange(2), "none": None, "scale": 2.0}
    loss = lambda params, x: jnp.mean((x @ params["w"])[params["n"]]) * params["scale"]
    program = Program.of(loss, params, (X,))
    assert program.paths == ("n", "scale", "w")
    found = program.run(params, (X,))
    want = jax.grad(loss, allow_int=True)(params, X)
    np.testing.assert_allclose(found.grads["w"], want["w"], rtol=1e-6)
    assert found.grads["none"] is None


def test_arrays_that_the_user_closed_over():
    """A frozen matrix is a product without a parameter; data that were closed over are data."""
    frozen, batch = 2 * ONES, X
    loss = lambda params: jnp.mean(jnp.tanh(batch @ params["w"]) @ frozen)
    program = Program.of(loss, {"w": ONES}, ())
    kinds = [(site.kind, site.parameter) for site in program.sites]
    assert kinds == [("product", "w"), ("activation", ""), ("product", "")]
    assert program.first_use == (0,)


def test_tap_names_a_value_and_changes_nothing():
    def loss(params, x):
        return jnp.mean(gl.tap("middle", x @ params["w"] + 1) ** 2)

    program = Program.of(loss, {"w": ONES}, (X,))
    assert [(site.name, site.kind) for site in program.sites] == [("w", "product"), ("middle", "tap")]
    found = program.run({"w": ONES}, (X,))
    middle = X @ ONES + 1
    rms = lambda vector: 10 ** reading.columns(np.asarray(vector))["log10_rms"]
    np.testing.assert_allclose(rms(found.values[1]), np.sqrt(np.mean(middle**2)), rtol=1e-5)
    np.testing.assert_allclose(rms(found.deltas[1]), np.sqrt(np.mean((2 * middle / middle.size) ** 2)), rtol=1e-5)


def test_deltas_are_what_finite_differences_of_the_loss_say(x64):
    """In float64, at a place before a loop: the delta's mean square from the derivative in each direction."""
    params = {"first": jax.random.normal(jax.random.key(1), (4, 4)), "stack": jnp.eye(4)[None] * jnp.ones((3, 1, 1))}
    x = jax.random.normal(jax.random.key(2), (2, 4))

    def loss(params, x, added=0.0):
        h = x @ params["first"] + added
        return jnp.sum(lax.scan(lambda h, w: (jnp.tanh(h @ w), None), h, params["stack"])[0] ** 2)

    program = Program.of(loss, params, (x,))
    vector = program.run(params, (x,)).deltas[program.sites[0].number]
    step = 1e-5
    apart = lambda unit: (loss(params, x, step * unit) - loss(params, x, -step * unit)) / (2 * step)
    slopes = [apart(unit.reshape(2, 4)) for unit in np.eye(8)]
    rms = 10 ** reading.columns(np.asarray(vector))["log10_rms"]
    # the differences are right to the square of the step
    np.testing.assert_allclose(rms, np.sqrt(np.mean(np.square(slopes))), rtol=1e-8)


def test_many_arrays_that_are_alike_are_read_as_each_by_itself(monkeypatch):
    from gradlab.diagnosis import together

    params = [ONES * (1 + i) for i in range(5)]

    def loss(params, x):
        for w in params:
            x = jnp.tanh(x @ w)
        return jnp.mean(x)

    at_the_end = Program.of(loss, params, (X,)).run(params, (X,))
    monkeypatch.setattr(together, "LIMIT", 0)
    where_they_stand = Program.of(loss, params, (X,)).run(params, (X,))
    for role in ("values", "deltas"):
        one, other = getattr(at_the_end, role), getattr(where_they_stand, role)
        assert one.keys() == other.keys() and len(one) == 10
        for number in one:
            np.testing.assert_allclose(one[number], other[number], rtol=1e-5, err_msg=str(number))
