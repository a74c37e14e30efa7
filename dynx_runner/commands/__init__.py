"""What the command line does: sweeps told by a file, job scripts, and what may be wrong with a machine."""
