"""The text of an equation, or a Python function, becomes a sympy expression."""
