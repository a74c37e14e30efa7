"""What was derived from a model, in words; the work is heptapod's."""

from stagecraft.model_circuit import ModelCircuit
from stagecraft.stage import Stage


def explain(thing: ModelCircuit | Stage) -> str:
    """How a stage, or every stage of a circuit, is solved, why, and every derived formula, as text."""
    import heptapod

    if isinstance(thing, Stage):
        if thing.source is None:
            raise ValueError(f"stage {thing.name} was built from functions; there is no text to explain")
        return heptapod.explain(thing.source.spec.stages[thing.name])
    return heptapod.explain(thing.source.spec)
