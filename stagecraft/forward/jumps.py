"""Where a policy jumps: points without mass whose weights carry the derivative of the jump's place.

An aggregate of a function that jumps by $f_L - f_R$ at $x^*(\\theta)$ has in its derivative the term
$\\rho(x^*)\\,(f_L - f_R)\\,dx^*/d\\theta$, which no derivative taken at points beside the jump sees. Two points at $x^*$, one
on either side, with the weights $\\pm\\rho\\,(x^* - \\bar x^*)$ (a bar stops the derivative) leave every value as it is and add
exactly this.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagecraft.arrays import where
from stagecraft.functionals.searched import SearchedDecision
from stagecraft.movers.switches import Line, finders, own_switches
from stagecraft.movers.ties import ASIDE
from stagecraft.operators.interpolate import take

# What is said of the jumps that one stage's households meet in one period: the largest number in one cell; the households in
# cells with a jump; those at whose jumps no derivative looks; those in cells across which a choice under small taste shocks
# turns; by how much the densities on both sides of a jump differ, relative to their sum.
REPORT = ("most", "beside", "unseen", "steep", "rough")

_still = jax.lax.stop_gradient


class _Cells(NamedTuple):
    """Consecutive points: whether they are neighbours, the mass between them, how uneven their densities are."""

    pairs: Bool[Array, " pairs"]
    mass: Float[Array, " pairs"]
    rough: Float[Array, " pairs"]

    @property
    def room(self) -> int:
        """For so many jumps there is room."""
        return min(self.pairs.shape[0], max(32, (self.pairs.shape[0] + 1) // 8))


def jump_points(decision, at: dict, shocks: dict, weights):
    """The points to add: decision states, shocks and weights of the same form, `None` where nothing can jump; the report.

    Neighbours on a grid are consecutive points that differ in one state alone.
    """
    nothing = jnp.zeros(len(REPORT), weights.dtype)
    if isinstance(decision, SearchedDecision) and decision.problem.jumps:
        nothing = nothing.at[REPORT.index("unseen")].set(_still(jnp.sum(weights)))
    if not finders(decision) or weights.shape[0] < 3:
        return None, nothing
    cells = _neighbours({**shocks, **at}, weights)
    found = own_switches(decision, at, Line(cells.pairs, cells.mass, cells.room))
    lower, there, place, moved = (jnp.concatenate(parts) for parts in zip(*[x[:4] for x in found], strict=True))
    carried = where(there, take(cells.mass, lower), 0.0) * where(there, moved - _still(moved), 0.0)
    ends = lambda group: {name: (take(x, lower), take(x, lower + 1)) for name, x in group.items()}
    sides = [{n: _still(a + (b - a) * (place + s * ASIDE)) for n, (a, b) in ends(at).items()} for s in (-1, 1)]
    states = {name: jnp.concatenate([side[name] for side in sides]) for name in at}
    drawn = {name: jnp.tile(_still(take(x, lower)), 2) for name, x in shocks.items()}
    report = nothing + _report(cells, lower, there, found)
    return (states, drawn, jnp.concatenate([carried, -carried])), report


def _neighbours(variables: dict, weights) -> _Cells:
    """Which consecutive points are neighbours, and the mass that their density puts between them.

    A point at the end of its row may be an atom, and says nothing of the density.
    """
    changes = sum((jnp.abs(x[1:] - x[:-1]) > 0).astype(jnp.int32) for x in variables.values())
    rises = sum(where(jnp.abs(x[1:] - x[:-1]) > 0, x[1:] - x[:-1], 0.0) for x in variables.values())
    # A shock may be carried into a state of the same name, so that one change is counted once a name.
    pairs = _still(jnp.logical_and(changes == 1, rises > 0))
    gap = _still(where(pairs, rises, 0.0))
    none = jnp.zeros(1, bool)
    inner = jnp.concatenate([none, pairs]) & jnp.concatenate([pairs, none])
    width = 0.5 * (jnp.append(0.0, gap) + jnp.append(gap, 0.0))
    density = where(inner, _still(weights) / where(inner, width, 1.0), 0.0)
    known = inner.astype(weights.dtype)
    total, count = density[1:] + density[:-1], known[1:] + known[:-1]
    rough = where((count > 1) & (total > 0), jnp.abs(density[1:] - density[:-1]) / where(total > 0, total, 1.0), 0.0)
    return _Cells(pairs, gap * total / jnp.maximum(count, 1.0), rough)


def _report(cells, lower, there, found):
    """What is to be said of all jumps that were found, in the order of `REPORT`."""
    count = jnp.zeros(cells.pairs.shape, jnp.int32).at[lower].add(there.astype(jnp.int32))
    beside = where(count > 0, cells.mass, 0.0)
    mass = jnp.sum(beside)
    rough = jnp.sum(beside * cells.rough) / where(mass > 0, mass, 1.0)
    most = jnp.max(where(cells.mass > 0, count, 0)).astype(mass.dtype)
    unseen, steep = sum(x.unseen for x in found), sum(x.steep for x in found)
    return _still(jnp.stack([most, mass, unseen, steep, rough]))
