"""What is told of a model: its methods in words, its equations in LaTeX, the schema of the language."""
