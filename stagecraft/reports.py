"""What heptapod tells of a circuit or a stage: how it is solved, and its equations."""

from stagecraft.circuit.model_circuit import ModelCircuit
from stagecraft.circuit.stage import Stage


def spec_of(thing: ModelCircuit | Stage):
    """The model, or the functional problem of a stage; `ValueError` for a stage that was built from functions."""
    if not isinstance(thing, ModelCircuit | Stage):
        raise TypeError(f"there is text of a circuit and of its stages; found {type(thing).__name__}")
    if not isinstance(thing, Stage):
        return thing.source.spec
    if thing.source is None:
        raise ValueError(f"stage {thing.name} was built from functions; there is no text of it")
    return thing.source.spec.stages[thing.name]


def explain(thing: ModelCircuit | Stage, *, width: int | None = 96) -> str:
    """How a stage, or every stage of a circuit, is solved, why, and every derived formula, as text.

    **Arguments:** `thing`: a circuit or one of its stages, solved or not. `width`: the most columns that a line has; `None`
    leaves every line whole.

    **Returns:** text. Nothing is solved or compiled for it.
    """
    import heptapod

    return heptapod.explain(spec_of(thing), width=width)


def to_latex(thing: ModelCircuit | Stage) -> str:
    """LaTeX of a stage, or of every stage of a circuit: Bellman equation, what was derived, and the calibration.

    **Arguments:** `thing`: a circuit or one of its stages, solved or not.

    **Returns:** text that needs the package amsmath and nothing else.

    **Raises:** `ValueError` for a stage that was built from functions, of which there is no text.
    """
    import heptapod

    return heptapod.to_latex(spec_of(thing))
