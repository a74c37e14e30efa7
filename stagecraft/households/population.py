"""Populations on a perch: weighted points, and what one asks of a distribution."""

from collections.abc import Mapping
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagecraft.arrays import listed, page, traced, where
from stagecraft.operators.interpolate import Segment


class Population(eqx.Module):
    """Households on one perch: points with weights, whether simulated agents or what a histogram sends there.

    Means, variances and shares are of the households that are here; `mass` says how many those are.

    **Attributes:**

    - `states`: one array per state (and shock or control decided here).
    - `weights`: of the points.
    - `sizes`: states and lengths of the axes whose product the points are, the last one fastest; empty where they are a list.
    """

    states: dict[str, Float[Array, " points"]]
    weights: Float[Array, " points"]
    sizes: tuple[tuple[str, int], ...] = eqx.field(static=True, default=())

    def __repr__(self) -> str:
        if traced(self):
            return f"Population of {', '.join(self.states)}, being traced"
        w = np.asarray(self.weights, float)
        rows = [("mass", f"{w.sum():.6g}, at {np.sum(w > 0)} points")]
        for name, x in self.states.items() if w.any() else ():
            x = np.broadcast_to(np.asarray(x, float), w.shape)[w != 0]
            rows.append((name, f"mean {np.average(x, weights=w[w != 0]):.6g}, from {x.min():.6g} to {x.max():.6g}"))
        return listed("Population", rows)

    def _repr_html_(self) -> str:
        return page(repr(self))

    @property
    def mass(self) -> Float[Array, ""]:
        """The share of households that are on this perch; their number, if `initial` was one."""
        return jnp.sum(self.weights)

    def mean(self, name: str) -> Float[Array, ""]:
        """The mean of the state `name`, in its own unit; NaN where nobody is. `KeyError` for a state that is not there."""
        return self._average(self._of(name))

    def variance(self, name: str) -> Float[Array, ""]:
        """The variance of the state `name`, in its unit squared."""
        return self._average((self._of(name) - self.mean(name)) ** 2)

    def expect(self, function) -> Float[Array, ""]:
        """The mean of a `function` of the states by name, `dist.expect(lambda a, y: a * y)`; it may name some of them."""
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        return self._average(function(**{name: self._of(name) for name in names}))

    def quantile(self, name: str, q) -> Float[Array, "..."]:
        r"""The $q$-quantile of the state `name` for `q` $\in [0, 1]$, a number or an array, in the shape of `q`.

        Points are joined by straight lines at the middle of their mass; the lowest and the highest value are atoms, so that
        a quantile of wealth is exactly the borrowing limit as long as so many are there.
        """
        x, w = self._sorted(name)
        return _quantile(x, w, jnp.asarray(q, x.dtype))

    def lorenz(self, name: str, p) -> Float[Array, "..."]:
        """The share of the total of `name` that the poorest `p` of households hold, linear between points; shaped as `p`."""
        x, w = self._sorted(name)
        return _lorenz(x, w, jnp.asarray(p, x.dtype))

    def share(self, name: str, top: float = 0.1) -> Float[Array, "..."]:
        """The share of the total of `name` that the richest `top` of households hold; in the shape of `top`."""
        return 1.0 - self.lorenz(name, 1.0 - jnp.asarray(top))

    def gini(self, name: str) -> Float[Array, ""]:
        """The Gini coefficient of `name`: twice the area between the Lorenz curve and the diagonal."""
        heads, held = _curve(*self._sorted(name))
        return 1.0 - jnp.sum((heads[1:] - heads[:-1]) * (held[1:] + held[:-1]))

    def marginal(self, *names: str) -> "Population":
        """The distribution of the states `names` alone."""
        return Population({name: self._of(name) for name in names}, self.weights)

    def where(self, keep) -> "Population":
        """The households for whom a condition holds, `keep`, truths over the points; the mass is theirs alone."""
        return Population(self.states, where(keep, self.weights, 0.0))

    def by(self, name: str, values=None) -> dict[float, "Population"]:
        """The distribution at each value of the state `name`, by value; the masses add up to the whole.

        **Arguments:** `values`: those to look at, the nearest one counts; all that occur if left out, which needs numbers,
        so that `values` must be given inside `jit` or `grad`.

        **Raises:** `ValueError` where they are not.
        """
        x = self._of(name)
        if values is None:
            if traced(x):
                raise ValueError(f"inside a transformation `by` needs the values of {name}: dist.by({name!r}, values=[...])")
            values = np.unique(np.asarray(x)[np.asarray(self.weights) > 0])
        values = np.sort(np.asarray(values, float))
        at = jnp.argmin(jnp.abs(x[:, None] - values), axis=1)
        return {float(v): self.where(at == i) for i, v in enumerate(values)}

    def rename(self, names: Mapping[str, str]) -> "Population":
        """The same households under other `names` of their states, `dist.rename({"a_nxt": "a"})`."""
        return Population({names.get(name, name): x for name, x in self.states.items()}, self.weights)

    def to_pandas(self):
        """One row per point that somebody is at: states, and `weight`."""
        import pandas as pd

        frame = pd.DataFrame({**{n: np.asarray(x) for n, x in self.states.items()}, "weight": np.asarray(self.weights)})
        return frame[frame["weight"] > 0].reset_index(drop=True)

    def _of(self, name):
        if name not in self.states:
            raise KeyError(f"no `{name}` here; there are {', '.join(self.states)}")
        return self.states[name]

    def _average(self, x):
        mass = self.mass
        # Where nobody is a state may be anything; a point of no weight may still have a derivative.
        total = jnp.sum(where((self.weights == 0) & ~jnp.isfinite(x), 0.0, x) * self.weights)
        return where(mass == 0, jnp.nan, total / where(mass == 0, 1.0, mass))

    def _sorted(self, name):
        """Values in increasing order with their weights; empty points beyond the others stand at the end of those."""
        x, w = self._of(name) * 1.0, self.weights
        top, bottom = jnp.max(where(w > 0, x, -jnp.inf)), jnp.min(where(w > 0, x, jnp.inf))
        x = where(w > 0, x, where(top >= bottom, jnp.clip(jnp.nan_to_num(x), bottom, top), 0.0))
        order = jnp.argsort(jax.lax.stop_gradient(x))
        return x[order], w[order]


