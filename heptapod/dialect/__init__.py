"""The words of the language: the keys that a block may have, and the codes of what can be wrong."""
