"""Readers of a stage's functions, each of which hands a horse its problem."""
