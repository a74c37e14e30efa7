"""A circuit as it would stand in a paper; the work is heptapod's."""

from stagecraft._written import written
from stagecraft.model_circuit import ModelCircuit
from stagecraft.stage import Stage


def to_latex(thing: ModelCircuit | Stage) -> str:
    """LaTeX of a stage, or of every stage of a circuit: Bellman equation, what was derived, and the calibration."""
    import heptapod

    return heptapod.to_latex(written(thing))
