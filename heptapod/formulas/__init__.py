"""Formulas as values: what can be computed, in JAX and in NumPy, and what equations become."""
