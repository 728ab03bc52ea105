"""The program of a loss with a mark behind every site, and what was found on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jax.extend import core as jex

from gradlab.diagnosis import jaxprs, marks
from gradlab.diagnosis.names import CONSTANT, NUMBER, Made, Origin, common, joined
from gradlab.diagnosis.sites import Site, SiteKind, Unseen

#: Operations that leave each entry of the first axis where it was.
_KEEPS_LEADING = frozenset({"convert_element_type", "copy", "mul", "div", "add", "sub", "neg", "optimization_barrier"})


class Instrument:
    """Walks the program of a loss once and marks it.

    Parameters
    ----------
    paths : sequence of str
        Names of the leaves of the parameters.

    Attributes
    ----------
    sites, unseen : list
    first_use : dict of int to None
        Leaves, in the order in which they meet data.
    depths : dict of int to int
        How many first axes of a leaf scans have taken apart.
    """

    def __init__(self, paths: Sequence[str]):
        self.paths = tuple(paths)
        self.sites: list[Site] = []
        self.unseen: list[Unseen] = []
        self.first_use: dict[int, None] = {}
        self.depths: dict[int, int] = {}
        self._named: dict[str, int] = {}
        self._scans = 0
        self._over_layers: set[int] = set()

    def mark(self, program: Any) -> Any:
        """The program marked; its first operands are the leaves of the parameters."""
        jaxpr = program.jaxpr
        made = [Made(leaf, frozenset({leaf})) for leaf in range(len(self.paths))]
        marked, _ = self._walk(jaxpr, [*made, *[None] * (len(jaxpr.invars) - len(made))], (), "")
        return jaxprs.rebuilt(program, marked)

    # ------------------------------------------------------------------------------------ one jaxpr

    def _walk(self, jaxpr: Any, given: Sequence[Origin], scans: tuple, scope: str) -> tuple[Any, list[Origin]]:
        """The jaxpr marked, and what its results are made of."""
        origins: dict[Any, Origin] = dict.fromkeys(jaxpr.constvars, CONSTANT)
        origins.update(zip(jaxpr.invars, given, strict=True))
        of = lambda var: NUMBER if jaxprs.is_literal(var) else origins[var]
        equations: list[Any] = []
        for eqn in jaxpr.eqns:
            operands = [of(var) for var in eqn.invars]
            how = jaxprs.treatment(eqn)
            enter = _ENTER.get(how)
            if enter is not None:
                eqn, results = enter(self, eqn, operands, scans, _below(scope, eqn))
            else:
                self._meets(operands)
                results = self._results(eqn, how, operands)
            sites = self._sites(eqn, how, operands, scans, scope)
            equations += _marked(eqn, sites)
            for place in sites:
                if not _of_parameters(operands):
                    results[place] = None
            origins.update(zip(eqn.outvars, results, strict=True))
        return jaxpr.replace(eqns=equations), [of(var) for var in jaxpr.outvars]

    def _meets(self, operands: Sequence[Origin]) -> None:
        """Note the parameters that meet data here."""
        if not _of_parameters(operands):
            for operand in operands:
                if isinstance(operand, Made):
                    self.first_use.update(dict.fromkeys(sorted(operand.leaves)))

    def _results(self, eqn: Any, how: str, operands: Sequence[Origin]) -> list[Origin]:
        """What the results of an equation are made of that is not entered."""
        count = len(eqn.outvars)
        if count == len(operands) and how == "entrywise":
            return list(operands) if count > 1 else [_kept(eqn, operands[0])]
        if how in ("product", "lookup") and not _of_parameters(operands):
            return [None] * count
        sizes = [int(np.prod(jaxprs.shape_of(var), dtype=np.int64)) for var in eqn.invars]
        origin = joined(operands, sizes)
        picked = jaxprs.static_index(eqn) if isinstance(origin, Made) else None
        if picked is not None:
            return [origin.sliced(at) for at in picked]
        return [_kept(eqn, origin)] * count

    # ------------------------------------------------------------------------------------ sites

    def _sites(self, eqn: Any, how: str, operands: Sequence[Origin], scans: tuple, scope: str) -> dict[int, Site]:
        """The sites of an equation, by the place of the result that is read."""
        arrays = [i for i, var in enumerate(eqn.outvars) if jaxprs.is_float(var) and not jaxprs.is_dropped(var)]
        if how == "tap":
            return {i: self._site(eqn, i, "tap", jaxprs.tap_name(eqn), operands, scans, scope) for i in arrays}
        if how in ("custom", "kernel", "unknown"):
            return self._closed(eqn, how, arrays, operands, scans, scope)
        if how == "lookup":
            wanted = isinstance(operands[0], Made) and operands[1] not in (NUMBER,)
            kind: SiteKind = "lookup"
        elif how == "product":
            wanted = any(operand is None or isinstance(operand, Made) for operand in operands)
            kind = _product_kind(operands)
        else:
            return {}
        if not wanted or not arrays:
            return {}
        return {0: self._site(eqn, 0, kind, self._fed_by(eqn, operands, scope), operands, scans, scope)}

    def _closed(self, eqn, how, arrays, operands, scans, scope) -> dict[int, Site]:
        """What cannot be entered: its results are read, what is inside is counted."""
        inside = jaxprs.products_inside(eqn)
        if not inside and how != "kernel":
            return {}
        name = jaxprs.function_name(eqn)
        why = eqn.primitive.name.removesuffix("_call") if how != "unknown" else f"the new {eqn.primitive.name}"
        self.unseen.append(Unseen(why, name, jaxprs.source(eqn), inside))
        leaves = sorted(frozenset().union(*(o.leaves for o in operands if isinstance(o, Made))))
        stem = common([self.paths[leaf] for leaf in leaves])
        name = stem or _joined(_below(scope, eqn), name)
        whole = [i for i in arrays if jaxprs.shape_of(eqn.outvars[i])]
        return {i: self._site(eqn, i, "custom", name, operands, scans, scope) for i in whole}

    def _fed_by(self, eqn: Any, operands: Sequence[Origin], scope: str) -> str:
        """The name of a product or a lookup: that of the parameter, else of the place in the program."""
        made = _weight(operands)
        if made is not None:
            return operands[made].name(self.paths)
        return f"{_below(scope, eqn) or jaxprs.source(eqn)}:{eqn.primitive.name}"

    def _site(self, eqn, result, kind, name, operands, scans, scope, **more) -> Site:
        weight = _weight(operands)
        made = operands[weight] if weight is not None else None
        single = isinstance(made, Made) and len(made.leaves) == 1
        var = eqn.outvars[result]
        product = kind in ("product", "inner", "weights")
        site = Site(
            number=len(self.sites),
            name=self._unique(name),
            kind=kind,
            primitive=eqn.primitive.name,
            shape=jaxprs.shape_of(var),
            dtype=str(var.aval.dtype),
            source=jaxprs.source(eqn),
            scope=_below(scope, eqn),
            scans=tuple(self._scan_of(made, length, number) for length, number in scans),
            **{
                "features": jaxprs.weight_axes(eqn, weight) if product and kind == "product" and made else (),
                "parameter": self.paths[made.leaf] if single or (made and kind == "product") else "",
                **more,
            },
        )
        self.sites.append(site)
        return site

    def _scan_of(self, made: Made | None, length: int, number: int) -> tuple[str, int, int]:
        layers = number in made.scans if made is not None else number in self._over_layers
        return ("layers" if layers else "steps", length, number)

    def _unique(self, name: str) -> str:
        count = self._named.get(name, 0)
        self._named[name] = count + 1
        return f"{name}#{count}" if count else name

    # ------------------------------------------------------------------------------------ what is entered

    def _call(self, eqn, operands, scans, scope):
        (program,) = jaxprs.entered(eqn)
        marked, results = self._walk(jaxprs.opened(program)[0], operands, scans, scope)
        return jaxprs.with_inner(eqn, [jaxprs.rebuilt(program, marked)]), results

    def _shard_map(self, eqn, operands, scans, scope):
        eqn, results = self._call(eqn, operands, scans, scope)
        return eqn, [replace(r, leading=False) if isinstance(r, Made) else r for r in results]

    def _cond(self, eqn, operands, scans, scope):
        programs, found = [], []
        for i, program in enumerate(jaxprs.entered(eqn)):
            marked, results = self._walk(jaxprs.opened(program)[0], operands[1:], scans, _joined(scope, f"branch{i}"))
            programs.append(jaxprs.rebuilt(program, marked))
            found.append(results)
        results = [
            joined(same, [0] * len(same)) if operands[0] is not None else None for same in zip(*found, strict=True)
        ]
        return jaxprs.with_inner(eqn, programs), results

    def _while(self, eqn, operands, scans, scope):
        first, second = jaxprs.while_parts(eqn)
        (program,) = jaxprs.entered(eqn)
        carried = [None] * (len(operands) - first - second)
        given = [*operands[first : first + second], *carried]
        marked, _ = self._walk(jaxprs.opened(program)[0], given, scans, scope)
        return jaxprs.with_inner(eqn, [jaxprs.rebuilt(program, marked)]), carried

    def _scan(self, eqn, operands, scans, scope):
        consts, count = jaxprs.scan_parts(eqn)
        (program,) = jaxprs.entered(eqn)
        jaxpr, number = jaxprs.opened(program)[0], self._scans
        self._scans += 1
        stacks = [
            operand.apart(number) if isinstance(operand, Made) else operand for operand in operands[consts + count :]
        ]
        for stack in stacks:
            if isinstance(stack, Made):
                self._over_layers.add(number)
                if stack.leading and len(stack.leaves) == 1:
                    self.depths[stack.leaf] = max(self.depths.get(stack.leaf, 0), len(stack.scans))
        carried = list(operands[consts : consts + count])
        scans = (*scans, (eqn.params["length"], number))
        body = lambda carried: [*operands[:consts], *carried, *stacks]
        while True:  # what the carry is made of after any number of steps
            after = Instrument(self.paths)._walk(jaxpr, body(carried), scans, scope)[1][:count]
            settled = [a if a == b else None for a, b in zip(carried, after, strict=True)]
            if settled == carried:
                break
            carried = settled
        marked, results = self._walk(jaxpr, body(carried), scans, scope)
        results = [*carried, *(None if isinstance(r, Made) else r for r in results[count:])]
        return jaxprs.with_inner(eqn, [jaxprs.rebuilt(program, marked)]), results


_ENTER = {
    "call": Instrument._call,
    "cond": Instrument._cond,
    "while": Instrument._while,
    "scan": Instrument._scan,
    "shard_map": Instrument._shard_map,
}


def _marked(eqn: Any, sites: dict[int, Site]) -> list[Any]:
    """The equation, and marks behind the results that are read."""
    if not sites:
        return [eqn]
    fresh = {i: jex.Var(eqn.outvars[i].aval) for i in sites}
    unmarked = eqn.replace(outvars=[fresh.get(i, var) for i, var in enumerate(eqn.outvars)])
    behind = [marks.equation(fresh[i], eqn.outvars[i], site.number, eqn) for i, site in sites.items()]
    return [unmarked, *behind]


def _of_parameters(operands: Sequence[Origin]) -> bool:
    """Whether all are made of parameters and numbers: nothing of it is data, or an array that the user closed over."""
    return all(isinstance(operand, Made) or operand == NUMBER for operand in operands)


def _weight(operands: Sequence[Origin]) -> int | None:
    """Which operand is the parameter; of two the first."""
    return next((i for i, operand in enumerate(operands) if isinstance(operand, Made)), None)


def _product_kind(operands: Sequence[Origin]) -> SiteKind:
    if _of_parameters(operands):
        return "weights"
    if None in operands and not any(isinstance(operand, Made) or operand == CONSTANT for operand in operands[:2]):
        return "inner"
    return "product"


def _kept(eqn: Any, origin: Origin) -> Origin:
    """The origin of a result, with whether the first axes are still the parameter's."""
    if isinstance(origin, Made) and eqn.primitive.name not in _KEEPS_LEADING:
        return origin.moved()
    return origin


def _below(scope: str, eqn: Any) -> str:
    return _joined(scope, jaxprs.scope(eqn))


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)
