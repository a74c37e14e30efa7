"""Who is in a perch as `dist`: masses on cells, panels, types, and where they begin."""