def equal(states: dict[str, Float[Array, " agents"]]) -> Population:
    """Agents of equal weight, one in all."""
    count = next(iter(states.values())).shape[0]
    return Population(states, jnp.full(count, 1.0 / count))


def together(*parts: Population) -> Population:
    """Several populations as one."""
    states = {name: jnp.concatenate([part.states[name] for part in parts]) for name in parts[0].states}
    return parts[0] if len(parts) == 1 else Population(states, jnp.concatenate([part.weights for part in parts]))


# A search for segments that is not compiled as a whole is compiled anew in each call.
@partial(jax.jit, inline=True)
def _quantile(x, w, q):
    end, mass = jnp.cumsum(w), jnp.sum(w)
    place = where(x <= x[0], end, where(x >= x[-1], end - w, end - 0.5 * w)) / where(mass > 0, mass, 1.0)
    inside = jnp.clip(q, place[0], place[-1])
    return where(mass > 0, Segment(place, inside).linear(x), jnp.nan) if x.shape[0] > 1 else x[0] + 0.0 * q


@partial(jax.jit, inline=True)
def _lorenz(x, w, p):
    heads, held = _curve(x, w)
    return Segment(heads, p).linear(held)


def _curve(x, w):
    """The Lorenz curve of sorted values, from the origin: shares of households and of the total."""
    none = jnp.zeros(1, w.dtype)
    heads, held = (jnp.concatenate([none, jnp.cumsum(y)]) for y in (w, w * x))
    scale = lambda y: y / where(y[-1] == 0, 1.0, y[-1])
    return scale(heads), scale(held)
