"""What was derived from a model, in words; the work is heptapod's."""

from stagecraft.model_circuit import ModelCircuit


def explain(circuit: ModelCircuit) -> str:
    """How each stage is solved, why, and every derived formula, as text."""
    import heptapod

    return heptapod.explain(circuit.source.spec)
