"""Compiling ahead of time: what a circuit will need, before anybody waits for it."""

from collections.abc import Callable

import jax
from jaxtyping import Array

from stagecraft.arrays import traced
from stagecraft.backward.solve import solve, solve_ahead
from stagecraft.circuit.model_circuit import ModelCircuit


def compile(circuit: ModelCircuit, gradient: bool | Callable[[ModelCircuit], Array] = False) -> None:
    """Compile the programs of a circuit, so that later verbs find them: in this process, and on disk where they are kept.

    Afterwards `solve(circuit)` compiles nothing, whatever the parameter values.

    **Arguments:** `circuit`: its structure, sizes and float type decide, its numbers do not. `gradient`: also what
    `jax.grad(lambda p: fn(solve(circuit.with_parameters(p))))(circuit.parameters)` needs, outside `jax.jit`, with this `fn`;
    `True` is the value at one point of the first stage of period 0. A program of your own around the verbs compiles as a
    whole: say `jax.jit(yours).lower(parameters).compile()`.

    **Raises:** `ValueError` inside a transformation, and for a circuit that cannot be solved.
    """
    if traced(circuit):
        raise ValueError("inside a transformation a circuit is compiled with what is around it; compile it outside")
    solve_ahead(circuit)
    if gradient is not False:
        fn = gradient if callable(gradient) else _first_value
        # What is asked of a solve decides the program of its derivative, so it is found by asking.
        jax.grad(lambda parameters: fn(solve(circuit.with_parameters(parameters), throw=False)))(circuit.parameters)


def _first_value(solved) -> Array:
    """The value of a decision in period 0, at one point: any will do, since where it lies decides no program."""
    one = solved if solved.types is None else solved.of_type(0)
    sol = one[0][one.structure.blocks[0].stages[0]].dcsn.sol
    return sol.value(**dict.fromkeys(sol.dimensions, 1.0))
