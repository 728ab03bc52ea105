"""Activations, normalisations and attention logits, recognised by the operations around them.

A value *follows* a product where it is a function of it entry by entry: with a bias, scaled, masked, normalised, bent
by a nonlinearity. The last nonlinear operation before anything else happens to it is the activation.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from gradlab.diagnosis import jaxprs

#: Functions that are called by the name that libraries give them.
_NAMES = (
    "relu relu6 silu swish gelu elu selu celu leaky_relu softplus mish hard_tanh hard_sigmoid hard_silu hard_swish "
    "squareplus sparse_plus log_sigmoid softsign soft_sign"
)
NAMED = frozenset(_NAMES.split())
#: Other names of the same.
ALIASES = {"swish": "silu", "hard_swish": "hard_silu", "soft_sign": "softsign"}
#: What the nonlinear operations of an activation written out by hand tell of it; the first that fits.
_SIGNS: tuple[tuple[set[str], str], ...] = (
    ({"softmax"}, "softmax"),
    ({"logistic", "product"}, "silu"),
    ({"tanh", "product"}, "gelu"),
    ({"erf", "product"}, "gelu"),
    ({"erfc", "product"}, "gelu"),
    ({"expm1", "select"}, "elu"),
    ({"log1p", "exp"}, "softplus"),
    ({"exp", "abs", "select", "quotient", "product"}, "silu"),
    ({"exp", "abs", "select", "quotient"}, "sigmoid"),
    ({"exp", "reciprocal"}, "sigmoid"),
    ({"abs", "quotient"}, "softsign"),
    ({"tanh"}, "tanh"),
    ({"logistic"}, "sigmoid"),
    ({"erf"}, "erf"),
    ({"relu"}, "relu"),
    ({"clamp"}, "hard_tanh"),
    ({"select"}, "leaky_relu"),
    ({"sin"}, "sin"),
    ({"atan"}, "atan"),
)
#: Functions in which only losses end.
_OF_LOSSES = frozenset({"log_sigmoid"})
#: A value of these follows its operand with no nonlinearity.
_LINEAR = frozenset(
    ("add", "add_any", "sub", "neg", "convert_element_type", "copy", "reduce_precision", "sharding_constraint", "name")
)
#: Largest number that is taken for the epsilon of a normalisation.
_LARGEST_EPSILON = 0.1


@dataclass(frozen=True)
class Chain:
    """A value that follows another.

    Parameters
    ----------
    root : Var
        The value that it follows: a product's.
    axes : tuple of int
        The root's axis that each of its axes is, or -1.
    part : tuple
        Which slice of it.
    functions : tuple of str
        Nonlinear operations on the way.
    bent : bool
        Whether the last operation was nonlinear, or joined several of which one was.
    last : tuple of str
        What it was, if it is one of `functions`.
    scaled : bool
        Whether it is the root times a number, so far.
    """

    root: Any
    axes: tuple[int, ...]
    part: tuple[int, ...] = ()
    functions: tuple[str, ...] = ()
    bent: bool = False
    last: tuple[str, ...] = ()
    scaled: bool = True

    @property
    def key(self) -> tuple[Any, tuple[int, ...]]:
        """Return what chains of one value have in common."""
        return self.root, self.part


@dataclass
class Patterns:
    """What was recognised in one jaxpr, by its variables.

    Parameters
    ----------
    follows : dict
        Variables that follow a root with no nonlinearity.
    activations : dict
        Variables that are activations: how they follow the root, and the function.
    norms : dict
        Variances that a normalisation divides by: the function, and what is added.
    passed : set
        Results of functions that are recognised from outside, as a whole.
    logits : dict
        Roots that go into a softmax: the variable that is the root times a number, the last one.
    """

    follows: dict[Any, Chain] = field(default_factory=dict)
    activations: dict[Any, tuple[Chain, str]] = field(default_factory=dict)
    norms: dict[Any, tuple[str, float]] = field(default_factory=dict)
    passed: set[Any] = field(default_factory=set)
    logits: dict[Any, Any] = field(default_factory=dict)


def find(jaxpr: Any, roots: Collection[Any] = ()) -> Patterns:
    """Look for the patterns in one jaxpr, outside of its loops and branches.

    Parameters
    ----------
    jaxpr : Jaxpr
        The program, as JAX traced it.
    roots : collection of Var
        Operands that are, or follow, a product outside.

    Returns
    -------
    Patterns
    """
    search = _Search(roots)
    for eqn in jaxpr.eqns:
        search.see(eqn)
    return search.patterns()


class _Search:
    def __init__(self, roots: Collection[Any]):
        self.chains: dict[Any, Chain] = {var: _start(var) for var in roots}
        self.numbers: dict[Any, float] = {}
        self.spread: set[Any] = set()  # of smaller arrays: statistics and parameters, not another signal
        self.made_by: dict[Any, Any] = {}
        self.made_at: dict[Any, int] = {}
        self.users: dict[Any, list[Any]] = {}
        self.norms: dict[Any, tuple[str, float]] = {}
        self.passed: set[Any] = set()
        self.softmaxed: dict[Any, None] = {}

    def chain(self, var: Any) -> Chain | None:
        return None if jaxprs.is_literal(var) else self.chains.get(var)

    def number(self, var: Any) -> float | None:
        return jaxprs.scalar(var) if jaxprs.is_literal(var) else self.numbers.get(var)

    def see(self, eqn: Any) -> None:
        """Follow the chains through one equation."""
        for var in eqn.invars:
            if not jaxprs.is_literal(var):
                self.users.setdefault(var, []).append(eqn)
        self.made_by.update(dict.fromkeys(eqn.outvars, eqn))
        self.made_at.update(dict.fromkeys(eqn.outvars, len(self.made_at)))
        how, name, out = jaxprs.treatment(eqn), eqn.primitive.name, eqn.outvars[0] if eqn.outvars else None
        if how == "product":
            self.chains[out] = _start(out)
        elif how in ("entrywise", "flat", "tap") and len(eqn.outvars) == 1:
            self._entrywise(eqn, how, out)
        elif name in ("slice", "split"):
            if (chain := self.chain(eqn.invars[0])) is not None:
                for i, var in enumerate(eqn.outvars):
                    self.chains[var] = replace(chain, part=(*chain.part, id(eqn), i), scaled=False)
        elif how in ("call", "custom"):
            self._call(eqn, how)
        elif (axes := jaxprs.moved_axes(eqn)) is not None and (chain := self.chain(eqn.invars[0])) is not None:
            moved = tuple(chain.axes[axis] if axis >= 0 else -1 for axis in axes)
            self.chains[out] = replace(chain, axes=moved, bent=False)
        if name == "broadcast_in_dim" and jaxprs.shape_of(eqn.invars[0]) != jaxprs.shape_of(out):
            self.spread.add(out)
        if name in ("broadcast_in_dim", "convert_element_type") and (number := self.number(eqn.invars[0])) is not None:
            self.numbers[out] = number
        if name in ("rsqrt", "sqrt"):
            self._norm(eqn)

    def _entrywise(self, eqn: Any, how: str, out: Any) -> None:
        shape = jaxprs.shape_of(out)
        mine = [self.chain(var) if jaxprs.shape_of(var) == shape else None for var in eqn.invars]
        chains = [chain for chain in mine if chain is not None]
        others = [v for v, c in zip(eqn.invars, mine, strict=True) if c is None and jaxprs.shape_of(v) == shape]
        signals = [v for v in others if self.number(v) is None and not (jaxprs.is_literal(v) or v in self.spread)]
        if not chains and not signals:
            self.spread.add(out)
        gated = eqn.primitive.name in ("mul", "div") and bool(signals)
        if eqn.primitive.name in ("add", "add_any") and len({chain.key for chain in chains}) > 1:
            chains = self._summed(chains)  # what enters a gate: of the input, and of the state before
        if gated or len({chain.key for chain in chains}) != 1:
            return
        functions = tuple(dict.fromkeys(name for chain in chains for name in chain.functions))
        new = () if how == "flat" else self._bends(eqn, mine)
        by_number = eqn.primitive.name in ("mul", "div", "convert_element_type") and all(
            chain is not None or self.number(var) is not None for chain, var in zip(mine, eqn.invars, strict=True)
        )
        bent = bool(new) or (len(chains) > 1 and bool(functions))
        scaled = by_number and not bent and chains[0].scaled
        self.chains[out] = replace(chains[0], functions=(*functions, *new), bent=bent, last=new, scaled=scaled)

    def _summed(self, chains: list[Chain]) -> list[Chain]:
        """Return the last of several products in a sum that no nonlinearity has bent."""
        straight = [chain for chain in chains if not chain.functions]
        return [max(straight, key=lambda chain: self.made_at.get(chain.root, -1))] if straight else []

    def _bends(self, eqn: Any, mine: list[Chain | None]) -> tuple[str, ...]:
        """Return what nonlinear operation an equation is, of the value that its operands `mine` follow."""
        name = eqn.primitive.name
        several = sum(chain is not None for chain in mine) > 1
        if name == "div" and mine[0] is not None and mine[0].last == ("exp",) and self._sums(*eqn.invars[::-1]):
            return ("softmax",)
        if name in _LINEAR or (name == "mul" and not several) or (name == "div" and mine[1] is None):
            return ()
        if name == "select_n":
            if mine[0] is None:
                return ()
            return ("relu",) if any(self.number(var) == 0 for var in eqn.invars[1:]) else ("select",)
        if name == "max" and not several:
            return ("relu",) if any(self.number(var) == 0 for var in eqn.invars) else ("max",)
        if name == "div" and mine[0] is None:
            return ("reciprocal",)
        return ({"mul": "product", "div": "quotient"}.get(name, name),)

    def _sums(self, total: Any, summed: Any) -> bool:
        """Return whether a value is the sum of another's entries, spread over them."""
        while not jaxprs.is_literal(total) and (eqn := self.made_by.get(total)) is not None:
            if eqn.primitive.name == "reduce_sum":
                return eqn.invars[0] is summed
            if eqn.primitive.name not in ("broadcast_in_dim", "reshape", "convert_element_type"):
                return False
            total = eqn.invars[0]
        return False

    def _call(self, eqn: Any, how: str) -> None:
        """Follow the chains through a function: entry by entry as a whole, or with products or a softmax inside."""
        if not (programs := jaxprs.inner(eqn)):
            return
        jaxpr = jaxprs.opened(programs[0])[0]
        if len(jaxpr.invars) != len(eqn.invars) or len(jaxpr.outvars) != len(eqn.outvars):
            return
        inside = _Search(())
        for var, operand in zip(jaxpr.invars, eqn.invars, strict=True):
            if (chain := self.chain(operand)) is not None:
                inside.chains[var] = chain
            if (number := self.number(operand)) is not None:
                inside.numbers[var] = number
        for equation in jaxpr.eqns:
            inside.see(equation)
        name = jaxprs.function_name(eqn)
        roots = {chain.root for var in eqn.invars if (chain := self.chain(var)) is not None}
        self.softmaxed |= {root: None for root in inside.into_softmax() if root in roots}
        for var, result in zip(eqn.outvars, jaxpr.outvars, strict=True):
            chain = inside.chain(result)
            if chain is not None and chain.root in roots:
                self.passed.add(var)
                before = {f for v in eqn.invars if (c := self.chain(v)) is not None for f in c.functions}
                named = name in NAMED and bool(set(chain.functions) - before)
                functions = (*(f for f in chain.functions if f in before), name) if named else chain.functions
                self.chains[var] = replace(
                    chain,
                    functions=functions,
                    bent=chain.bent or named,
                    last=(name,) if named else chain.last,
                    scaled=False,
                )
            elif (chain and not chain.functions) or (how == "custom" and jaxprs.products_inside(eqn)):
                self.chains[var] = _start(var)

    def _norm(self, eqn: Any) -> None:
        added = None if jaxprs.is_literal(eqn.invars[0]) else self.made_by.get(eqn.invars[0])
        if added is None or added.primitive.name != "add":
            return
        for variance, epsilon in (added.invars, added.invars[::-1]):
            number = self.number(epsilon)
            if number is not None and 0 < number <= _LARGEST_EPSILON and variance in self.made_by:
                self.norms[variance] = (eqn.primitive.name, number)

    def into_softmax(self) -> dict[Any, None]:
        """Roots that are exponentiated and summed, here or in a function that was called."""
        for var, chain in self.chains.items():
            exponential = [eqn.outvars[0] for eqn in self.users.get(var, ()) if eqn.primitive.name == "exp"]
            summed = any(eqn.primitive.name == "reduce_sum" for out in exponential for eqn in self.users.get(out, ()))
            if summed and not chain.functions:
                self.softmaxed[chain.root] = None
        return self.softmaxed

    def patterns(self) -> Patterns:
        """Return what the chains amount to."""
        made = Patterns(norms=self.norms, passed=self.passed)
        onward: set[Any] = set()  # variables that an activation follows
        for var, chain in reversed(self.chains.items()):
            if not chain.functions:
                made.follows[var] = chain
            users = self.users.get(var, ())
            later = [out for eqn in users for out in eqn.outvars if (c := self.chains.get(out)) and c.key == chain.key]
            if any(out in onward or out in made.activations for out in later):
                onward.add(var)
                continue
            name = called(chain.functions, chain.last) if chain.bent and jaxprs.is_float(var) else ""
            if name and not self._of_a_derivative(var, chain):
                made.activations[var] = (chain, name)
        for root in self.into_softmax():
            scaled = [var for var, chain in self.chains.items() if chain.root is root and chain.scaled]
            made.logits[root] = scaled[-1] if scaled else root
        return made

    def _of_a_derivative(self, var: Any, chain: Chain) -> bool:
        """Return whether it is a product of derivatives inside the loss, several of them functions of one value."""
        eqn = self.made_by.get(var)
        return eqn is not None and "jvp(" in jaxprs.scope(eqn) and len(chain.functions) > 1


def _start(var: Any) -> Chain:
    return Chain(var, tuple(range(len(jaxprs.shape_of(var)))))


def called(functions: tuple[str, ...], last: tuple[str, ...] = ()) -> str:
    """Return the name of the activation that these operations make, the last of them; empty where none is known.

    The square of a hyperbolic tangent is none: the tangent is, where it stands.
    """
    known = [name for name in functions if name in NAMED]
    if known:
        fits = set(last) <= {known[-1]} and known[-1] not in _OF_LOSSES
        return ALIASES.get(known[-1], known[-1]) if fits else ""
    return next((name for signs, name in _SIGNS if set(last) <= signs <= set(functions)), "")
