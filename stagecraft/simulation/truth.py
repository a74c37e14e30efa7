"""Whether agents who believe in one circuit can live in another: the same stages and connections, whatever else differs."""

import jax
import jax.numpy as jnp
import numpy as np

from stagecraft.arrays import dtype_of, traced
from stagecraft.circuit.model_circuit import ModelCircuit

_MAY = "`truth` may differ in parameters, transitions, shocks, nature's odds and survival, and in nothing else"


def check_truth(solved: ModelCircuit, truth) -> None:
    """Speak of the first difference that agents could not live with; `ValueError`."""
    if not isinstance(truth, ModelCircuit):
        raise ValueError(f"`truth` must be a ModelCircuit such as circuit.with_parameters({{...}}), found {truth!r}")
    for what, believed, true in _differences(solved, truth):
        if believed != true:
            raise ValueError(f"`truth` has {what} {_in_words(true)} where `solved` has {_in_words(believed)}; {_MAY}")
    _check_discrete(solved, truth)


def _differences(solved, truth):
    """Triples of a part in words and what it is in either circuit; in an order in which each is there if those before agree."""
    ours, theirs = solved.structure, truth.structure
    yield "the horizon", ours.horizon, theirs.horizon
    yield "numbers of the type", *(str(dtype_of(circuit.parameters)) for circuit in (solved, truth))
    yield "the stages", [num.name for num in ours.stages], [num.name for num in theirs.stages]
    for mine, other in zip(ours.stages, theirs.stages, strict=True):
        for part in ("branches", "controls", "discrete controls", "perches"):
            yield f"in stage {mine.name} the {part}", _declared(mine, part), _declared(other, part)
    yield "the kinds of period", _blocks(ours), _blocks(theirs)
    for mine, other in zip(ours.blocks, theirs.blocks, strict=True):
        yield f"from period {mine.first} on the connections", _links(mine), _links(other)
    types = [0 if circuit.types is None else len(circuit.types) for circuit in (solved, truth)]
    yield "the number of types", types[0], types[1] or types[0]


def _declared(num, part):
    if part == "perches":
        return [f"{perch} ({', '.join(_declaration(space, n) for n in space.dimensions)})" for perch, space in num.spaces]
    return {
        "branches": [b.name for b in num.branches if b.name],
        "controls": list(num.controls),
        "discrete controls": [name for name, _ in num.discrete],
    }[part]


def _declaration(space, name):
    grid = space.grid(name)
    return f"{name} in a set" if grid is not None and grid.discrete else name


def _blocks(structure):
    return [f"{b.first} to {b.last} ({', '.join(b.stages)})" for b in structure.blocks]


def _links(block):
    within = {False: " (within)", True: ""}
    return sorted(f"{x.end} -> {x.target}{within[x.crosses]} {dict(sorted(x.mapping))}" for x in block.links)


def _in_words(part):
    return ", ".join(part) or "none" if isinstance(part, list) else str(part)


def _check_discrete(solved, truth):
    """Policies are known at the values of discrete states that they were solved for, and at no others."""
    for mine, other in zip(solved.structure.stages, truth.structure.stages, strict=True):
        for (perch, space), (_, theirs) in zip(mine.spaces, other.spaces, strict=True):
            for name in (name for name, grid in space.grids if grid.discrete):
                ours, other_set = _sets(solved, mine.name, space.grid(name)), _sets(truth, other.name, theirs.grid(name))
                if not _alike(ours, other_set):
                    raise ValueError(
                        f"`truth` has in stage {mine.name}, {perch}, the values {_set_of(other_set)} of {name} where `solved` "
                        f"has {_set_of(ours)}; policies are known at those alone. Give both circuits the same set"
                    )


def _alike(one, other) -> bool:
    """Whether two sets agree to rounding, as far as numbers are known."""
    if traced(one, other):
        return True
    return one.shape == other.shape and np.allclose(one, other, rtol=100 * jnp.finfo(one.dtype).eps, atol=0)


def _set_of(values):
    """The set of the first period."""
    return ", ".join(f"{v:g}" for v in np.asarray(values)[0])


def _sets(circuit, stage, grid):
    """The set in every period, `(periods, values)`."""
    return jax.vmap(lambda t: grid.build(circuit.scope(stage, t)))(jnp.arange(circuit.structure.horizon or 1))
