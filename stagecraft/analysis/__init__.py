"""Verbs that ask a solved circuit how exact it is, and how it moves with parameters."""
