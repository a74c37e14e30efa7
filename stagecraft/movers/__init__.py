"""What leads from one perch of a stage to the next, and where it jumps."""
