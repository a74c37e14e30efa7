"""A circuit in one file: its text, its numbers, and what was solved. Data alone; nothing in it is executed when it is read.

The file is a zip of `about.json`, of the model's text, and of an array in NumPy's own format for each leaf of the circuit. What
a solution looks like is not taken from the file: it follows from the model, and arrays that do not fit it are refused.
"""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from stagecraft.arrays import dtype_of, traced
from stagecraft.backward.solve import solve
from stagecraft.circuit.model_circuit import ModelCircuit
from stagecraft.load import load
from stagecraft.storage.archive import Archive, opened, write


def save(circuit: ModelCircuit, path: str | Path) -> None:
    """Write a circuit with its parameters, settings, types and, if it is solved, its solution; `stagecraft.read` reads it.

    What was pushed is not kept: `push_forward` and `stationary` find it again. The file appears whole or not at all.

    **Arguments:** `circuit`: solved or not; `path`: of the file.

    **Raises:** `ValueError` inside a transformation, and for a model of dictionaries with Python functions in them.
    """
    if not isinstance(circuit, ModelCircuit):
        raise TypeError(f"save takes a ModelCircuit, found {type(circuit).__name__}")
    if traced(circuit):
        raise ValueError("inside a transformation there are no numbers to save; save what it returns")
    spec = circuit.source.spec
    _readable(spec)
    parts = {"given": _given(circuit), "found": (circuit.stored, circuit.info)}
    about = {"model": spec.name, "dtype": str(dtype_of(circuit.parameters)), "jax": jax.__version__,
             "solved": circuit.stored is not None}  # fmt: skip
    write(path, about | {part: names(tree) for part, tree in parts.items()}, _members(spec, parts))


def _members(spec, parts):
    """The text, and one array after another, each as it is asked for."""
    yield "model.yml", spec.text.encode()
    for part, tree in parts.items():
        for i, leaf in enumerate(jax.tree.leaves(tree)):
            yield f"{part}/{i}.npy", np.asarray(leaf)


def _readable(spec) -> None:
    """Speak of what no file can hold."""
    if spec.file != "<dictionary>":
        return
    import heptapod

    try:
        heptapod.load(spec.text)
    except heptapod.ModelError as error:
        raise ValueError(
            "this model was made of dictionaries with parts that no file can hold, such as functions of Python; write it as "
            f"text, load that, and give its parts to load and read: {error}"
        ) from None


def read(path: str | Path, **parts) -> ModelCircuit:
    """Read what `stagecraft.save` has written: the circuit as it was, solved if it was. Nothing is compiled or solved.

    **Arguments:** `path`: of the file; `parts`: `horses`, `shocks`, `grids`, `functions`, where `stagecraft.load` was given
    some; a file holds none.

    **Returns:** a circuit.

    **Raises:** `ValueError` for a file that is no saved circuit, is cut short or altered, or is of another version or float
    type; `heptapod.ModelError` where its text is no model.
    """
    with opened(path, "saved circuit", "save") as archive:
        return _circuit(archive, parts)


def _circuit(archive: Archive, parts) -> ModelCircuit:
    about = archive.about()
    try:
        text = archive.read("model.yml").decode()
    except UnicodeDecodeError:
        raise archive.wrong("`model.yml` is no text; the file is altered") from None
    circuit = load(text + "\n", **parts)
    parameters, settings, types = _leaves(archive, "given", _given(circuit), about)
    circuit = dataclasses.replace(circuit.with_settings(settings).with_parameters(parameters), types=types)
    if about.get("solved") is not True:
        return circuit
    shapes = jax.eval_shape(lambda c: solve(c, throw=False), circuit)
    stored, info = _leaves(archive, "found", (shapes.stored, shapes.info), about)
    return dataclasses.replace(circuit, stored=stored, info=info)


def _leaves(archive: Archive, part: str, tree, about: dict):
    """The arrays of a part, in the structure of `tree`, whose leaves say shape and type."""
    wanted, structure = jax.tree.flatten(tree)
    if about.get(part) != names(tree):
        raise archive.wrong("its arrays are not those of its model as it is read today; save the circuit again")
    return structure.unflatten([archive.array(f"{part}/{i}.npy", leaf) for i, leaf in enumerate(wanted)])


def _given(circuit):
    """What a circuit was given, beside its text."""
    return circuit.parameters, circuit.settings, circuit.types


def names(tree) -> list[str]:
    """The places of the arrays, for whoever looks into the file, and to compare."""
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
