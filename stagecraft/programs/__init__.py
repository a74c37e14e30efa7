"""Compiled programs: where they are kept from one process to the next, and how many there were."""
