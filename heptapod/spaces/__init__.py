"""Where states live: the grids and sets of a perch."""
