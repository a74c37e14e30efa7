"""Simulated moments: those of panels, drawn with the same random numbers at all parameters, near those of data."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import stagecraft as sc
from dynx_runner.estimation.matching import AbstractMatching


class SMM(AbstractMatching):
    """Simulated moments near those of data; what simulation adds to their variance enters standard errors and tests."""

    def __init__(
        self,
        circuit: sc.ModelCircuit,
        free: Mapping[str, Any],
        moments: Callable,
        data: Any,
        *,
        weights: Any = "identity",
        covariance: Any = None,
        key: Any = None,
        replications: int = 50,
    ):
        """Say what is matched.

        **Arguments:**

        - `free`: `{path: bounds}`, the bounds (low, high), a transform, or `None`.
        - `moments`: a function of a solved circuit, or of one and a key, to a pytree of numbers, which JAX traces; declared
          `Moments` are one. A function that takes no key has no noise of simulation.
        - `data`: the same pytree of data.
        - `weights`: `identity`, `diagonal`, `optimal`, `two-step`, `continuous`, or an array.
        - `covariance`: of the data's moments, an array or a frame with their names; or a function of the solved circuit.
        - `key`: of the draws, the same at all parameters, so that the criterion moves by parameters alone.
        - `replications`: with how many other keys the noise of simulation is measured, at the estimate.
        """
        keyed = _takes_key(moments)
        if keyed and key is None:
            raise ValueError("key: moments that simulate need a `key`, jax.random.key(0)")
        self.replications = replications
        self.read(circuit, free, moments, data, weights, covariance, key, keyed)

    def noise(self, z: np.ndarray) -> np.ndarray:
        """The covariance of the moments at `z` over other keys, (moments, moments)."""
        if not self.task.terms.keyed:
            return np.zeros((self.data.size, self.data.size))
        keys = jax.random.split(jax.random.fold_in(self.key, 1), self.replications)
        others = [dataclasses.replace(self.task, inputs=(*self.task.inputs[:2], key)) for key in keys]
        found = [self._found(task, z) for task in others]
        return np.cov(np.stack(found).T).reshape(self.data.size, self.data.size)


def _takes_key(moments) -> bool:
    """Whether a function takes a second argument that must be given."""
    if not callable(moments):
        return False
    arguments = [a for a in inspect.signature(moments).parameters.values() if a.default is a.empty]
    return sum(a.kind in (a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD) for a in arguments) > 1
