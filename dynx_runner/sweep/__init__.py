"""Many draws, in one process or on all processes of a job."""
