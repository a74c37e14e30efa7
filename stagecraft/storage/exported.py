"""Programs in a file, for processes that shall neither read a model nor trace it: plain JAX runs them, and so do we.

The file is a zip of `about.json`, with the parameters, and of one program of `jax.export` each for the solve and for the value
and gradient of a function of it. A program takes `{scope: {name: array}}` and returns a dictionary of arrays.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export
from jaxtyping import Array

from stagecraft.arrays import dtype_of, traced
from stagecraft.backward.solve import solve
from stagecraft.circuit.model_circuit import ModelCircuit
from stagecraft.circuit.paths import replace
from stagecraft.distribution.checks import unwatched
from stagecraft.programs.counts import compiling
from stagecraft.programs.portable import BROKEN, compiled, export_function, foreign
from stagecraft.results import Outcome, SolveError
from stagecraft.storage.archive import Archive, opened, write

_PLATFORMS = ("cpu", "cuda")
_PROGRAM = 2**28  # Bytes of a program, at most.
_NOTHING = SimpleNamespace(scopes=())  # A file does not say what is defined by what.


def export(circuit: ModelCircuit, path: str | Path, fn: Callable[[ModelCircuit], Array] | None = None) -> None:
    """Write the program of a solve and, of a number `fn(solved)`, that of its value and gradient; `load_exported` reads them.

    The programs run on CPUs and on CUDA, for any parameter values, where neither DynX nor the model is at hand. Settings, types
    and sizes are those of the circuit.

    - `solve.bin`: returns `outcome`, `iterations`, `error_bound` and `solution`, `{first period: {stage: {name: array}}}` for
      each kind of period, the arrays with a leading axis over its periods: what the stage stores, knots and values.
    - `gradient.bin`: returns `value`, `gradient`, which is shaped as the parameters are, and `outcome`. What a derivative of a
      push has to say of itself in Python is not in it.

    **Arguments:** `circuit`: solved or not; `path`: of the file to be written; `fn`: from a solved circuit to a real scalar,
    such as `lambda s: s[0]["CONS"].dcsn.sol.value(m=2.0)`.

    **Raises:** `ValueError` inside a transformation, where `fn` returns no scalar, and where a program calls Python.
    """
    if not isinstance(circuit, ModelCircuit):
        raise TypeError(f"export takes a ModelCircuit, found {type(circuit).__name__}")
    if traced(circuit):
        raise ValueError("inside a transformation there are no numbers to export; export the circuit outside")
    made = {"solve.bin": _program(_solution, circuit)}
    if fn is not None:
        made["gradient.bin"] = _program(_gradient(fn), circuit)
    about = {"model": circuit.source.spec.name, "dtype": str(dtype_of(circuit.parameters)), "jax": jax.__version__,
             "platforms": _PLATFORMS, "sha256": {name: _digest(program) for name, program in made.items()},
             "parameters": jax.tree.map(lambda x: np.asarray(x).tolist(), circuit.parameters)}  # fmt: skip
    write(path, about, made.items())


def _digest(program: bytes) -> str:
    return hashlib.sha256(program).hexdigest()


def _program(run: Callable[[ModelCircuit], dict], circuit: ModelCircuit) -> bytes:
    """A function of a circuit, as one of its parameters alone, in the form of a file."""
    given = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), circuit.parameters)
    with unwatched():
        return export_function(lambda parameters: run(circuit.with_parameters(parameters)), given, platforms=_PLATFORMS)


def _solution(circuit) -> dict:
    solved = solve(circuit, throw=False)
    kinds = zip(circuit.structure.blocks, solved.stored, strict=True)
    rows = {str(block.first): {name: _named(stored) for name, stored in stages.items()} for block, stages in kinds}
    info = solved.info
    return {"outcome": info.outcome, "iterations": info.iterations, "error_bound": info.error_bound, "solution": rows}


def _named(tree) -> dict[str, Array]:
    """Arrays by their places."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _gradient(fn) -> Callable[[ModelCircuit], dict]:
    def value_of(parameters, circuit):
        solved = solve(circuit.with_parameters(parameters), throw=False)
        value = jnp.asarray(fn(solved))
        if value.shape or value.dtype != dtype_of(parameters):
            raise ValueError(f"fn(solved) is {value.dtype}{list(value.shape)}; to have a gradient it must be one real number")
        return value, solved.info.outcome

    def run(circuit: ModelCircuit) -> dict:
        (value, outcome), gradient = jax.value_and_grad(value_of, has_aux=True)(circuit.parameters, circuit)
        return {"value": value, "gradient": gradient, "outcome": outcome}

    return run


