r"""Recurrent cells: the vanilla RNN, the LSTM and the GRU, each with its chain rule beside it.

Signs: u_t = x_t W + b is what the input feeds, U the recurrent weight, :math:`\sigma` the sigmoid,
:math:`\circ` the product of entries, and :math:`\delta` a preactivation's delta. Slopes are taken at the
preactivations, which keeps the digits that sigma (1 - sigma) loses in a saturated gate.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab.core.activations import activation_named, phi_of, slope
from gradlab.core.initializers import BIAS_FOLD, Initializer, initializer
from gradlab.core.keys import fold_in_each
from gradlab.core.random import numpy_for, placed
from gradlab.core.scaled import Scaled, add, matmul
from gradlab.core.unroll import Cell

_SIGMOID, _TANH = activation_named("sigmoid"), activation_named("tanh")
#: Folded into the key for the recurrent weight; the input's weights take the key folded with 0.
_RECURRENT_FOLD = 1


def rnn_cell(
    units: int,
    activation: str = "tanh",
    init: Initializer | str = "xavier_normal",
    *,
    recurrent_init: Initializer | str = "orthogonal",
    gain: float = 1.0,
    bias: bool = True,
    bias_std: float | None = None,
) -> Cell:
    r"""Make the vanilla cell (Elman 1990).

    .. math:: z_t = u_t + h_{t-1}U,\quad h_t = \varphi(z_t);\qquad
              \delta_t = \partial L/\partial h_t\circ\varphi'(z_t),\quad \partial L/\partial h_{t-1} = \delta_t U^T.

    The delta that a step shows is :math:`\delta_t = \partial L/\partial z_t`.

    Parameters
    ----------
    units : int
        Units of the state.
    activation : str
        Name in the table of activations.
    init : Initializer or str
        Of the weight of the input.
    recurrent_init : Initializer or str
        Of the recurrent weight. "orthogonal" and "identity" have singular values of 1, and a random one of
        n Var = 1 ("lecun_normal") a spectral radius that tends to 1 with n: then `gain` is the spectral radius.
        With "identity" and "relu" it is the IRNN of Le, Jaitly & Hinton 2015.
    gain : float
        Factor on the recurrent weight.
    bias : bool
        Whether there is a bias.
    bias_std : float, optional
        Standard deviation of a Gaussian bias. None: the rule of `init`.
    """
    entry = activation_named(activation)

    def forward(recurrent, before, u):
        carried = Scaled(matmul(before.mantissa[..., 0, :], recurrent["weight"]), before.exponent)
        z = add(u, carried)
        h = phi_of(entry, z)
        return Scaled(h.mantissa[..., None, :], h.exponent), z

    def backward(recurrent, before, z, dh):
        d = Scaled(dh.mantissa[..., 0, :] * slope(entry, z), dh.exponent)
        dbefore = matmul(d.mantissa, recurrent["weight"].T)
        return Scaled(dbefore[..., None, :], d.exponent), dh, d

    return Cell(
        "rnn", units, 1, units, _drawn(units, 1, init, recurrent_init, gain, bias, bias_std), forward, backward,
        shown=lambda dstate, d: d, through=lambda kept, d: d, homogeneous=entry.homogeneous,
    )  # fmt: skip


def lstm_cell(
    units: int,
    init: Initializer | str = "xavier_normal",
    *,
    recurrent_init: Initializer | str = "orthogonal",
    gain: float = 1.0,
    forget_bias: float = 1.0,
    bias: bool = True,
    bias_std: float | None = None,
) -> Cell:
    r"""Long short-term memory with a forget gate (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

    .. math:: (a_i, a_f, a_g, a_o) = u_t + h_{t-1}U,\quad i, f, o = \sigma(a_i), \sigma(a_f), \sigma(a_o),\quad
              g = \tanh a_g,

    .. math:: c_t = f\circ c_{t-1} + i\circ g,\qquad h_t = o\circ\tanh c_t.

    The delta that a step shows is :math:`\partial L/\partial h_t`; the path through the cell,
    :math:`\partial L/\partial c_t`, is part 1 of `Steps.dstate`. Along it alone a step is the factor
    :math:`f`: :math:`\sigma(b_f)^T` over T steps where the weights are small.

    Parameters
    ----------
    units, init, recurrent_init, gain, bias, bias_std : int, Initializer or str, float, bool, float or None
        As for `rnn_cell`; each gate has draws of its own.
    forget_bias : float
        Added to the bias of the forget gate: 1 by Jozefowicz et al. 2015; ln(T - 1) keeps the memory of T
        steps, (1 - 1/T)^T (Tallec & Ollivier 2018). Without a bias it is left out.
    """

    def forward(recurrent, before, u):
        h, c = before.mantissa[..., 0, :], before.mantissa[..., 1, :]
        a = u.mantissa + matmul(h, recurrent["weight"])
        ai, af, ag, ao = jnp.split(a, 4, -1)
        c = _SIGMOID.phi(af) * c + _SIGMOID.phi(ai) * jnp.tanh(ag)
        h = _SIGMOID.phi(ao) * jnp.tanh(c)
        # written one after the other: a compiler for CPUs computes what a stack is made of slowly, inside the stack
        after = jnp.zeros_like(before.mantissa).at[..., 0, :].set(h).at[..., 1, :].set(c)
        return Scaled(after, None), Scaled(a, None)

    def backward(recurrent, before, kept, dafter):
        ai, af, ag, ao = jnp.split(kept.mantissa, 4, -1)
        i, f, g, o = _SIGMOID.phi(ai), _SIGMOID.phi(af), jnp.tanh(ag), _SIGMOID.phi(ao)
        c_before = before.mantissa[..., 1, :]
        c = f * c_before + i * g
        dh, dc = dafter.mantissa[..., 0, :], dafter.mantissa[..., 1, :]
        dc = dc + dh * o * _TANH.dphi(c)
        di = dc * g * _SIGMOID.dphi(ai)
        df = dc * c_before * _SIGMOID.dphi(af)
        dg = dc * i * _TANH.dphi(ag)
        do = dh * jnp.tanh(c) * _SIGMOID.dphi(ao)
        d = jnp.concatenate([di, df, dg, do], -1)
        dbefore = jnp.stack([matmul(d, recurrent["weight"].T), dc * f], -2)
        dstate = jnp.stack([dh, dc], -2)
        return Scaled(dbefore, dafter.exponent), Scaled(dstate, dafter.exponent), Scaled(d, dafter.exponent)

    biases = (0.0, forget_bias, 0.0, 0.0)
    return Cell(
        "lstm", units, 2, 4 * units, _drawn(units, 4, init, recurrent_init, gain, bias, bias_std, biases),
        forward, backward, shown=_of_output, through=lambda kept, d: d,
    )  # fmt: skip


def gru_cell(
    units: int,
    init: Initializer | str = "xavier_normal",
    *,
    recurrent_init: Initializer | str = "orthogonal",
    gain: float = 1.0,
    bias: bool = True,
    bias_std: float | None = None,
) -> Cell:
    r"""Make the gated recurrent unit (Cho et al. 2014), with the reset gate after the recurrent product.

    .. math:: r = \sigma(u_r + h_{t-1}U_r),\quad z = \sigma(u_z + h_{t-1}U_z),\quad
              n = \tanh(u_n + r\circ h_{t-1}U_n),

    .. math:: h_t = (1-z)\circ n + z\circ h_{t-1}.

    The delta that a step shows is :math:`\partial L/\partial h_t`.

    Parameters
    ----------
    units, init, recurrent_init, gain, bias, bias_std : int, Initializer or str, float, bool, float or None
        As for `rnn_cell`; each gate has draws of its own.
    """

    def forward(recurrent, before, u):
        h = before.mantissa[..., 0, :]
        ur, uz, un = jnp.split(u.mantissa, 3, -1)
        hr, hz, hn = jnp.split(matmul(h, recurrent["weight"]), 3, -1)
        ar, az = ur + hr, uz + hz
        an = un + _SIGMOID.phi(ar) * hn
        h = _SIGMOID.phi(-az) * jnp.tanh(an) + _SIGMOID.phi(az) * h
        return Scaled(h[..., None, :], None), Scaled(jnp.concatenate([ar, az, an, hn], -1), None)

    def backward(recurrent, before, kept, dafter):
        h, dh = before.mantissa[..., 0, :], dafter.mantissa[..., 0, :]
        ar, az, an, hn = jnp.split(kept.mantissa, 4, -1)
        dz = dh * (h - jnp.tanh(an)) * _SIGMOID.dphi(az)
        dn = dh * _SIGMOID.phi(-az) * _TANH.dphi(an)
        dr = dn * hn * _SIGMOID.dphi(ar)
        d = Scaled(jnp.concatenate([dr, dz, dn], -1), dafter.exponent)
        dbefore = dh * _SIGMOID.phi(az) + matmul(through(kept, d).mantissa, recurrent["weight"].T)
        return Scaled(dbefore[..., None, :], dafter.exponent), dafter, d

    def through(kept, d):
        """Return the delta of the recurrent product, whose candidate passes the reset gate."""
        dr, dz, dn = jnp.split(d.mantissa, 3, -1)
        r = _SIGMOID.phi(kept.mantissa[..., :units])
        return Scaled(jnp.concatenate([dr, dz, r * dn], -1), d.exponent)

    return Cell(
        "gru", units, 1, 3 * units, _drawn(units, 3, init, recurrent_init, gain, bias, bias_std), forward, backward,
        shown=_of_output, through=through,
    )  # fmt: skip


def _of_output(dstate: Scaled, d: Scaled) -> Scaled:
    """Return the cotangent of the output h."""
    return Scaled(dstate.mantissa[..., 0, :], dstate.exponent)


def _drawn(units, gates, init, recurrent_init, gain, bias, bias_std, biases=(0.0,)):
    """Return a cell's `init`: a draw for each gate, side by side."""
    rule = initializer(init) if isinstance(init, str) else init
    again = initializer(recurrent_init) if isinstance(recurrent_init, str) else recurrent_init

    def gate(rule: Initializer, key: Array, fan_in: int, gain: float) -> Array:
        drawn = [rule.weight(k, (fan_in, units), gain) for k in fold_in_each(key, range(gates))]
        return placed(numpy_for(key).concatenate(drawn, -1))

    def initialise(key, features):
        fed, recurrent, biases_key = fold_in_each(key, (0, _RECURRENT_FOLD, BIAS_FOLD))
        params: dict[str, Any] = {
            "input": {"weight": gate(rule, fed, features, 1.0)},
            "recurrent": {"weight": gate(again, recurrent, units, gain)},
        }
        if bias:
            b = rule.bias(biases_key, features, gates * units, bias_std)
            means = np.repeat(np.asarray(biases, b.dtype), gates * units // len(biases))
            params["input"]["bias"] = placed(numpy_for(key).add(b, means))
        return params

    return initialise
