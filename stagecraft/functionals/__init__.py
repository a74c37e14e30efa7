"""What stands on a perch as `sol`: values, marginal values and policies that answer at any state."""
