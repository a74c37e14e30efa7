"""One period forward: of masses on cells, and of single agents."""
