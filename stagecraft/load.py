"""From a model file to a circuit: the border at which numbers become arrays."""

from collections.abc import Callable, Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from stagecraft.circuit.model_circuit import ModelCircuit
from stagecraft.circuit.source import ModelSource
from stagecraft.circuit.stage import HORSES
from stagecraft.horses.horse import AbstractHorse
from stagecraft.households.types import HouseholdTypes


def load(
    source: str | Path | Mapping,
    *,
    parameters: Mapping | None = None,
    settings: Mapping | None = None,
    horses: Mapping[str, type[AbstractHorse]] | None = None,
    shocks: Mapping[str, type] | None = None,
    grids: Mapping[str, type] | None = None,
    functions: Mapping[str, Callable] | None = None,
) -> ModelCircuit:
    """Read a model and make a circuit of it; nothing is solved or compiled.

    The float type is fixed here: double precision after `stagecraft.enable_x64()`, single before.

    **Arguments:**

    - `source`: the path of a YAML file or of a folder, its text, or the same tree as Python dictionaries.
    - `parameters`, `settings`: values in place of the file's, as `with_parameters` takes them.
    - `horses`: `stagecraft.HORSES | {"mine": Mine}`, a method that `methods: {solution: mine}` chooses; `shocks`, `grids`:
      `heptapod.SHOCKS | {...}`, `heptapod.GRIDS | {...}`; `functions`: elementwise JAX functions that equations call by name.
      All are compared by value: two loads of one file with the same parts share one compilation.

    **Returns:** a circuit that is not solved, with its parameters as arrays.

    **Raises:** `heptapod.ModelError` with every mistake in the file; `ValueError` for an unknown parameter path; `TypeError`
    for a part that lacks a method, saying what it should return.
    """
    # heptapod brings sympy, which whoever solves a stage of plain JAX functions need not import.
    import heptapod

    added = heptapod.added
    own = added("horses", horses, HORSES, AbstractHorse, frozen=False)
    records = {name: horse.record for name, horse in own.items()}
    spec = heptapod.load(source, horses=records, shocks=shocks, grids=grids, functions=functions)
    return circuit_of(spec, parameters=parameters, settings=settings, horses=own)


def circuit_of(
    spec, *, parameters: Mapping | None = None, settings: Mapping | None = None, horses: Mapping | None = None
) -> ModelCircuit:
    """A circuit from a model that heptapod has read.

    **Arguments:** `horses`: methods beside ours, by name.
    """
    dtype = jnp.result_type(float)
    arrays = lambda tree: {
        scope: {name: jnp.asarray(np.asarray(x), dtype) for name, x in names.items()} for scope, names in tree.items()
    }
    types = None
    if spec.types is not None:
        values = {path: jnp.asarray(x, dtype) for path, x in zip(spec.types.paths, spec.types.values, strict=True)}
        types = HouseholdTypes(values, jnp.asarray(spec.types.weights, dtype))
    circuit = ModelCircuit(arrays(spec.parameters), arrays(spec.settings), spec.structure, ModelSource(spec), types=types,
                           horses=tuple((horses or {}).items()))  # fmt: skip
    if settings:
        circuit = circuit.with_settings(settings)
    return circuit.with_parameters(parameters) if parameters else circuit
