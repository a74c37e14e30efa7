"""Values on the grid of an arrival: of all states at once, or block by block where all draws of them would fill the memory."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from stagecraft.functionals.axes import along
from stagecraft.horses.solution import Answer, Table
from stagecraft.households.cells import cells
from stagecraft.whisperers.expectation import open_on_arrival

# An array over states, draws and alternatives has so many numbers at most, or is made of blocks of so many: on a CPU of those
# that its nearest memory holds, elsewhere of enough for all that works at once.
WHOLE, BLOCK = 1 << 23, {"cpu": 1 << 15, "other": 1 << 24}


def tabulate(period, name) -> Table:
    """The answers on the grid of the arrival of a stage.

    States whose conditions fail whatever is drawn and chosen are not feasible; a block of such states alone is passed over.
    """
    axes = cells(period.circuit, name, period.t)
    sizes = tuple(axis.values.shape[0] for axis in axes)
    functional, outer = period.composed(name), _outer(period, name, sizes)
    if not outer:
        states = {axis.name: x for axis, x in zip(axes, along(axes), strict=True)}
        found = _kept(functional, axes, states, sizes)
    else:
        blocks = jax.lax.map(_block(period, name, functional, axes, outer), _lists(axes[:outer]))
        found = jax.tree.map(lambda x: x.reshape(sizes), blocks)
    if not any(period.circuit.structure.stage(stage).solution.stored for stage in period.block.stages):
        # The constant reward 1 is added where a control is chosen; where none is, here.
        found = dataclasses.replace(found, weight=found.weight + 1)
    return Table(found)


def blank_table(axes) -> Table:
    """Something of the structure of a table, where nothing is known."""
    return Table(_blank(axes, tuple(axis.values.shape[0] for axis in axes), True))


def _outer(period, name, sizes) -> int:
    """Along how many axes blocks are taken one by one; none where the whole is small."""
    num, problem = period.circuit.structure.stage(name), period.stage(name).dcsn_to_arvl.operator.problem
    scope = period.circuit.scope(name, period.t)
    options = math.prod(grid.build(scope).shape[0] for _, grid in num.discrete)
    each = problem.weights.shape[-1] * len(num.branches) * options
    if each * math.prod(sizes) <= WHOLE:
        return 0
    most = BLOCK.get(jax.default_backend(), BLOCK["other"])
    return next((k for k in range(len(sizes)) if each * math.prod(sizes[k:]) <= most), len(sizes))


def _lists(axes) -> dict:
    """Every combination of the values of some axes, each of them a list."""
    grids = jnp.meshgrid(*[axis.values for axis in axes], indexing="ij")
    return {axis.name: x.ravel() for axis, x in zip(axes, grids, strict=True)}


def _block(period, name, functional, axes, outer):
    """What is found of one block: the values of its outer axes are given."""
    sizes = tuple(axis.values.shape[0] for axis in axes[outer:])
    rest = {axis.name: x for axis, x in zip(axes, along(axes), strict=True)}
    num, scope = period.circuit.structure.stage(name), period.circuit.scope(name, period.t)

    def ask(states):
        answer = _kept(functional, axes, states, (1,) * outer + sizes)
        return jax.tree.map(lambda x: x.reshape(sizes), answer)

    def block(given):
        states = {**rest, **{name: x.reshape((1,) * len(axes)) for name, x in given.items()}}
        some = open_on_arrival(num, scope, states)
        if some is None:
            return ask(states)
        return jax.lax.cond(jnp.any(some), ask, lambda states: _blank(axes, sizes, False), states)

    # Going back through a block computes it again, so that one block at a time is kept.
    return jax.checkpoint(block)


def _kept(functional, axes, states, sizes) -> Answer:
    """What is stored of the answers at some states: of marginal values those of continuous ones."""
    answer = functional.at(states).plain()
    kept = {axis.name: answer.marginal[axis.name] for axis in axes if not axis.discrete}
    return jax.tree.map(lambda x: _strong(jnp.broadcast_to(x, sizes)), dataclasses.replace(answer, marginal=kept))


def _blank(axes, sizes, feasible) -> Answer:
    blank = jnp.zeros(sizes, axes[0].values.dtype)
    marginal = {axis.name: blank for axis in axes if not axis.discrete}
    return Answer(value=blank, marginal=marginal, weight=blank, feasible=jnp.full(sizes, feasible), outside=blank)


def _strong(x):
    return jax.lax.convert_element_type(x, x.dtype)
