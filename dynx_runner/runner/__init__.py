"""From a draw to its metrics: a model is made, solved, and measured."""
