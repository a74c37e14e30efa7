"""What an estimator must know of a circuit beside its public names: parameters of types, sets of states, laws of shocks."""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

TYPES = "types."


def values(circuit) -> dict[str, Array]:
    """Every parameter by path; those in which types differ as `types.main.beta`, their shares as `types.weights`."""
    found = {f"{scope}.{name}": x for scope, names in circuit.parameters.items() for name, x in names.items()}
    if circuit.types is None:
        return found
    return found | {TYPES + path: x for path, x in circuit.types.values.items()} | {f"{TYPES}weights": circuit.types.weights}


def with_values(circuit, new: Mapping):
    """The circuit at other values of its parameters, those of types among them, unsolved."""
    own = {path: x for path, x in new.items() if not path.startswith(TYPES)}
    circuit = circuit.with_parameters(own)
    kinds = {path.removeprefix(TYPES): x for path, x in new.items() if path.startswith(TYPES)}
    if not kinds:
        return circuit
    types = circuit.types
    if types is None or set(kinds) - {*types.values, "weights"}:
        known = [] if types is None else [f"{TYPES}{path}" for path in (*types.values, "weights")]
        raise ValueError(f"types have {', '.join(known) or 'no parameters, as the model has no types'}; found {', '.join(new)}")
    cast = lambda x, like: jnp.broadcast_to(jnp.asarray(x, like.dtype), like.shape)
    other = {path: cast(kinds.get(path, x), x) for path, x in types.values.items()}
    weights = cast(kinds.get("weights", types.weights), types.weights)
    return dataclasses.replace(circuit, types=dataclasses.replace(types, values=other, weights=weights))


def clock(circuit) -> np.ndarray:
    """The age of each period, or its number where there are no ages; of an infinite horizon one period."""
    t, age = np.arange(circuit.structure.horizon or 1), circuit.structure.calibration.age
    return t.astype(float) if age is None else age[0] + age[1] * t


def period_of(circuit, t: int) -> tuple:
    """What periods that one program serves have in common: their kind, and that of the next."""
    structure = circuit.structure
    if structure.horizon is None:
        return (0, 0)
    here = structure.blocks.index(structure.block(t))
    return here, t == structure.blocks[here].last


def first_of(circuit, kind: tuple) -> int:
    """The first period of a kind, whether or not anybody is seen in it."""
    blocks = circuit.structure.blocks
    return 0 if circuit.structure.horizon is None else blocks[kind[0]].last if kind[1] else blocks[kind[0]].first


def branch_names(circuit, stage: str) -> tuple[str, ...]:
    """The branches of a stage; none of a sequential one."""
    num = circuit.structure.stage(stage)
    return tuple(b.name for b in num.branches) if num.branching else ()


def by_nature(circuit, stage: str) -> bool:
    """Whether nature chooses."""
    choice = circuit.structure.stage(stage).choice
    return choice is not None and choice.by == "nature"


def grid_of(circuit, stage: str, name: str):
    """The grid of a decision or arrival state, its own or that of where it comes from; `None` without one."""
    num = circuit.structure.stage(stage)
    for place in (
        dict(num.spaces)["dcsn"].grid(name),
        dict(getattr(num.solution, "rows", ())).get(name),
        dict(num.spaces)["arvl"].grid(name),
    ):
        if place is not None:
            return place
    return None


def set_of(circuit, stage: str, name: str, t) -> Float[Array, " values"] | None:
    """The values of a discrete state or control, or of a shock with listed values, in period `t`; `None` of any other."""
    num, scope = circuit.structure.stage(stage), circuit.scope(stage, t)
    grid = dict(num.discrete).get(name, grid_of(circuit, stage, name))
    if grid is not None:
        return grid.build(scope) if grid.discrete else None
    for shock in num.shocks:
        if name in shock.dimensions and listed(shock):
            return shock.nodes(scope)[0][name]
    return None


def ends_of(circuit, stage: str, name: str, t) -> tuple[float, float] | None:
    """The ends of a continuous state's own grid in period `t`, if it has one at the decision or on arrival."""
    num = circuit.structure.stage(stage)
    for perch in ("dcsn", "arvl"):
        grid = dict(num.spaces)[perch].grid(name)
        if grid is not None and not grid.discrete:
            knots = np.asarray(grid.build(circuit.scope(stage, t)))
            return float(knots[0]), float(knots[-1])
    return None


def listed(shock) -> bool:
    """Whether a shock has listed values, and its nodes are the law itself."""
    return shock.finite


def dense(shock) -> bool:
    """Whether the density of a continuous shock is known: of ours, and of a user's own that says so."""
    return hasattr(shock, "point_mass") or hasattr(shock, "log_density")


def depends_on(circuit, stage: str, target: str) -> set[str]:
    """The names of arrival states and shocks in the equation of a decision state."""
    move = circuit.structure.stage(stage).to_decision
    sources = dict(move.sources)
    formula = dict(move.equations)[target]
    return {sources[key] for key in formula.names if key in sources}


def alternatives(decision, states: Mapping):
    """The answers of a stage's solution for each alternative on a leading axis, and how they are joined; `None` if by none."""
    problem = getattr(decision, "choice", None) or getattr(decision, "problem", None)
    if not hasattr(problem, "alternatives") or not hasattr(decision, "stack"):
        return decision.at(dict(states)), None
    return decision.stack(dict(states)), problem


def links_to(circuit, stage: str, t: int) -> tuple:
    """The connections that may lead to a stage in period `t`, from the same period and from the one before."""
    structure = circuit.structure
    same = [link for link in structure.block(t).links if link.target == stage and not link.crosses]
    if t == 0 and structure.horizon is not None:
        return tuple(same)
    before = structure.block(max(t - 1, 0)).links
    return (*same, *[link for link in before if link.target == stage and link.crosses])
