"""What follows from a stage's equations: first-order conditions, inverses, and their certificate."""
