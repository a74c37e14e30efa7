"""Which parameters are tried: priors and their draws."""
