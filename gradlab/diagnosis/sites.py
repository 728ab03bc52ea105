"""Places of a model at which its signals are read, and the parameters that feed them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What a site is. ``product``: of data and a parameter (a dense layer, a convolution). ``inner``: of data and data
#: (attention). ``logits``: an inner product that goes into a softmax. ``weights``: of parameters alone (low-rank
#: factors). ``lookup``: rows of an embedding. ``activation``: the nonlinearity behind a product. ``carry``: what a
#: scan hands on from step to step (the stream of stacked blocks, the state of a recurrence). ``norm``: the variance
#: that a normalisation divides by. ``custom``: the output of a function with a derivative rule of its own, or of a
#: kernel. ``tap``: a place that the user named with `gradlab.tap`.
SiteKind = Literal[
    "product", "inner", "logits", "weights", "lookup", "activation", "carry", "norm", "custom", "tap"
]  # fmt: skip


@dataclass(frozen=True)
class Site:
    """One place in the program of a loss.

    Parameters
    ----------
    number : int
        Its number, in the order of the program.
    name : str
        The user's path of the parameter that feeds it, ``encoder/up``; without one the scope and the line. A second
        site of the same name is called ``encoder/up#1``.
    kind : SiteKind
        What the operation is: a product with a weight, an activation, a norm, and so on.
    primitive : str
        The operation, by JAX's name.
    shape : tuple of int
        Of the value, in one step of the scans around it.
    dtype : str
        Of the value.
    source : str
        File and line of the user's code, ``model.py:31``; empty where it is not known.
    scope : str
        JAX's name stack.
    scans : tuple of (str, int, int)
        Of each scan around the site, from outside: ``"layers"`` where it takes the parameter apart, ``"steps"``
        elsewhere; its length; and its number, for two scans of one length are two.
    features : tuple of int
        Axes of the value that belong to the weight's outputs (units, channels); all others are examples and places.
    parameter : str
        Path of the parameter that feeds it; empty where there is none, or several.
    follows : int
        The site whose value it is a function of, entry by entry; -1 for none.
    function : str
        Of an activation its name (``relu``, ``tanh``), of a norm ``rsqrt``; else empty.
    epsilon : float
        Of a norm the number that is added to the variance; else 0.
    weight : int
        Of a product with a parameter, or of a lookup, which operand the parameter is; else -1.
    """

    number: int
    name: str
    kind: SiteKind
    primitive: str
    shape: tuple[int, ...]
    dtype: str
    source: str = ""
    scope: str = ""
    scans: tuple[tuple[str, int, int], ...] = ()
    features: tuple[int, ...] = ()
    parameter: str = ""
    follows: int = -1
    function: str = ""
    epsilon: float = 0.0
    weight: int = -1


@dataclass(frozen=True)
class Place:
    """A site in one step of the scans around it: one row of the table.

    Parameters
    ----------
    site : Site
        The place in the program.
    at : tuple of int
        The step of each scan, from outside.
    """

    site: Site
    at: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Return the site's name with its steps: ``blocks/up[3]``."""
        return self.site.name + "".join(f"[{i}]" for i in self.at)


@dataclass(frozen=True)
class Parameter:
    """One array of the parameters, or one layer's share of an array that a scan takes apart.

    Parameters
    ----------
    path : str
        The user's path: ``blocks/up/kernel``, with its place in a stack ``blocks/up/kernel[3]``.
    leaf : int
        Which leaf of the tree it is, in the order of `jax.tree.leaves`.
    at : tuple of int
        Its place on the first axes of the leaf.
    shape : tuple of int
        Of this share.
    dtype : str
        Of the array.
    state : {"used", "frozen", "cut", "disconnected"}
        Whether the loss depends on it; ``frozen`` where every way to the loss goes through `stop_gradient`, ``cut``
        where through an operation without a derivative.
    places : tuple of int
        Places that it feeds, in `Evidence.places`.
    """

    path: str
    leaf: int
    at: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: str
    state: Literal["used", "frozen", "cut", "disconnected"] = "used"
    places: tuple[int, ...] = ()


@dataclass(frozen=True)
class Unseen:
    """A place that could not be looked into.

    Parameters
    ----------
    why : str
        What stands around it: ``custom_vjp``, ``while_loop``, ``pallas_call``.
    name : str
        The function's or the scope's name.
    source : str
        File and line.
    products : int
        Matrix products and convolutions inside.
    """

    why: str
    name: str
    source: str
    products: int


@dataclass(frozen=True)
class Coverage:
    """What was seen of the model.

    Parameters
    ----------
    seen, products : int
        Products, convolutions and lookups that were read, and all that there are.
    unseen : tuple of Unseen
        Products that were not read, each with the reason.
    taps : int
        Places that the user named.
    rules : tuple of str
        Functions whose backward rule was written by hand (`jax.custom_vjp`).
    """

    seen: int
    products: int
    unseen: tuple[Unseen, ...] = ()
    taps: int = 0
    rules: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.seen} of {self.products} products seen"
        inside = [f"{place.products} inside {place.why} {place.name}".rstrip() for place in self.unseen]
        return "; ".join([text, *inside])
