"""A mark: an identity that carries a site's number through every transformation of JAX.

It changes no shape and no value, so a program may be marked inside any loop, branch or call. Differentiated, the mark
of a value leaves one on the tangent, and that one, transposed, the mark of the delta: by JAX's own rules for what
stands around it.
"""

from __future__ import annotations

from typing import Any, Literal

from jax.extend import core as jex
from jax.interpreters import ad, batching, mlir

MarkRole = Literal["value", "tangent", "delta"]

mark_p = jex.Primitive("gradlab_mark")
mark_p.def_impl(lambda x, **_: x)
mark_p.def_abstract_eval(lambda x, **_: x)
mlir.register_lowering(mark_p, lambda _, x, **__: [x])


def is_mark(eqn: Any) -> bool:
    """Return whether an equation of a jaxpr is one."""
    return eqn.primitive is mark_p


def key_of(eqn: Any) -> tuple[int, MarkRole]:
    """Return the number of the site that a mark stands at, and its role."""
    return eqn.params["site"], eqn.params["role"]


def equation(unmarked: Any, marked: Any, site: int, beside: Any) -> Any:
    """Return the equation that marks the value of a variable, written beside another of the same jaxpr."""
    params = {"site": site, "role": "value"}
    return jex.new_jaxpr_eqn([unmarked], [marked], mark_p, params, jex.no_effects, beside.source_info, beside.ctx)


def _jvp(primals, tangents, *, site: int, role: MarkRole):
    (x,), (t,) = primals, tangents
    marked = mark_p.bind(x, site=site, role=role)
    if role != "value" or isinstance(t, ad.Zero):
        return marked, t
    return marked, mark_p.bind(t, site=site, role="tangent")


def _transpose(cotangent, _, *, site: int, role: MarkRole):
    if isinstance(cotangent, ad.Zero) or role != "tangent":
        return [cotangent]
    return [mark_p.bind(cotangent, site=site, role="delta")]


def _batch(args, dims, **params):
    return mark_p.bind(*args, **params), dims[0]


ad.primitive_jvps[mark_p] = _jvp
ad.primitive_transposes[mark_p] = _transpose
batching.primitive_batchers[mark_p] = _batch
