"""Who lives in the model, and which markets clear: types, aggregates, equilibrium."""
