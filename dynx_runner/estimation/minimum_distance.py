"""Minimum distance: moments that a circuit has without simulation, those of its distributions, near those of data."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import stagecraft as sc
from dynx_runner.estimation.matching import AbstractMatching


class MinimumDistance(AbstractMatching):
    """Moments of distributions, `sc.push_forward` or `sc.stationary`, near those of data; no noise of simulation."""

    def __init__(
        self,
        circuit: sc.ModelCircuit,
        free: Mapping[str, Any],
        moments: Callable[[Any], Any],
        data: Any,
        *,
        weights: Any = "identity",
        covariance: Any = None,
    ):
        """Say what is matched.

        **Arguments:**

        - `free`: `{path: bounds}`, the bounds (low, high), a transform, or `None`.
        - `moments`: a function of a solved circuit to a pytree of numbers, which JAX traces; declared `Moments` are one.
        - `data`: the same pytree of data.
        - `weights`: `identity`, `diagonal`, `optimal`, `two-step`, `continuous`, or an array.
        - `covariance`: of the data's moments, an array or a frame with their names; or a function of the solved circuit.
        """
        self.read(circuit, free, moments, data, weights, covariance, None, False)

    def noise(self, z: np.ndarray) -> np.ndarray:
        """None."""
        del z
        return np.zeros((self.data.size, self.data.size))
