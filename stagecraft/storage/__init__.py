"""Circuits in files: saved with their solution, and read again without a solve."""
