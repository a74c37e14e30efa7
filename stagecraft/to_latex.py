"""A circuit as it would stand in a paper; the work is heptapod's."""

from stagecraft.model_circuit import ModelCircuit
from stagecraft.stage import Stage


def to_latex(thing: ModelCircuit | Stage) -> str:
    """LaTeX of a stage, or of every stage of a circuit: Bellman equation, what was derived, and the calibration."""
    import heptapod

    if isinstance(thing, Stage):
        if thing.source is None:
            raise ValueError(f"stage {thing.name} was built from functions; there is no text to write down")
        return heptapod.to_latex(thing.source.spec.stages[thing.name])
    return heptapod.to_latex(thing.source.spec)
