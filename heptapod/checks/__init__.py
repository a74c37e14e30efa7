"""Warnings that need the whole model: names never used, sets that do not meet, values that do not contract."""
