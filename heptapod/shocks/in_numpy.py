"""Nodes and their probabilities in NumPy, of laws that need no more than listed numbers or independent normals."""

from collections.abc import Mapping, Sequence

import numpy as np

from heptapod.formulas.in_numpy import number
from heptapod.shocks.base import AbstractShock
from heptapod.shocks.discrete import Discrete
from heptapod.shocks.markov import Markov
from heptapod.shocks.normal import Normal, product_nodes, standard_nodes


def nodes(shocks: Sequence[AbstractShock], scope: Mapping) -> tuple[dict[str, np.ndarray], np.ndarray] | None:
    """Of all shocks together, as `NumericProblem.nodes`; `None` where a law is of another kind, or two are Markov."""
    values, weights = {}, np.ones(1)
    for shock in shocks:
        found = _of_one(shock, scope)
        if found is None or (found[1].ndim == 2 and weights.ndim == 2):
            return None
        own, law = found
        count, k = weights.shape[-1], law.shape[-1]
        values = {n: np.repeat(v, k) for n, v in values.items()} | {n: np.tile(v, count) for n, v in own.items()}
        rows = law if law.ndim == 2 else law[None]
        before = weights if weights.ndim == 2 else weights[None]
        product = (before[:, :, None] * rows[:, None, :]).reshape(max(len(rows), len(before)), -1)
        weights = product if 2 in (law.ndim, weights.ndim) else product[0]
    return values, weights


def _of_one(shock, scope):
    if isinstance(shock, Discrete):
        return {n: v.numbers(scope) for n, v in zip(shock.dimensions, shock.values, strict=True)}, shock.probs.numbers(scope)
    if isinstance(shock, Markov):
        return {shock.dimensions[0]: shock.values.numbers(scope)}, shock.transition.numbers(scope)
    if (
        not isinstance(shock, Normal)
        or shock.corr
        or shock.point_mass is not None
        or (shock.log and shock.rule == "equiprobable")
    ):
        return None
    z, weights = product_nodes([standard_nodes(shock.rule, n) for n in shock.points])
    found = {}
    for name, x, mean, std in zip(shock.dimensions, z, shock.mean, shock.std, strict=True):
        m, s = number(mean, scope), number(std, scope)
        found[name] = m * np.exp(s * x - 0.5 * s**2) if shock.log else m + s * x
    return found, weights
