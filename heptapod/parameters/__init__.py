"""Numbers that a model is given: constants, definitions, tables by age, and who owns them."""
