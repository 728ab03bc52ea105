"""Models in Flax linen: modules applied with parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from experiments.corpus.case import Model, broken, healthy, measured, norm, ratio, zeros
from experiments.corpus.nets import blobs, cross_entropy, images, key, mse, normal

LINEN = "linen"
he, lecun, xavier, gaussian = (
    nn.initializers.he_normal(),
    nn.initializers.lecun_normal(),
    nn.initializers.xavier_normal(),
    nn.initializers.normal,
)


class MLP(nn.Module):
    """Dense layers ``Dense_0 …`` and a readout."""

    depth: int
    phi: Callable[..., Any] = nn.relu
    start: Callable[..., Any] = he
    width: int = 64
    outputs: int = 10

    @nn.compact
    def __call__(self, x):
        """Logits."""
        for _ in range(self.depth):
            x = self.phi(nn.Dense(self.width, kernel_init=self.start)(x))
        return nn.Dense(self.outputs, name="head")(x)


def dense(*numbers: int) -> tuple[str, ...]:
    """Names of linen's dense layers."""
    return tuple(f"Dense_{n}" for n in numbers)


def classifier(module: nn.Module, data: Any = None, edit: Callable[[Any], Any] = lambda p: p) -> Model:
    """A module's cross-entropy, parameters as the tree of its variables."""
    x, y = data or blobs()
    variables = edit(module.init(key(0), x)["params"])
    return Model(lambda p, x, y: cross_entropy(module.apply({"params": p}, x), y), variables, (x, y))


@healthy(LINEN)
def linen_relu_he_8() -> Model:
    """Dense layers with He's weights."""
    return classifier(MLP(8)).shows(ratio("Dense_1", "Dense_7", 0.1, 10))


@broken(LINEN, "vanishing", dense(0, 1, 2, 3))
def linen_sigmoid_8() -> Model:
    """Eight sigmoid layers with Xavier's weights."""
    return classifier(MLP(8, nn.sigmoid, xavier)).shows(ratio("Dense_1", "Dense_7", 0, 1e-3))


@broken(LINEN, "init_too_small", (*dense(*range(10)), "head"))
def linen_relu_hundredth_10() -> Model:
    """N(0, 0.01²): 0.08 per layer."""
    return classifier(MLP(10, nn.relu, gaussian(0.01), 128)).shows(norm("head/kernel", 0, 1e-7))


@broken(LINEN, ("init_too_large", "exploding"), (*dense(*range(12)), "head"))
def linen_relu_he_doubled_12() -> Model:
    """Twice He's deviation: a factor 2 per layer."""
    init = nn.initializers.variance_scaling(8.0, "fan_in", "normal")
    return classifier(MLP(12, nn.relu, init)).shows(measured("loss", lambda m: m.loss(m.params, *m.batch), 1e3))


@broken(LINEN, "symmetric", dense(1))
def linen_constant_init() -> Model:
    """A constant initialiser in the second of three layers, and equal weights behind it."""

    def edit(params):
        full = lambda name, value: {**params[name], "kernel": jnp.full_like(params[name]["kernel"], value)}
        return {**params, "Dense_1": full("Dense_1", 0.05), "Dense_2": full("Dense_2", 0.05)}

    return classifier(MLP(3), edit=edit).shows(norm("Dense_1/kernel", 1e-6))


@broken(LINEN, ("dead_layer", "dead"), dense(2))
def linen_dead_layer() -> Model:
    """A bias of −30 in the third layer."""
    edit = lambda p: {**p, "Dense_2": {**p["Dense_2"], "bias": p["Dense_2"]["bias"] - 30}}
    return classifier(MLP(5), edit=edit).shows(zeros("Dense_2"), zeros("Dense_0"))


class CNN(nn.Module):
    """Convolutions with batch norm, as in the documentation."""

    phi: Callable[..., Any] = nn.relu
    shift: float = 0.0

    @nn.compact
    def __call__(self, x):
        """Logits."""
        for i, features in enumerate((8, 16, 16)):
            x = nn.Conv(features, (3, 3), strides=1 if i == 0 else 2, kernel_init=he)(x)
            x = self.phi(nn.BatchNorm(use_running_average=False, bias_init=nn.initializers.constant(self.shift))(x))
        return nn.Dense(10, name="head")(x.mean((1, 2)))


def with_statistics(module: nn.Module, data: Any) -> Model:
    """A module with batch statistics, which its loss hands out."""
    x, y = data
    variables = module.init(key(0), x)

    def loss(p, x, y):
        logits, new = module.apply({"params": p, "batch_stats": variables["batch_stats"]}, x, mutable=["batch_stats"])
        return cross_entropy(logits, y), new

    return Model(loss, variables["params"], (x, y)).with_options(has_aux=True)


