"""A loss as a program that can be read: its sites, its parameters, and one run of value, gradient and signals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
from jax import Array
from jax.extend import core as jex

from gradlab.diagnosis import jaxprs, reading
from gradlab.diagnosis.instrument import Instrument
from gradlab.diagnosis.names import paths_of
from gradlab.diagnosis.reach import states_of
from gradlab.diagnosis.sites import Site, Unseen
from gradlab.diagnosis.together import Together

#: What a reading must not look at: it is the same for all sites that are alike otherwise.
_OF_NO_READING = {"number": 0, "name": "", "source": "", "scope": "", "scans": (), "parameter": "", "follows": -1}


class Reading(NamedTuple):
    """What one run of a program gives.

    Parameters
    ----------
    loss : Array
        The loss of the sample.
    grads : pytree
        Like the parameters; float0 where a leaf holds integers.
    values, deltas : dict of int to Array, shape (lengths of the scans around the site, FIELDS)
        By the site's number: what was read of the value, and of the derivative of the loss by it.
    """

    loss: Array
    grads: Any
    values: dict[int, Array]
    deltas: dict[int, Array]


@dataclass(frozen=True)
class Program:
    """The program of a loss, for all samples of the same shapes; `Program.of` makes it.

    Parameters
    ----------
    sites : tuple of Site
        In the order of the program.
    unseen : tuple of Unseen
        What could not be looked into.
    paths : tuple of str
        The user's path of each leaf, in the order of `jax.tree.leaves`.
    first_use : tuple of int
        Leaves in the order in which they first meet data; one that meets none is not there.
    states : tuple of str
        Of each leaf ``used``, ``frozen`` (each way to the loss goes through `stop_gradient` or the like),
        ``disconnected`` or ``not a float``.
    depths : tuple of int
        How many first axes of each leaf scans over layers take apart.
    rules : tuple of str
        Functions whose backward rule was written by hand.
    gradient : ClosedJaxpr
        Value and gradient of the marked loss: operands and results are leaves.
    read : callable
        What is read of an array: ``read(x, site, role)``. Of the site it may look at what kind it is, not which.
    """

    sites: tuple[Site, ...]
    unseen: tuple[Unseen, ...]
    paths: tuple[str, ...]
    first_use: tuple[int, ...]
    states: tuple[str, ...]
    depths: tuple[int, ...]
    rules: tuple[str, ...]
    gradient: Any
    read: Callable[[Array, Site, reading.Role], Array] = field(default=reading.read, repr=False)
    _structure: Any = field(default=None, repr=False)
    _run: Any = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        loss: Callable[..., Array],
        params: Any,
        args: Sequence[Any],
        *,
        read: Callable[[Array, Site, reading.Role], Array] = reading.read,
    ) -> Program:
        """Trace a loss; nothing is computed.

        Parameters
        ----------
        loss : callable
            ``loss(params, *args)``: a scalar. Pure.
        params, args : pytrees of arrays, and a sequence of them
            Only shapes and dtypes count.
        read : callable
            What is read of an array.

        Returns
        -------
        Program
        """
        leaves = jax.tree.leaves(params)
        plain = jax.make_jaxpr(loss)(params, *args)
        instrument = Instrument(paths_of(params))
        marked = jex.jaxpr_as_fun(instrument.mark(plain))
        again = lambda params, *args: marked(*jax.tree.leaves((params, *args)))[0]
        gradient, shapes = jax.make_jaxpr(jax.value_and_grad(again, allow_int=True), return_shape=True)(params, *args)
        floats = [jaxprs.is_float(var) for var in plain.jaxpr.invars[: len(leaves)]]
        sites = tuple(instrument.sites)
        alike = lambda site, role: (replace(sites[site], **_OF_NO_READING), role)
        collector = Together(lambda x, site, role: read(x, sites[site], role), reading.merge, alike)
        return cls(
            sites=sites,
            unseen=tuple(instrument.unseen),
            paths=instrument.paths,
            first_use=tuple(instrument.first_use),
            states=states_of(plain, len(leaves), floats),
            depths=tuple(instrument.depths.get(leaf, 0) for leaf in range(len(leaves))),
            rules=jaxprs.own_rules(plain),
            gradient=gradient,
            read=read,
            _structure=jax.tree.structure(shapes),
            _run=jax.jit(lambda operands: collector.run(gradient, operands)),
        )

    def run(self, params: Any, args: Sequence[Any]) -> Reading:
        """Loss, gradient and signals of one sample; compiled at the first call."""
        results, vectors = self._run(jax.tree.leaves((params, *args)))
        loss, grads = jax.tree.unflatten(self._structure, results)
        by_role = lambda role: {site: vector for (site, part), vector in vectors.items() if part == role}
        return Reading(loss, grads, by_role("value"), by_role("delta"))
