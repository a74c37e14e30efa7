"""From data to parameters: likelihoods and moments of solved circuits, their exact derivatives, and what these say."""
