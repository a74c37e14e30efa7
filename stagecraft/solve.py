"""Solving a circuit: one jitted program per structure, differentiable in every parameter."""

import dataclasses
import functools
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from stagecraft._diagnose import describe
from stagecraft._sweep import sweep
from stagecraft.model_circuit import Info, ModelCircuit
from stagecraft.results import Outcome, SolveError
from stagecraft.stage import Stage


def solve(circuit: ModelCircuit | Stage, *, throw: bool = True) -> ModelCircuit | Stage:
    """Solve every period, backward from the terminal value; or one stage alone, from its continuation.

    Safe under `jax.jit`, `jax.grad`, `jax.jvp` and `jax.vmap` with respect to `circuit.parameters` and `.settings`. Where the
    outcome is concrete a failure raises; inside a transformation it is carried in `info`.

    **Arguments:** `circuit`, or a stage that has a continuation (`stage.with_continuation`); `throw=False` returns a failed
    solve as it is.

    **Returns:** the circuit with `rows` and `info` filled in; `solved[t][name].dcsn.sol` are its functions. The stage with
    `dcsn.sol` and `arvl.sol`.

    **Raises:** `SolveError` naming stage, perch, period and parameter; `ValueError` for a circuit that cannot be solved.
    """
    if isinstance(circuit, Stage):
        return _solve_alone(circuit, throw)
    _check(circuit)
    # An old solution is no input: solving again must not compile again.
    solved = _solve(ModelCircuit(circuit.parameters, circuit.settings, circuit.structure, circuit.source))
    # The compiled program remembers the source that it was first traced with.
    solved = ModelCircuit(solved.parameters, solved.settings, circuit.structure, circuit.source, solved.rows, solved.info)
    outcome = solved.info.outcome
    if throw and not isinstance(outcome, jax.core.Tracer) and outcome.ndim == 0 and int(outcome) != Outcome.success:
        raise SolveError(Outcome(int(outcome)), describe(solved))
    return solved


@jax.jit
def _solve(circuit: ModelCircuit) -> ModelCircuit:
    rows, flags = sweep(circuit)
    info = _info(circuit, flags)
    return eqx.tree_at(lambda c: (c.rows, c.info), circuit, (rows, info), is_leaf=lambda x: x is None)


def _solve_alone(stage: Stage, throw: bool) -> Stage:
    if not stage.solvable:
        raise ValueError(f"stage {stage.name} has no continuation to solve from; give one with stage.with_continuation(...)")
    decision = stage.cntn_to_dcsn(stage.cntn.sol)
    arrival = stage.dcsn_to_arvl(decision)
    rows = [leaf for leaf in jax.tree.leaves(decision.rows) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    concrete = not any(isinstance(leaf, jax.core.Tracer) for leaf in rows)
    if throw and concrete and not decision.rows.maximal:
        raise SolveError(Outcome.convex, f"stage {stage.name}, decision (dcsn): {Outcome.convex.message}")
    if throw and concrete and not all(np.isfinite(leaf).all() for leaf in rows):
        message = f"stage {stage.name}, decision (dcsn): {Outcome.nonfinite.message}"
        raise SolveError(Outcome.nonfinite, message)
    if throw and concrete and np.any(np.diff(decision.rows.state) < 0):
        raise SolveError(Outcome.folded, f"stage {stage.name}, decision (dcsn): {Outcome.folded.message}")
    perches = (dataclasses.replace(p, sol=sol) for p, sol in ((stage.arvl, arrival), (stage.dcsn, decision)))
    return dataclasses.replace(stage, **dict(zip(("arvl", "dcsn"), perches, strict=True)))


def _info(circuit, flags) -> Info:
    """The gravest thing that happened, and the last period in which it did: the first that the sweep met."""
    horizon = circuit.structure.horizon
    latest = lambda good: jnp.max(jnp.where(good, -1, jnp.arange(horizon)), initial=-1)
    finite = flags["continuation"] & flags["decision"]
    in_domain = _in_domain(circuit)
    checks = [
        (Outcome.domain, in_domain),
        (Outcome.grid, flags["grid"]),
        (Outcome.convex, flags["maximal"]),
        (Outcome.nonfinite, finite),
        (Outcome.folded, flags["unfolded"]),
    ]
    outcome, period = jnp.asarray(int(Outcome.success)), jnp.asarray(-1)
    for code, good in reversed(checks):
        bad = ~jnp.all(good)
        outcome, period = jnp.where(bad, int(code), outcome), jnp.where(bad, latest(good), period)
    in_continuation = ~flags["continuation"][jnp.maximum(period, 0)] & (outcome == int(Outcome.nonfinite))
    place = jnp.where(period < 0, -1, jnp.where(in_continuation, 0, 1))
    dtype = jnp.result_type(*jax.tree.leaves(circuit.parameters), jnp.float32)
    return Info(outcome, period, place, jnp.asarray(horizon), jnp.zeros((), dtype))


def _in_domain(circuit):
    """Per period, whether every parameter lies in its domain."""
    horizon = circuit.structure.horizon
    good = jnp.ones(horizon, bool)
    for path, entry in circuit.structure.calibration.leaves().items():
        if entry.domain is not None:
            scope, _, name = path.partition(".")
            holds = entry.domain.holds(circuit.parameters[scope][name], jnp)
            good &= jnp.all(holds.reshape(horizon, -1), axis=1) if entry.by_age else jnp.all(holds)
    return good


def _check(circuit: ModelCircuit) -> None:
    """What can be said before tracing."""
    if not isinstance(circuit, ModelCircuit):
        raise TypeError(f"solve takes a ModelCircuit, found {type(circuit).__name__}; load one with stagecraft.load(path)")
    if circuit.structure.horizon is None:
        raise ValueError("the horizon is infinite; only finite horizons are solved so far")
    leaves = jax.tree.leaves((circuit.parameters, circuit.settings))
    if any(leaf.dtype == jnp.float32 for leaf in leaves):
        if jax.config.jax_enable_x64:
            raise ValueError("this circuit was loaded in single precision, before enable_x64(); load it again")
        _warn_single()


@functools.cache
def _warn_single() -> None:
    warnings.warn(
        "solving in single precision: policies carry about five digits, values and gradients fewer; "
        "call stagecraft.enable_x64() before loading",
        stacklevel=4,
    )