class Exported:
    """The programs of a file, each compiled when it is first called; what they take and return are arrays in dictionaries.

    **Attributes:** `name`: the model's; `parameters`: `{scope: {name: array}}`, the values that it was exported with.
    """

    def __init__(self, name: str, parameters: dict, programs: dict[str, jax_export.Exported]):
        self.name, self.parameters = name, parameters
        self._programs, self._compiled = programs, {}

    def solve(self, parameters: Mapping | None = None, *, throw: bool = True) -> dict:
        """Solve with `parameters` in place of those of the file, given as `with_parameters` takes them.

        **Returns:** `outcome`, `iterations`, `error_bound` and `solution`, `{first period: {stage: {name: array}}}`.

        **Raises:** `SolveError` for a solve that failed, unless `throw=False`; `ValueError` for a path or shape that is
        wrong.
        """
        return self._run("solve", parameters, throw)

    def value_and_gradient(self, parameters: Mapping | None = None, *, throw: bool = True) -> tuple[Array, dict]:
        """The number that was exported, and its derivatives, shaped as `parameters` are; errors, and `throw`, as of `solve`.

        **Raises:** also `ValueError` where no function was exported.
        """
        found = self._run("gradient", parameters, throw)
        return found["value"], found["gradient"]

    def __repr__(self) -> str:
        return f"Exported {self.name}: {', '.join(self._programs)}"

    def _run(self, name: str, parameters: Mapping | None, throw: bool) -> dict:
        if name not in self._programs:
            raise ValueError("the file holds no gradient; give one a function: stagecraft.export(circuit, path, fn)")
        values = replace("parameter", self.parameters, {} if parameters is None else parameters, {}, _NOTHING)
        if name not in self._compiled:
            with compiling(f"exported {name}", self):
                self._compiled[name] = compiled(self._programs[name], values)
        found = self._compiled[name](values)
        for outcome in map(Outcome, np.ravel(found["outcome"]) if throw else ()):
            if outcome != Outcome.success:
                raise SolveError(outcome, f"{self.name}: {outcome.message}")
        return found


def load_exported(path: str | Path) -> Exported:
    """Read what `stagecraft.export` has written, without a model and without tracing; a first call compiles.

    Nothing is executed when a file is read, and a program that calls anything but XLA's own operations is refused. Damage is
    found by a digest; a forged file may crash JAX's own reader, so read files of those whom you trust.

    **Arguments:** `path`: of the file.

    **Returns:** an `Exported`: `solve(parameters)`, `value_and_gradient(parameters)`, `parameters`.

    **Raises:** `ValueError` for a file that is no exported program, is cut short or altered, or is of another version or
    float type, and on a platform that its programs are not for.
    """
    with opened(path, "exported program", "export") as archive:
        about = archive.about()
        listed = about.get("sha256")
        if not isinstance(listed, dict) or not {"solve.bin"} <= set(listed) <= {"solve.bin", "gradient.bin"}:
            raise archive.wrong("it lists no programs; the file is no exported program, or is altered")
        parameters = _parameters(archive, about)
        programs = {name.removesuffix(".bin"): _read(archive, name, about, parameters) for name in listed}
    return Exported(str(about.get("model")), parameters, programs)


def _parameters(archive: Archive, about: dict) -> dict[str, dict[str, Array]]:
    try:
        return {
            scope: {name: jnp.asarray(np.array(x, about["dtype"])) for name, x in names.items()}
            for scope, names in about["parameters"].items()
        }
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        raise archive.wrong(f"its parameters cannot be read ({error}); the file is altered") from None


def _read(archive: Archive, name: str, about: dict, parameters: dict) -> jax_export.Exported:
    """A program, if it is what was written, takes these parameters, runs here, and calls nothing of this process."""
    content = archive.read(name, _PROGRAM)
    if _digest(content) != about["sha256"][name]:
        raise archive.wrong(f"`{name}` is not what was written; the file is altered")
    try:
        program = jax_export.deserialize(bytearray(content))
        calls = foreign(program)
    except BROKEN as error:
        raise archive.wrong(
            f"`{name}` cannot be read: written by jax {about.get('jax')}, and this is {jax.__version__}; export the circuit "
            f"again ({type(error).__name__}: {error})"
        ) from None
    if calls:
        raise archive.wrong(f"`{name}` calls what is no part of XLA; the file is altered")
    if program.in_tree != jax.tree.structure(((parameters,), {})) or not all(
        (aval.shape, aval.dtype) == (x.shape, x.dtype)
        for aval, x in zip(program.in_avals, jax.tree.leaves(parameters), strict=True)
    ):
        raise archive.wrong(f"`{name}` takes other parameters than the file lists; the file is altered")
    here = jax_export.default_export_platform()
    if here not in program.platforms:
        raise archive.wrong(f"exported for {' and '.join(program.platforms)}, and this process computes on {here}")
    return program
