"""Where mass lives between periods: the grid of every arrival state, its own or that of a perch it comes from or goes to."""

import functools

import jax
import jax.numpy as jnp

from stagecraft.functionals.axes import Axis, continuation_of
from stagecraft.households.population import Population
from stagecraft.operators.lottery import Landed, lottery


@functools.lru_cache(maxsize=64)
def homes(structure) -> dict[str, dict[str, tuple]]:
    """For every stage and arrival state (owner, perch, grid), if there is one.

    A state keeps its grid where it keeps its value: through transitions that copy it, and along connections. Its own grid
    on arrival comes first, then a continuous one (it holds whatever the state may be), the one with the most knots.
    """
    parent: dict = {}

    def root(x):
        while parent.setdefault(x, x) != x:
            x = parent[x]
        return x

    for a, b in _copies(structure):
        parent[root(a)] = root(b)
    gridded: dict = {}
    for place, grid in _grids(structure):
        gridded.setdefault(root(place), []).append((place[0], place[1], grid))
    found = {}
    for num in structure.stages:
        found[num.name] = {}
        for name in num.dimensions("arvl"):
            options = gridded.get(root((num.name, "arvl", name)), ())
            found[num.name][name] = max(options, key=functools.partial(_preference, num.name), default=None)
    return found


def _preference(stage, home):
    """The order of grids that a state may live on: the stage's own on arrival, a continuous one, one with more knots."""
    owner, perch, grid = home
    return (owner, perch) == (stage, "arvl"), not grid.discrete, grid.points


def _copies(structure):
    """Pairs of (stage, perch, name) that always hold the same value."""
    for num in structure.stages:
        yield from _equal(num.name, num.to_decision, "arvl", "dcsn")
        for branch in num.branches:
            yield from _equal(num.name, branch.to_continuation, "dcsn", continuation_of(branch.name))
    for link in structure.links:
        end = continuation_of(link.branch)
        yield from (((link.source, end, here), (link.target, "arvl", there)) for here, there in link.mapping)


def _equal(stage, transition, before, after):
    tags, names = {"arvl": "[<]", "dcsn": "[~]"}, dict(transition.sources)
    for name, formula in transition.equations:
        if formula.tree[0] == "sym" and formula.tree[1] in names:
            key = formula.tree[1]
            yield (stage, before if key.endswith(tags[before]) else "drawn", names[key]), (stage, after, name)


def _grids(structure):
    for num in structure.stages:
        yield from (((num.name, perch, name), grid) for perch, space in num.spaces for name, grid in space.grids)
        yield from (((num.name, "dcsn", name), grid) for name, grid in num.solution.passive)
        yield from (((num.name, "drawn", name), grid) for name, grid in num.discrete)


def cells(circuit, stage: str, t, refine: int = 1) -> tuple[Axis, ...]:
    """The grids of a stage's arrival in period `t`, one for each state in order.

    **Arguments:** `refine`: into how many parts the cells of continuous grids are cut.

    **Raises:** `ValueError` for a state without a grid, with the line to add.
    """
    found, axes = homes(circuit.structure)[stage], []
    for name in circuit.structure.stage(stage).dimensions("arvl"):
        if found[name] is None:
            raise ValueError(
                f"stage {stage}, arrival: no grid for `{name}`, here or on a perch that has the same state, so that mass has "
                f"nowhere to live; add state_space: {{arvl: {{grid: {{{name}: ...}}}}}}"
            )
        owner, perch, grid = found[name]
        # A continuation's grid was built one period before.
        scope = circuit.scope(owner, jnp.maximum(t - 1, 0) if perch.startswith("cntn") else t)
        knots = grid.build(scope)
        axes.append(Axis(name, name, knots if grid.discrete else _finer(knots, refine), grid.discrete))
    return tuple(axes)


def _finer(knots, refine):
    if refine == 1 or knots.shape[0] < 2:
        return knots
    steps = jnp.arange(refine, dtype=knots.dtype) / refine
    inner = knots[:-1, None] + (knots[1:] - knots[:-1])[:, None] * steps
    return jnp.append(inner.ravel(), knots[-1])


def spread(axes: tuple[Axis, ...], mass) -> Population:
    """The cells of a grid as weighted points, neighbours along the first continuous axis next to each other."""
    first = next((i for i, axis in enumerate(axes) if not axis.discrete), len(axes) - 1)
    flat = lambda x: jnp.moveaxis(x, first, -1).ravel()
    grids = jnp.meshgrid(*[axis.values for axis in axes], indexing="ij")
    order = (*axes[:first], *axes[first + 1 :], axes[first])
    sizes = tuple((axis.name, axis.values.shape[0]) for axis in order)
    return Population({axis.name: flat(x) for axis, x in zip(axes, grids, strict=True)}, flat(mass), sizes)


def settle(axes: tuple[Axis, ...], people: Population, open=None) -> Landed:
    """Points put onto a grid by lottery, on the cells that are `open` where those are given."""
    positions = tuple(people.states[axis.name] for axis in axes)
    return lottery(positions, people.weights, tuple(axis.values for axis in axes), tuple(axis.discrete for axis in axes), open)


def empty(axes: tuple[Axis, ...]) -> jax.Array:
    """A grid at which nobody is."""
    return jnp.zeros(tuple(axis.values.shape[0] for axis in axes), axes[0].values.dtype)
