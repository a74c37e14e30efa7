"""The verbs that push masses through a solved circuit, over periods or for ever."""
