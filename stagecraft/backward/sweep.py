"""Backward through the periods: one scan over one template for each kind of period, checkpointed."""

import jax
import jax.numpy as jnp

from stagecraft.arrays import where
from stagecraft.backward.tabulate import blank_table, tabulate
from stagecraft.circuit.composer import Composer
from stagecraft.circuit.info import FLAGS, Health
from stagecraft.functionals.composed import Either
from stagecraft.functionals.functional import AbstractFunctional
from stagecraft.horses.health import finite
from stagecraft.horses.horse import AbstractHorse
from stagecraft.horses.solution import Answer, Table
from stagecraft.horses.stored import AbstractStored
from stagecraft.households.cells import cells
from stagecraft.operators.loop_start import loop_start
from stagecraft.operators.packed import Packing

# So many cells above the lowest feasible post-state no jump is looked for.
_EDGE = 4


def sweep(circuit) -> tuple[tuple[dict, ...], tuple[dict[str, Health], ...]]:
    """Solve all periods backward from the terminal value.

    The scan carries what the next period stores, so that its functional objects are evaluated with its own parameters where
    this period asks for them. In the last period of a block they are those of the block that follows, or the terminal value.

    **Returns:** for each block what its stages store, with a leading axis over its periods, and what went wrong when.
    """
    stored, flags, after = [], [], _Terminal(circuit)
    for block in reversed(circuit.structure.blocks):
        rows, found = _solve_block(circuit, block, after)
        stored.append(rows)
        flags.append(found)
        first = jax.tree.map(lambda x: x[0], rows)
        after = Composer(circuit, block, jnp.asarray(block.first), first, nothing)
    return tuple(reversed(stored)), tuple(reversed(flags))


class _Terminal:
    """What stands in for a period after the last one."""

    def __init__(self, circuit):
        self.circuit = circuit

    def arrival(self, name: str) -> AbstractFunctional:
        """The terminal value of a stage."""
        return self.circuit.terminal(name, jnp.asarray(self.circuit.structure.horizon))


def nothing(name: str):
    """What is said where a value is asked for that nobody stores."""
    raise ValueError(f"stage {name} of the period after the next is asked for a value, and no stage between stores any")


def _solve_block(circuit, block, after):
    """The stored solutions of consecutive periods of one kind."""
    if block.first == block.last:
        rows, flags, _ = step(circuit, block, jnp.asarray(block.first), after.arrival)
        return jax.tree.map(lambda x: x[None], (rows, flags))

    start = placeholders(circuit, block)
    packing = Packing(start)

    def body(following, t):
        own = Composer(circuit, block, t + 1, packing.unpack(following), nothing)
        onward = lambda name: Either(t == block.last, after.arrival(name), own.arrival(name))
        rows, health, _ = step(circuit, block, t, onward)
        rows = packing.pack(rows)
        return rows, (rows, health)

    times = jnp.arange(block.first, block.last + 1)
    _, (rows, health) = jax.lax.scan(jax.checkpoint(body), loop_start(packing.pack(start), circuit), times, reverse=True)
    return packing.unpack(rows, 1), health


def step(circuit, block, t, onward, stages=None, hold=None) -> tuple[dict[str, AbstractStored], dict, dict]:
    """One period backward: every stored stage, the last one first.

    **Arguments:** `stages`: those that are built already; `hold`: given the name of a perch and what is found
    there, what is kept of it.

    **Returns:** what is stored; the health of every stage; values and slopes of every continuation and every table on their
    grids, by perch.
    """
    hold = hold or (lambda name, answer: answer)
    period, flags, asked = Composer(circuit, block, t, {}, onward, stages), {}, {}
    for name, num, operator in _kept(period):
        if isinstance(operator, AbstractHorse):
            points, answer = operator.ask(period.continuation(name, ""))
            answer = hold(f"{name}.cntn", answer)
            stored = period.stored[name] = _strong(operator.solve(points, answer))
            flags[name] = _asked_flags(points, answer, num.solution) | operator.health(stored)
            asked[f"{name}.cntn"] = _asked(answer)
        if dict(num.spaces)["arvl"].tabulate:
            table = period.stored[name] = Table(hold(f"{name}.arvl", tabulate(period, name).answer))
            flags[name] = flags.get(name) or _table_flags(table)
            asked[f"{name}.arvl"] = _asked(table.answer)
    return period.stored, {name: _health(told) for name, told in flags.items()}, asked


def _kept(period: Composer):
    """The stages of a period of which something is stored, the last one first: name, functions, and what solves it."""
    for name in period.block.backward:
        num = period.circuit.structure.stage(name)
        if num.stored:
            yield name, num, period.stage(name).cntn_to_dcsn.operator


def _health(told: dict) -> Health:
    """What was said, in one vector."""
    well = [jnp.asarray(told.get(flag, True)) for flag in FLAGS]
    return Health(jnp.stack(well), told["outside"], told["jumps"])


def _asked(answer: Answer):
    """Values where there are any, and slopes."""
    return jax.lax.stop_gradient((where(answer.feasible, answer.value, 0.0), answer.marginal))


def _asked_flags(points: dict, answer: Answer, solution):
    """What can be said of the continuation's answers."""
    asked = where(answer.feasible, answer.outside, 0.0)
    return {
        "continuation": finite((answer.value, answer.marginal)),
        "outside": jax.lax.stop_gradient(jnp.sum(asked) / jnp.maximum(jnp.sum(answer.feasible), 1)),
        "jumps": _jumps(points[solution.post], answer, answer.marginal[solution.post]) if solution.may_jump else None,
    }


def _jumps(knots, answer: Answer, slope):
    """In how many cells the continuation's value rises by more than its slopes allow, or falls against them, in any row."""
    knots, value, slope, good = jax.lax.stop_gradient(jnp.broadcast_arrays(knots, answer.value, slope, answer.feasible))
    width, rise, good = jnp.diff(knots), jnp.diff(value), good[..., 1:] & good[..., :-1] & (jnp.diff(knots) > 0)
    # Near the edge of what is feasible slopes have no end, and cells are coarse beside them.
    inner = good & (jnp.cumsum(good, axis=-1) > _EDGE)
    one, two = slope[..., :-1] * width, slope[..., 1:] * width
    spread = 0.01 * jnp.sum(where(inner, jnp.abs(rise), 0.0), axis=-1, keepdims=True)
    steep, low = jnp.maximum(jnp.maximum(one, two), 0.0), jnp.minimum(jnp.minimum(one, two), 0.0)
    leaps = (rise > 2 * steep + spread) | (rise < 2 * low - spread)
    return jnp.max(jnp.sum(inner & leaps, axis=-1, dtype=jnp.int32))


def _table_flags(table: Table):
    outside = jax.lax.stop_gradient(jnp.mean(table.answer.outside))
    found = jnp.any(table.answer.feasible)
    return {"continuation": finite(table.answer), "found": found, "outside": outside, "jumps": None}


def _strong(tree):
    """No weak types, so that every period has the structure of the one before."""
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), tree)


def placeholders(circuit, block) -> dict[str, AbstractStored]:
    """Something of the structure of a period's stored solutions, for the step that does not read it."""
    period, found = Composer(circuit, block, jnp.asarray(block.last), {}, nothing), {}
    for name, num, operator in _kept(period):
        if isinstance(operator, AbstractHorse):
            found[name] = _strong(operator.placeholder())
        if dict(num.spaces)["arvl"].tabulate:
            found[name] = blank_table(cells(circuit, name, jnp.asarray(block.last)))
    return found
