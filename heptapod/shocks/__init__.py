"""What is drawn: laws, their nodes and their draws, and how each is read."""
