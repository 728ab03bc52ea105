"""The program of a loss with a mark behind every site, and what was found on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from jax.extend import core as jex

from gradlab.diagnosis import jaxprs, marks, patterns
from gradlab.diagnosis.names import CONSTANT, NUMBER, Made, Origin, common, joined, layer_of
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
        """Return the program marked; its first operands are the leaves of the parameters."""
        jaxpr = program.jaxpr
        made = [Made(leaf, frozenset({leaf})) for leaf in range(len(self.paths))]
        marked, _, _ = self._walk(jaxpr, [*made, *[None] * (len(jaxpr.invars) - len(made))], (), "")
        return jaxprs.rebuilt(program, marked)

    # ------------------------------------------------------------------------------------ one jaxpr

    def _walk(
        self, jaxpr: Any, given: Sequence[Origin], scans: tuple, scope: str, followed: Sequence[_Link] = ()
    ) -> tuple[Any, list[Origin], list[_Link]]:
        """Return the jaxpr marked, what its results are made of, and the sites that they follow.

        `followed` are those that the operands follow.
        """
        origins: dict[Any, Origin] = dict.fromkeys(jaxpr.constvars, CONSTANT)
        origins.update(zip(jaxpr.invars, given, strict=True))
        here = _Here(scans, scope, {var: link for var, link in zip(jaxpr.invars, followed, strict=False) if link})
        here.patterns = patterns.find(jaxpr, here.sites)
        origin = lambda var: NUMBER if jaxprs.is_literal(var) else origins[var]
        equations: list[Any] = []
        for eqn in jaxpr.eqns:
            operands = [origin(var) for var in eqn.invars]
            how = jaxprs.treatment(eqn)
            enter = _ENTER.get(how)
            if enter is not None:
                inside = replace(here, scope=_below(scope, eqn))
                eqn, results, follows = enter(self, eqn, operands, inside)
                here.sites |= {var: link for var, link in zip(eqn.outvars, follows, strict=False) if link}
            else:
                self._meets(operands)
                results = self._results(eqn, how, operands)
            sites = self._sites(eqn, how, operands, here)
            sites |= self._recognised(eqn, here)
            equations += _marked(eqn, sites)
            if not _of_parameters(operands):
                results = [None if place in sites else result for place, result in enumerate(results)]
            origins.update(zip(eqn.outvars, results, strict=True))
        follows = [here.follows(var) for var in jaxpr.outvars]
        return jaxpr.replace(eqns=equations), [origin(var) for var in jaxpr.outvars], follows

    def _meets(self, operands: Sequence[Origin]) -> None:
        """Note the parameters that meet data here."""
        if not _of_parameters(operands):
            for operand in operands:
                if isinstance(operand, Made):
                    self.first_use.update(dict.fromkeys(sorted(operand.leaves)))

    def _results(self, eqn: Any, how: str, operands: Sequence[Origin]) -> list[Origin]:
        """Return what the results of an equation are made of that is not entered."""
        count = len(eqn.outvars)
        if count == len(operands) and how == "entrywise":
            return list(operands) if count > 1 else [_kept(eqn, operands[0])]
        if how in ("product", "lookup") and not _of_parameters(operands):
            return [None] * count
        sizes = [int(np.prod(jaxprs.shape_of(var), dtype=np.int64)) for var in eqn.invars]
        origin = joined(operands, sizes)
        if isinstance(origin, Made) and (picked := jaxprs.static_index(eqn)) is not None:
            return [origin.sliced(at) for at in picked]
        if isinstance(origin, Made) and jaxprs.puts_side_by_side(eqn) and len(origin.leaves) > 1:
            origin = replace(origin, several=True)
        return [_kept(eqn, origin)] * count

    # ------------------------------------------------------------------------------------ sites

    def _sites(self, eqn: Any, how: str, operands: Sequence[Origin], here: _Here) -> dict[int, list[Site]]:
        """Return the sites that an equation is by itself, by the place of the result that is read."""
        arrays = [i for i, var in enumerate(eqn.outvars) if jaxprs.is_float(var) and not jaxprs.is_dropped(var)]
        if how == "tap":
            return {i: [self._site(eqn, i, "tap", jaxprs.tap_name(eqn), here)] for i in arrays}
        if how in ("custom", "kernel", "unknown"):
            return self._closed(eqn, how, arrays, operands, here)
        weight = _weight(operands)
        made = operands[weight] if weight is not None else None
        if how == "lookup":
            wanted, kind = weight == 0 and operands[1] != NUMBER, "lookup"
        elif how == "product":
            wanted, kind = any(o is None or isinstance(o, Made) for o in operands), _product_kind(operands)
        else:
            return {}
        if not wanted or not arrays:
            return {}
        name = (
            made.name(self.paths) if made else f"{_below(here.scope, eqn) or jaxprs.source(eqn)}:{eqn.primitive.name}"
        )
        out = eqn.outvars[0]
        logits = here.patterns.logits.get(out) if kind == "inner" else None
        if logits is not None and logits is not out:  # they are read where they have been scaled
            here.later[logits] = (eqn, name)
            return {}
        features = jaxprs.weight_axes(eqn, weight) if kind == "product" and made else ()
        kind = "logits" if logits is not None else kind
        place = weight if kind in ("product", "lookup") and weight is not None else -1
        site = self._site(eqn, 0, kind, name, here, made, features=features, weight=place)
        here.sites[out] = _own(site)
        return {0: [site]}

    def _recognised(self, eqn: Any, here: _Here) -> dict[int, list[Site]]:
        """Sites that an equation is by what stands around it: activations, variances of a normalisation, logits."""
        sites: dict[int, list[Site]] = {}
        for i, out in enumerate(eqn.outvars):
            if out in here.later:
                product, name = here.later.pop(out)
                sites.setdefault(i, []).append(self._site(product, 0, "logits", name, here, shape_of=out))
            if out in here.patterns.activations:
                chain, function = here.patterns.activations[out]
                link = here.link(chain)
                # the softmax of attention is told by its logits
                if link is not None and (function != "softmax" or self.sites[link.site].kind == "product"):
                    features, name = self._features(link), f"{self.sites[link.site].name}/{function}"
                    more = {"features": features, "follows": link.site, "function": function}
                    sites.setdefault(i, []).append(self._site(eqn, i, "activation", name, here, **more))
            if out in here.patterns.norms:
                function, epsilon = here.patterns.norms[out]
                name = _joined(_below(here.scope, eqn), "variance")
                more = {"function": function, "epsilon": epsilon}
                sites.setdefault(i, []).append(self._site(eqn, i, "norm", name, here, **more))
        return sites

    def _closed(
        self, eqn: Any, how: str, arrays: Sequence[int], operands: Sequence[Origin], here: _Here
    ) -> dict[int, list[Site]]:
        """Return what cannot be entered: its results are read, what is inside is counted."""
        inside = jaxprs.products_inside(eqn)
        if not inside and how != "kernel":
            return {}
        function = jaxprs.function_name(eqn)
        if function.startswith("<"):  # a lambda says nothing
            function = _below(here.scope, eqn).rpartition("/")[2]
        why = f"the new {eqn.primitive.name}" if how == "unknown" else jaxprs.plain_name(eqn)
        self.unseen.append(Unseen(why, function, jaxprs.source(eqn), inside))
        name = self._layer(operands) or _joined(_below(here.scope, eqn), function) or why
        sites = {}
        for i in arrays:
            if jaxprs.shape_of(eqn.outvars[i]):
                site = self._site(eqn, i, "custom", name, here)
                here.sites[eqn.outvars[i]] = _own(site)
                sites[i] = [site]
        return sites

    def _layer(self, operands: Sequence[Origin]) -> str:
        """Return the path above all parameters among the operands."""
        leaves: frozenset[int] = frozenset().union(*(o.leaves for o in operands if isinstance(o, Made)))
        paths = [self.paths[leaf] for leaf in sorted(leaves)]
        return common(paths) if len(paths) > 1 else layer_of(paths[0]) if paths else ""

    def _site(
        self,
        eqn: Any,
        result: int,
        kind: SiteKind,
        name: str,
        here: _Here,
        made: Made | None = None,
        shape_of: Any = None,
        **more: Any,
    ) -> Site:
        """Note a site: a result of an equation, or `shape_of` in its place."""
        var = eqn.outvars[result] if shape_of is None else shape_of
        site = Site(
            number=len(self.sites),
            name=self._unique(name),
            kind=kind,
            primitive=eqn.primitive.name,
            shape=jaxprs.shape_of(var),
            dtype=str(var.aval.dtype),
            source=jaxprs.source(eqn),
            scope=_below(here.scope, eqn),
            scans=tuple(self._scan_of(made, length, number) for length, number in here.scans),
            parameter=self.paths[made.leaf] if made is not None and not made.several else "",
            **more,
        )
        self.sites.append(site)
        return site

    def _features(self, link: _Link) -> tuple[int, ...]:
        """Axes of a value that are units of the site that it follows."""
        if link is None:
            return ()
        return tuple(i for i, axis in enumerate(link.axes) if axis in self.sites[link.site].features)

    def _scan_of(self, made: Made | None, length: int, number: int) -> tuple[str, int, int]:
        layers = number in made.scans if made is not None else number in self._over_layers
        return ("layers" if layers else "steps", length, number)

    def _unique(self, name: str) -> str:
        count = self._named.get(name, 0)
        self._named[name] = count + 1
        return f"{name}#{count}" if count else name

    # ------------------------------------------------------------------------------------ what is entered

    def _call(self, eqn: Any, operands: Sequence[Origin], here: _Here) -> tuple[Any, list[Origin], list[_Link]]:
        (program,) = jaxprs.entered(eqn)
        passed = any(var in here.patterns.passed for var in eqn.outvars)
        followed = [] if passed else [here.follows(var) for var in eqn.invars]
        marked, results, follows = self._walk(jaxprs.opened(program)[0], operands, here.scans, here.scope, followed)
        return jaxprs.with_inner(eqn, [jaxprs.rebuilt(program, marked)]), results, follows

    def _shard_map(self, eqn: Any, operands: Sequence[Origin], here: _Here) -> tuple[Any, list[Origin], list[_Link]]:
        eqn, results, follows = self._call(eqn, operands, here)
        return eqn, [result.moved() if isinstance(result, Made) else result for result in results], follows

    def _cond(self, eqn: Any, operands: Sequence[Origin], here: _Here) -> tuple[Any, list[Origin], list[_Link]]:
        programs, branches = [], []
        for i, program in enumerate(jaxprs.entered(eqn)):
            scope = _joined(here.scope, f"branch{i}")
            marked, results, _ = self._walk(jaxprs.opened(program)[0], operands[1:], here.scans, scope)
            programs.append(jaxprs.rebuilt(program, marked))
            branches.append(results)
        chosen = [joined([operands[0], *same], [0] * (1 + len(same))) for same in zip(*branches, strict=True)]
        return jaxprs.with_inner(eqn, programs), chosen, []

    def _while(self, eqn: Any, operands: Sequence[Origin], here: _Here) -> tuple[Any, list[Origin], list[_Link]]:
        first, second = jaxprs.while_parts(eqn)
        (program,) = jaxprs.entered(eqn)
        carried: list[Origin] = [None] * (len(operands) - first - second)
        given = [*operands[first : first + second], *carried]
        marked, _, _ = self._walk(jaxprs.opened(program)[0], given, here.scans, here.scope)
        return jaxprs.with_inner(eqn, [jaxprs.rebuilt(program, marked)]), carried, []

    def _scan(self, eqn: Any, operands: Sequence[Origin], here: _Here) -> tuple[Any, list[Origin], list[_Link]]:
        consts, count = jaxprs.scan_parts(eqn)
        (program,) = jaxprs.entered(eqn)
        jaxpr, number = jaxprs.opened(program)[0], self._scans
        self._scans += 1
        stacks = [o.of_a_step(number) if isinstance(o, Made) else o for o in operands[consts + count :]]
        for stack in stacks:
            if isinstance(stack, Made):
                self._over_layers.add(number)
                if stack.leading and len(stack.leaves) == 1:
                    self.depths[stack.leaf] = max(self.depths.get(stack.leaf, 0), len(stack.scans))
        carried = list(operands[consts : consts + count])
        body = lambda carried: [*operands[:consts], *carried, *stacks]
        inside = replace(here, scans=(*here.scans, (eqn.params["length"], number)))
        while True:  # what the carry is made of after any number of steps
            after = Instrument(self.paths)._walk(jaxpr, body(carried), inside.scans, here.scope)[1][:count]
            settled = [a if a == b else None for a, b in zip(carried, after, strict=True)]
            if settled == carried:
                break
            carried = settled
        marked, results, follows = self._walk(jaxpr, body(carried), inside.scans, here.scope)
        name = self._layer(stacks) or self._layer(operands[:consts]) or here.scope or jaxprs.source(eqn)
        marked = self._carry(eqn, marked, count, follows, f"{name}/carry", inside)
        results = [*carried, *(None if isinstance(result, Made) else result for result in results[count:])]
        return jaxprs.with_inner(eqn, [jaxprs.rebuilt(program, marked)]), results, []

    def _carry(self, eqn: Any, body: Any, count: int, follows: Sequence[_Link], name: str, here: _Here) -> Any:
        """Return the body of a scan with marks on what it hands on to the next step: arrays of floats."""
        outvars, equations = list(body.outvars), list(body.eqns)
        for i, var in enumerate(body.outvars[:count]):
            handed_on = not jaxprs.is_literal(var) and var not in body.invars and var not in body.constvars
            if handed_on and jaxprs.is_float(var) and jaxprs.shape_of(var):
                features = self._features(follows[i])
                site = self._site(eqn, 0, "carry", name, here, shape_of=var, features=features)
                outvars[i] = jex.Var(var.aval)
                equations.append(marks.equation(var, outvars[i], site.number, eqn))
        return body.replace(eqns=equations, outvars=outvars)


class _Following(NamedTuple):
    """The site that a value follows, and its axis that each axis of the value is."""

    site: int
    axes: tuple[int, ...]


_Link = _Following | None


@dataclass
class _Here:
    """Where a walk is: the scans and the scope around it, and what its jaxpr's variables are."""

    scans: tuple[tuple[int, int], ...]
    scope: str
    sites: dict[Any, _Following]  # of the roots that others follow
    patterns: patterns.Patterns = field(default_factory=patterns.Patterns)
    later: dict[Any, tuple[Any, str]] = field(default_factory=dict)  # logits that have not been scaled yet

    def link(self, chain: patterns.Chain | None) -> _Link:
        """Return the site at the beginning of a chain, if there is one."""
        if chain is None or (start := self.sites.get(chain.root)) is None:
            return None
        return _Following(start.site, tuple(start.axes[axis] if axis >= 0 else -1 for axis in chain.axes))

    def follows(self, var: Any) -> _Link:
        """Return the site that a variable follows with no nonlinearity."""
        return None if jaxprs.is_literal(var) else self.link(self.patterns.follows.get(var))


