"""Backward through the periods: one scan over one template, checkpointed."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from stagecraft.functional import Closed, Linked
from stagecraft.horses.egm import room_above
from stagecraft.model_circuit import ModelCircuit
from stagecraft.solution import Answer, Rows

Flags = dict[str, Bool[Array, " periods"]]


def sweep(circuit: ModelCircuit) -> tuple[dict[str, Rows], Flags]:
    """Solve all periods backward from the terminal value.

    The scan carries the continuation at the points where the period before asks for it, so that every period is evaluated
    with its own parameters, and its continuation points with those of the period before.

    **Returns:** the rows of every stage with a leading axis over the periods, and what went wrong in which period.
    """
    horizon = circuit.structure.horizon
    (num,) = circuit.structure.stages
    (link,) = circuit.structure.inter_period
    points_of = lambda t: circuit.build(num.name, t).cntn_to_dcsn.operator.points

    def body(answer: Answer, t):
        stage = circuit.build(num.name, t)
        optimise = stage.cntn_to_dcsn.operator
        decision = optimise.from_points(answer)
        arrival = stage.dcsn_to_arvl(decision)
        before = Linked(arrival, link.mapping).at(points_of(jnp.maximum(t - 1, 0)))
        flags = {
            "grid": jnp.all(jnp.diff(optimise.problem.knots) > 0),
            "continuation": _finite((answer.value, answer.marginal)),
            "decision": _finite(decision.rows),
            "unfolded": _unfolded(decision.rows),
            "maximal": decision.rows.maximal,
        }
        return _strong(before), (decision.rows, flags)

    last = jnp.asarray(horizon - 1)
    terminal = _terminal_answer(Linked(circuit.terminal(num.name, last + 1), link.mapping), points_of(last))
    _, (rows, flags) = jax.lax.scan(jax.checkpoint(body), _strong(terminal), jnp.arange(horizon), reverse=True)
    return {num.name: rows}, flags


def _terminal_answer(terminal: Linked, points) -> Answer:
    """The terminal value at the points; where it is infinite (no wealth left, say), just above them."""
    assert isinstance(terminal.target, Closed)
    trial = jax.lax.stop_gradient(terminal.at(jax.lax.stop_gradient(points)))
    slopes = sum(trial.marginal.values())
    bad = ~(jnp.isfinite(trial.value) & jnp.isfinite(slopes))
    answer = terminal.at({name: jnp.where(bad, x + room_above(x), x) for name, x in points.items()})
    return Answer(answer.value, answer.marginal, answer.weight, ~bad)


def _finite(tree) -> Bool[Array, ""]:
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.all(jnp.isfinite(jnp.concatenate([jnp.ravel(x) for x in floats])))


def _unfolded(rows: Rows) -> Bool[Array, ""]:
    """Whether the endogenous knots increase, up to rounding."""
    span = jnp.abs(rows.state[-1] - rows.state[0])
    return jnp.all(jnp.diff(rows.state) >= -1e2 * jnp.finfo(span.dtype).eps * (1.0 + span))


def _strong(answer: Answer) -> Answer:
    """One structure for the terminal and for every step: no weak types, no policy."""
    dtype = answer.value.dtype
    cast = lambda x: jax.lax.convert_element_type(x, x.dtype if x.dtype == bool else dtype)
    return jax.tree.map(cast, Answer(answer.value, answer.marginal, answer.weight, answer.feasible))
