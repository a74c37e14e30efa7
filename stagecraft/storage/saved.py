"""A circuit in one file: its text, its numbers, and what was solved. Data alone; nothing in it is executed when it is read.

The file is a zip of `about.json`, of the model's text, and of an array in NumPy's own format for each leaf of the circuit. What
a solution looks like is not taken from the file: it follows from the model, and arrays that do not fit it are refused.
"""

import dataclasses
import io
import json
import os
import zipfile
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from stagecraft.arrays import dtype_of, traced
from stagecraft.backward.solve import solve
from stagecraft.circuit.model_circuit import ModelCircuit
from stagecraft.load import load

_FORMAT = 1
_TEXT = 2**24  # Bytes of text and of `about.json`, at most.
_HEAD = 2**16  # Bytes before the numbers of an array, at most.


def save(circuit: ModelCircuit, path: str | Path) -> None:
    """Write a circuit with its parameters, settings, types and, if it is solved, its solution; `stagecraft.read` reads it.

    What was pushed is not kept: `push_forward` and `stationary` find it again. The file appears whole or not at all.

    **Raises:** `ValueError` inside a transformation, and for a model of dictionaries with Python functions in them.
    """
    if not isinstance(circuit, ModelCircuit):
        raise TypeError(f"save takes a ModelCircuit, found {type(circuit).__name__}")
    if traced(circuit):
        raise ValueError("inside a transformation there are no numbers to save; save what it returns")
    spec = circuit.source.spec
    _readable(spec)
    about = {"format": _FORMAT, "model": spec.name, "dtype": str(dtype_of(circuit.parameters)), "jax": jax.__version__,
             "solved": circuit.stored is not None}  # fmt: skip
    target, parts = Path(path), {"given": _given(circuit), "found": (circuit.stored, circuit.info)}
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("about.json", json.dumps(about | {k: _names(tree) for k, tree in parts.items()}, indent=1))
            archive.writestr("model.yml", spec.text)
            for part, tree in parts.items():
                for i, leaf in enumerate(jax.tree.leaves(tree)):
                    with archive.open(f"{part}/{i}.npy", "w") as file:
                        np.lib.format.write_array(file, np.asarray(leaf), allow_pickle=False)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


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

    **Arguments:** `parts`: `horses`, `shocks`, `grids`, `functions`, where `stagecraft.load` was given some; a file holds none.

    **Raises:** `ValueError` for a file that is no saved circuit, is cut short or altered, or is of another version or float
    type; `heptapod.ModelError` where its text is no model.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _circuit(_Archive(archive, str(path)), parts)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"{path} is no saved circuit, or is cut short or altered: {error}") from None


class _Archive:
    """The members of a file, each read only if it is as large as it may be."""

    def __init__(self, archive: zipfile.ZipFile, path: str):
        self.archive, self.path = archive, path

    def wrong(self, what: str) -> ValueError:
        return ValueError(f"{self.path}: {what}")

    def read(self, name: str, most: int) -> bytes:
        try:
            size = self.archive.getinfo(name).file_size
        except KeyError:
            raise self.wrong(f"`{name}` is missing; the file is no saved circuit, or is altered") from None
        if size > most:
            raise self.wrong(f"`{name}` is larger than it can be ({size} bytes); the file is altered")
        return self.archive.read(name)

    def json(self) -> dict:
        try:
            about = json.loads(self.read("about.json", _TEXT))
        except (ValueError, RecursionError) as error:
            raise self.wrong(f"`about.json` cannot be read ({error}); the file is no saved circuit, or is altered") from None
        if not isinstance(about, dict) or about.get("format") != _FORMAT:
            found = about.get("format") if isinstance(about, dict) else about
            raise self.wrong(f"written in format {found!r}, and this version reads {_FORMAT}; save the circuit again")
        return about

    def leaves(self, part: str, tree, names):
        """The arrays of a part, in the structure of `tree`, whose leaves say shape and type."""
        wanted, structure = jax.tree.flatten(tree)
        if names != _names(tree):
            raise self.wrong("its arrays are not those of its model as it is read today; save the circuit again")
        return structure.unflatten([self.array(f"{part}/{i}.npy", leaf) for i, leaf in enumerate(wanted)])

    def array(self, name: str, leaf):
        content = self.read(name, leaf.size * leaf.dtype.itemsize + _HEAD)
        try:
            found = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise self.wrong(f"`{name}` cannot be read ({error}); the file is altered") from None
        if (found.shape, found.dtype) != (leaf.shape, leaf.dtype):
            raise self.wrong(f"`{name}` is {found.dtype}{list(found.shape)}, expected {leaf.dtype}{list(leaf.shape)}")
        return jnp.asarray(found)


def _circuit(archive: _Archive, parts) -> ModelCircuit:
    about = archive.json()
    here = str(jnp.result_type(float))
    if about.get("dtype") != here:
        help = "call stagecraft.enable_x64() first" if here == "float32" else "read it without stagecraft.enable_x64()"
        raise archive.wrong(f"saved in {about.get('dtype')}, and this process computes in {here}; {help}")
    try:
        text = archive.read("model.yml", _TEXT).decode()
    except UnicodeDecodeError:
        raise archive.wrong("`model.yml` is no text; the file is altered") from None
    circuit = load(text + "\n", **parts)
    parameters, settings, types = archive.leaves("given", _given(circuit), about.get("given"))
    circuit = dataclasses.replace(circuit.with_settings(settings).with_parameters(parameters), types=types)
    if about.get("solved") is not True:
        return circuit
    shapes = jax.eval_shape(lambda c: solve(c, throw=False), circuit)
    stored, info = archive.leaves("found", (shapes.stored, shapes.info), about.get("found"))
    return dataclasses.replace(circuit, stored=stored, info=info)


def _given(circuit):
    """What a circuit was given, beside its text."""
    return circuit.parameters, circuit.settings, circuit.types


def _names(tree) -> list[str]:
    """The places of the arrays, for whoever looks into the file, and to compare."""
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