def _own(site: Site) -> _Following:
    return _Following(site.number, tuple(range(len(site.shape))))


_ENTER = {
    "call": Instrument._call,
    "cond": Instrument._cond,
    "while": Instrument._while,
    "scan": Instrument._scan,
    "shard_map": Instrument._shard_map,
}


def _marked(eqn: Any, sites: dict[int, list[Site]]) -> list[Any]:
    """Return the equation, and marks behind the results that are read."""
    behind, outvars = [], list(eqn.outvars)
    for i, several in sites.items():
        for site in several:
            fresh = jex.Var(outvars[i].aval)
            behind.append(marks.equation(fresh, outvars[i], site.number, eqn))
            outvars[i] = fresh
    return [eqn.replace(outvars=outvars), *reversed(behind)] if behind else [eqn]


def _of_parameters(operands: Sequence[Origin]) -> bool:
    """Return whether all are made of parameters and numbers, none of data or of an array that was closed over."""
    return all(isinstance(operand, Made) or operand == NUMBER for operand in operands)


def _weight(operands: Sequence[Origin]) -> int | None:
    """Return which operand is the parameter; of two the first."""
    return next((i for i, operand in enumerate(operands) if isinstance(operand, Made)), None)


def _product_kind(operands: Sequence[Origin]) -> SiteKind:
    if _of_parameters(operands):
        return "weights"
    if None in operands and not any(isinstance(operand, Made) or operand == CONSTANT for operand in operands[:2]):
        return "inner"
    return "product"


def _kept(eqn: Any, origin: Origin) -> Origin:
    """Return the origin of a result, with whether the first axes are still the parameter's."""
    if isinstance(origin, Made) and eqn.primitive.name not in _KEEPS_LEADING:
        return origin.moved()
    return origin


def _below(scope: str, eqn: Any) -> str:
    return _joined(scope, jaxprs.scope(eqn))


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)
