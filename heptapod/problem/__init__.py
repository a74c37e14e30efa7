"""How a stage is solved: the method, and the functions that the method asks for."""
