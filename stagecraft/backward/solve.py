"""Solving a circuit: one jitted program per structure, differentiable in every parameter."""

import dataclasses
import functools
import warnings
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from stagecraft.arrays import traced
from stagecraft.backward.diagnose import describe
from stagecraft.backward.fixed_point import fixed_point
from stagecraft.backward.midpoints import warn_between_knots, warn_of_bare_starts
from stagecraft.backward.sweep import sweep
from stagecraft.circuit.info import CHECKS, Info, bounded
from stagecraft.circuit.model_circuit import ModelCircuit
from stagecraft.circuit.stage import Stage
from stagecraft.functionals.decision import Optimum
from stagecraft.horses.horse import AbstractHorse
from stagecraft.programs.counts import compiling
from stagecraft.programs.unsaid import leave_unsaid
from stagecraft.results import Outcome, SolveError

Solvable = TypeVar("Solvable", ModelCircuit, Stage)


def solve(circuit: Solvable, *, throw: bool = True) -> Solvable:
    """Solve every period, backward from the terminal value; or one stage alone, from its continuation.

    Safe under `jax.jit`, `jax.grad`, `jax.jvp` and `jax.vmap` with respect to `circuit.parameters` and `.settings`. Where the
    outcome is concrete a failure raises; inside a transformation it is carried in `info`.

    **Arguments:** `circuit`, or a stage that has a continuation (`stage.with_continuation`); `throw=False` returns a failed
    solve as it is.

    **Returns:** the circuit with `stored` and `info` filled in; `solved[t][name].dcsn.sol` are its functions. The stage with
    `dcsn.sol` and `arvl.sol`.

    **Raises:** `SolveError` naming stage, perch, period and parameter; `ValueError` for a circuit that cannot be solved.
    """
    if isinstance(circuit, Stage):
        with compiling("solve", circuit):
            return _solve_alone(circuit, throw)
    _check(circuit)
    with compiling("solve", circuit):
        stored, info = _solve(_bare(circuit))
    solved = dataclasses.replace(circuit, stored=stored, info=info, dists=None)
    if throw and traced(info):
        leave_unsaid(lambda: info.outcome != Outcome.success)
    elif throw:
        _raise_if_failed(solved)
        _warn_of_jumps(info)
        warn_between_knots(solved)
        warn_of_bare_starts(solved)
    return solved


def solve_ahead(circuit: ModelCircuit) -> None:
    """Compile what `solve` will run, and run nothing; it refuses what `solve` refuses."""
    _check(circuit)
    with compiling("solve", circuit):
        _solve.lower(_bare(circuit)).compile()


def _bare(circuit: ModelCircuit) -> ModelCircuit:
    """An old solution is no input: solving again must not compile again."""
    return dataclasses.replace(circuit, stored=None, info=None, dists=None)


def _warn_of_jumps(info):
    """Say where a value jumps, since nobody is made to choose a post-state exactly at the jump."""
    for name, leaps in info.jumps.items():
        leaps = np.asarray(leaps).reshape(-1, np.shape(leaps)[-1]).max(axis=0)
        if leaps.any():
            warnings.warn(
                f"stage {name}, continuation (cntn), period {int(np.argmax(leaps > 0))} and {np.sum(leaps > 0) - 1} others: "
                "the value jumps inside a cell of the grid, as where a `when:` opens or shuts a branch; choices that stop "
                "exactly at the jump are missed, so values below it are too low. Smooth the condition, or give it taste shocks",
                stacklevel=3,
            )


def _raise_if_failed(solved):
    """Speak of the first type that failed, where there are types."""
    bad = np.flatnonzero(np.asarray(solved.info.outcome) != Outcome.success)
    if bad.size:
        one = solved if solved.types is None else solved.of_type(int(bad[0]))
        of = "" if solved.types is None else f"type {bad[0]}, "
        raise SolveError(Outcome(int(one.info.outcome)), of + describe(one))


@jax.jit
def _solve(circuit: ModelCircuit) -> tuple[tuple, Info]:
    """Rows and what is said of them, with a leading axis over the types if there are any."""
    types = circuit.types
    if types is None:
        return _solve_one(circuit)
    one = lambda k: dataclasses.replace(circuit, parameters=types.parameters(circuit.parameters, k), types=None)
    return jax.vmap(lambda k: _solve_one(one(k)))(jnp.arange(len(types)))


def _solve_one(circuit):
    if circuit.structure.horizon is not None:
        rows, health = sweep(circuit)
        return rows, Info(circuit.structure, health, bounded(circuit))
    one = lambda tree: jax.tree.map(lambda x: x[None], tree)
    rows, health, ending = fixed_point(circuit)
    return (one(rows),), Info(circuit.structure, (one(health),), bounded(circuit), ending)


def _solve_alone(stage: Stage, throw: bool) -> Stage:
    if not stage.solvable:
        raise ValueError(f"stage {stage.name} has no continuation to solve from; give one with stage.with_continuation(...)")
    decision, operator = stage.cntn_to_dcsn(*[perch.sol for perch in stage.ends.values()]), stage.cntn_to_dcsn.operator
    arrival = stage.dcsn_to_arvl(decision)
    if throw and isinstance(decision, Optimum) and isinstance(operator, AbstractHorse):
        _raise_alone(stage, operator.health(decision.stored))
    return stage.holding("sol", arrival, decision, {branch: perch.sol for branch, perch in stage.ends.items()})


def _raise_alone(stage, flags):
    """Speak of the gravest thing that happened to a decision, where it is concrete."""
    for outcome, names in CHECKS:
        well = flags.get(names[-1], True)
        if traced(well):
            leave_unsaid(lambda well=well: ~jnp.asarray(well))
        elif not well:
            raise SolveError(outcome, f"stage {stage.name}, decision (dcsn): {outcome.message}")


def _check(circuit: ModelCircuit) -> None:
    """What can be said before tracing."""
    if not isinstance(circuit, ModelCircuit):
        raise TypeError(f"solve takes a ModelCircuit, found {type(circuit).__name__}; load one with stagecraft.load(path)")
    leaves = jax.tree.leaves((circuit.parameters, circuit.settings))
    if any(leaf.dtype == jnp.float32 for leaf in leaves):
        if jnp.result_type(float) == jnp.float64:
            raise ValueError("this circuit was loaded in single precision, before enable_x64(); load it again")
        _warn_single()


@functools.cache
def _warn_single() -> None:
    warnings.warn(
        "solving in single precision: policies carry about five digits, values and gradients fewer; "
        "call stagecraft.enable_x64() before loading",
        stacklevel=4,
    )
