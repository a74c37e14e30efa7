"""What was derived from a model, in words; the work is heptapod's."""

from stagecraft._written import written
from stagecraft.model_circuit import ModelCircuit
from stagecraft.stage import Stage


def explain(thing: ModelCircuit | Stage) -> str:
    """How a stage, or every stage of a circuit, is solved, why, and every derived formula, as text."""
    import heptapod

    return heptapod.explain(written(thing))
