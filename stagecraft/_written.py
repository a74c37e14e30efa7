"""What was read of a circuit or a stage, for the verbs that heptapod does."""

from stagecraft.model_circuit import ModelCircuit
from stagecraft.stage import Stage


def written(thing: ModelCircuit | Stage):
    """The model, or the functional problem of a stage; `ValueError` for a stage that was built from functions."""
    if not isinstance(thing, Stage):
        return thing.source.spec
    if thing.source is None:
        raise ValueError(f"stage {thing.name} was built from functions; there is no text of it")
    return thing.source.spec.stages[thing.name]
