import jax
import jax.numpy as jnp
from jax.extend import core as jex
from jax.extend.core import primitives

from gradlab.diagnosis import jaxprs
from gradlab.diagnosis.treatments import TREATMENTS


def every_primitive():
    found = [getattr(primitives, name) for name in dir(primitives)]
    return sorted({p.name for p in found if isinstance(p, jex.Primitive)})


def test_every_primitive_of_jax_is_decided_on():
    """A new one must be given its line in the table: a product that is not known as one would be left out silently."""
    assert len(every_primitive()) > 150
    assert [name for name in every_primitive() if name not in TREATMENTS] == []


def test_a_new_primitive_with_a_program_inside_is_called_unknown():
    new = jex.Primitive("twice")
    new.multiple_results = True
    new.def_abstract_eval(lambda x, jaxpr: [x])
    program = jax.make_jaxpr(lambda x: x @ x)(jnp.ones((2, 2)))
    (eqn,) = jax.make_jaxpr(lambda x: new.bind(x, jaxpr=program))(jnp.ones((2, 2))).jaxpr.eqns
    assert jaxprs.treatment(eqn) == "unknown"
    assert jaxprs.products_inside(eqn) == 1
