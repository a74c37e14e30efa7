"""From files to data that knows its place: YAML, dictionaries, imports."""
