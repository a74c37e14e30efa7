"""Results on disk, safe from a process that dies: what is stored is not solved again."""
