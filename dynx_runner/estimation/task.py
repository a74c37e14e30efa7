"""What is estimated: terms of a criterion as functions of free coordinates, and their exact derivatives, each one program."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynx_runner.estimation.engines import Criterion, Point
from dynx_runner.estimation.free import Free

FEW = 16  # Free coordinates up to which derivatives go forward.


@dataclass(frozen=True, eq=False)
class Task:
    """A criterion.

    **Attributes:**

    - `circuit`: at its own values; `free`: which of them move.
    - `terms`: a static function of (circuit, inputs): log-likelihoods of units, or residuals whose squares are summed.
    - `inputs`: data, an argument of the programs, so that other data compile nothing.
    - `weights`: of the terms of a likelihood; `None` for residuals.
    """

    circuit: Any
    free: Free
    terms: Callable
    inputs: Any
    weights: Float[Array, " terms"] | None = None

    @property
    def likelihood(self) -> bool:
        """Whether the criterion is minus a likelihood; else it is a sum of squares."""
        return self.weights is not None

    @property
    def own(self) -> np.ndarray:
        """The coordinates of the circuit itself."""
        return np.asarray(self.free.read(self.circuit))

    def vector(self, z) -> np.ndarray:
        """The terms."""
        return np.asarray(_vector(self.terms, self.free, self.circuit, self.inputs, jnp.asarray(z)))

    def value(self, z) -> float:
        """The criterion."""
        return float(_value(self.terms, self.free, self.circuit, self.inputs, self.weights, jnp.asarray(z)))

    def slope(self, z) -> np.ndarray:
        """Its gradient."""
        return np.asarray(_slope(self.terms, self.free, self.circuit, self.inputs, self.weights, jnp.asarray(z)))

    def jacobian(self, z) -> np.ndarray:
        """The derivatives of the terms, (terms, coordinates)."""
        return np.asarray(_jacobian(self.terms, self.free, self.circuit, self.inputs, jnp.asarray(z)))

    def hessian(self, z) -> np.ndarray:
        """The exact second derivative of the criterion."""
        found = _hessian(self.terms, self.free, self.circuit, self.inputs, self.weights, jnp.asarray(z))
        return np.asarray(0.5 * (found + found.T))

    def of_reals(self) -> Criterion:
        """The criterion of real numbers, for an engine."""
        few, common = len(self.free.names) <= FEW, (self.terms, self.free, self.circuit, self.inputs)

        def point(x):
            if not few:
                value, slope = _reverse(*common, self.weights, jnp.asarray(x))
                return Point(float(value), np.asarray(slope))
            return Point(*_told(*jax.device_get(_forward(*common, self.weights, jnp.asarray(x)))))

        def residual(x):
            terms, _, slopes = jax.device_get(_terms_forward(*common, jnp.asarray(x)))
            return terms, slopes

        value = lambda x: self.value(self.free.inside(jnp.asarray(x)))
        return Criterion(point, value, None if self.likelihood else residual)


def _told(value, slope, curve):
    return float(value), slope, curve


def _at(terms, free, circuit, inputs, z):
    return terms(free.put(z, circuit), inputs)


def _criterion(found, weights):
    """Minus the weighted sum of log-likelihoods, of which none without weight counts; or the sum of squares."""
    if weights is None:
        return jnp.sum(found**2)
    return -jnp.sum(jnp.where(weights > 0, weights * jnp.where(weights > 0, found, 0.0), 0.0))


_static = functools.partial(jax.jit, static_argnames=("terms", "free"))


@_static
def _vector(terms, free, circuit, inputs, z):
    return _at(terms, free, circuit, inputs, z)


@_static
def _value(terms, free, circuit, inputs, weights, z):
    return _criterion(_at(terms, free, circuit, inputs, z), weights)


@_static
def _jacobian(terms, free, circuit, inputs, z):
    move = lambda z: _at(terms, free, circuit, inputs, z)
    return (jax.jacfwd if z.shape[0] <= FEW else jax.jacrev)(move)(z)


@_static
def _slope(terms, free, circuit, inputs, weights, z):
    move = lambda z: _criterion(_at(terms, free, circuit, inputs, z), weights)
    return (jax.jacfwd if z.shape[0] <= FEW else jax.grad)(move)(z)


@_static
def _hessian(terms, free, circuit, inputs, weights, z):
    move = lambda z: _criterion(_at(terms, free, circuit, inputs, z), weights)
    return jax.jacfwd(jax.jacfwd(move) if z.shape[0] <= FEW else jax.grad(move))(z)


@_static
def _terms_forward(terms, free, circuit, inputs, x):
    """Terms, the same, and their Jacobian in real numbers."""
    move = lambda x: (lambda found: (found, found))(_at(terms, free, circuit, inputs, free.inside(x)))
    slopes, found = jax.jacfwd(move, has_aux=True)(x)
    return found, found, slopes


@_static
def _forward(terms, free, circuit, inputs, weights, x):
    """Value, gradient, and the curvature that products of first derivatives tell, in real numbers."""
    found, _, slopes = _terms_forward(terms, free, circuit, inputs, x)
    value = _criterion(found, weights)
    if weights is None:
        return value, 2 * slopes.T @ found, 2 * slopes.T @ slopes
    live = jnp.where((weights > 0)[:, None], slopes, 0.0)
    return value, -live.T @ weights, (live * weights[:, None]).T @ live


@_static
def _reverse(terms, free, circuit, inputs, weights, x):
    return jax.value_and_grad(lambda x: _criterion(_at(terms, free, circuit, inputs, free.inside(x)), weights))(x)