@healthy(LINEN)
def linen_cnn_with_batch_norm() -> Model:
    """Biases before a batch norm have no gradient but rounding, and need none."""
    return with_statistics(CNN(), images(16, 8)).shows(
        ratio("Conv_0/kernel", "Conv_2/kernel", 0.1, 30), norm("Conv_1/bias", 0, 1e-4)
    )


@broken(LINEN, ("dead", "dead_layer"), ("Conv_0", "Conv_1", "Conv_2", "BatchNorm_0", "BatchNorm_1", "BatchNorm_2"))
def linen_batch_norm_shifted_into_death() -> Model:
    """The shift behind each batch norm starts at −8: no unit is on."""
    return with_statistics(CNN(shift=-8.0), images(16, 8)).shows(zeros("Conv_0/kernel"), zeros("Conv_2/kernel"))


class ResNet(nn.Module):
    """Pre-activated residual blocks with batch norm."""

    blocks: int = 4

    @nn.compact
    def __call__(self, x):
        """Logits."""
        norm = lambda: nn.BatchNorm(use_running_average=False)
        x = nn.Conv(16, (3, 3), kernel_init=he, name="stem")(x)
        for _ in range(self.blocks):
            h = nn.Conv(16, (3, 3), kernel_init=he, use_bias=False)(nn.relu(norm()(x)))
            x = x + nn.Conv(16, (3, 3), kernel_init=he, use_bias=False)(nn.relu(norm()(h)))
        return nn.Dense(10, name="head")(nn.relu(norm()(x)).mean((1, 2)))


@healthy(LINEN)
def linen_resnet() -> Model:
    """A residual network with batch norm at its start."""
    return with_statistics(ResNet(), images(16, 6)).shows(ratio("Conv_0", "Conv_6", 0.05, 20))


class Groups(nn.Module):
    """ReLU behind layer and group norms."""

    @nn.compact
    def __call__(self, x):
        """Logits."""
        x = nn.relu(nn.GroupNorm(4)(nn.Conv(16, (3, 3))(x)))
        x = nn.relu(nn.GroupNorm(4)(nn.Conv(16, (3, 3))(x))).mean((1, 2))
        for _ in range(3):
            x = nn.relu(nn.LayerNorm()(nn.Dense(48)(x)))
        return nn.Dense(10, name="head")(x)


@healthy(LINEN)
def linen_relu_after_layer_norm() -> Model:
    """Norms centre the units: each is off for half of the examples, none for all."""
    return classifier(Groups(), images(16, 6)).shows(ratio("Dense_0/kernel", "Dense_2/kernel", 0.1, 10))


@healthy(LINEN)
def linen_bfloat16() -> Model:
    """Products in bfloat16."""

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            for _ in range(4):
                x = nn.relu(nn.Dense(48, dtype=jnp.bfloat16, kernel_init=he)(x))
            return nn.Dense(10, name="head")(x)

    return classifier(Net()).shows(ratio("Dense_0", "Dense_3", 0.1, 10))


class TwoHeads(nn.Module):
    """A head for a value that no loss looks at."""

    @nn.compact
    def __call__(self, x):
        """Logits and value."""
        h = nn.relu(nn.Dense(48, name="body", kernel_init=he)(x))
        return nn.Dense(10, name="policy")(h), nn.Dense(1, name="value")(h)


@broken(LINEN, "disconnected", ("value",))
def linen_head_without_a_loss() -> Model:
    """The value head is forgotten in the loss."""
    module, (x, y) = TwoHeads(), blobs()
    loss = lambda p, x, y: cross_entropy(module.apply({"params": p}, x)[0], y)
    return Model(loss, module.init(key(0), x)["params"], (x, y)).shows(zeros("value"), norm("body", 1e-3))


@broken(LINEN, "init_too_small", tuple(f"Conv_{i}" for i in range(16)))
def linen_convolutions_of_hundredths() -> Model:
    """N(0, 0.01²) in sixteen convolutions of 32 channels: 0.12 per layer."""

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            for _ in range(16):
                x = nn.relu(nn.Conv(32, (3, 3), kernel_init=gaussian(0.01))(x))
            return nn.Dense(10, name="head")(x.mean((1, 2)))

    return classifier(Net(), images(4, 5)).shows(norm("head/kernel", 0, 1e-8))


@healthy(LINEN)
def linen_regression_with_has_aux() -> Model:
    """A regression that hands out its predictions."""
    module, (x, _) = MLP(2, nn.tanh, lecun, outputs=1), blobs()
    y = jnp.sin(x @ normal(5, 16, 1) / 4)
    loss = lambda p, x, y: (mse(out := module.apply(p, x), y), out)
    return (
        Model(loss, module.init(key(0), x), (x, y)).with_options(has_aux=True).shows(ratio("Dense_0", "head", 0.05, 10))
    )
