"""Engines that know arrays and pointwise functions only: what goes in, what is solved, what comes out."""
