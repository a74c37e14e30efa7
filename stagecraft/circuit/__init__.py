"""The nouns of a circuit: perches, stages, periods, and the model circuit with its parameters."""
