"""What is estimated: terms of a criterion as functions of free coordinates, and their exact derivatives, each one program."""

import functools
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynx_runner.estimation.engines import Criterion, Point
from dynx_runner.estimation.free import Free
from dynx_runner.estimation.steps import Way

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
    terms: Any
    inputs: Any
    weights: Float[Array, " terms"] | None = None
    memory: dict = field(default_factory=dict, init=False)

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

    def both(self, z) -> tuple[np.ndarray, np.ndarray]:
        """The terms and their derivatives, (terms, coordinates), by one program; those of the last point are remembered."""
        key = np.asarray(z).tobytes()
        if key not in self.memory:
            found = jax.device_get(_both(self.terms, self.free, self.circuit, self.inputs, jnp.asarray(z)))
            self.memory.clear()
            self.memory[key] = found
        return self.memory[key]

    def value(self, z) -> float:
        """The criterion."""
        return criterion(self.vector(z), self.weights, np)

    def jacobian(self, z) -> np.ndarray:
        """The derivatives of the terms."""
        return self.both(z)[1]

    def slope(self, z) -> np.ndarray:
        """The gradient of the criterion."""
        if len(self.free.names) <= FEW:
            return self._slope_of(*self.both(z))
        return np.asarray(_reverse(self.terms, self.free, self.circuit, self.inputs, self.weights, jnp.asarray(z))[1])

    def hessian(self, z) -> np.ndarray:
        """The exact second derivative of the criterion."""
        found = _hessian(self.terms, self.free, self.circuit, self.inputs, self.weights, jnp.asarray(z))
        return np.asarray(0.5 * (found + found.T))

    def curvature(self, z) -> np.ndarray:
        """What products of first derivatives tell of the second: twice that of residuals, or the spread of scores about their
        mean, which far from the optimum is the smaller part of them.
        """
        slopes = self.jacobian(z)
        if self.weights is None:
            return 2 * slopes.T @ slopes
        weights = np.asarray(self.weights)
        live = np.where((weights > 0)[:, None], slopes, 0.0)
        live = live - weights @ live / np.sum(weights)
        return (live * weights[:, None]).T @ live

    def _slope_of(self, terms, slopes) -> np.ndarray:
        if self.weights is None:
            return 2 * slopes.T @ terms
        weights = np.asarray(self.weights)
        return -np.where((weights > 0)[:, None], slopes, 0.0).T @ weights

    def of_reals(self) -> Criterion:
        """The criterion of real numbers, for an engine."""
        few = len(self.free.names) <= FEW
        inside = lambda x: jax.device_get(_inside(self.free, jnp.asarray(x)))

        def point(x):
            z, slopes = inside(x)
            if few:
                terms, _ = self.both(z)
                return Point(
                    criterion(terms, self.weights, np), slopes.T @ self.slope(z), slopes.T @ self.curvature(z) @ slopes
                )
            common = (self.terms, self.free, self.circuit, self.inputs, self.weights)
            value, slope = _reverse(*common, jnp.asarray(z))
            return Point(float(value), slopes.T @ np.asarray(slope))

        def residual(x):
            z, slopes = inside(x)
            terms, own = self.both(z)
            return terms, own @ slopes

        def hessian(x):
            z, slopes = inside(x)
            bend = np.asarray(_bend(self.free, jnp.asarray(x)))
            return slopes.T @ self.hessian(z) @ slopes + np.einsum("i,ijk->jk", self.slope(z), bend)

        exact = hessian if few and self.likelihood else None
        low, high = self.free.bounds()
        alone = self.free.alone
        bounded, real = ~alone | np.isfinite(low) | np.isfinite(high), lambda z: np.asarray(self.free.real(jnp.asarray(z)))
        own = lambda x: (lambda z, slopes: (z, np.diag(slopes)))(*inside(x))
        way = Way(alone & (not self.likelihood), bounded, own, real)
        return Criterion(point, lambda x: self.value(inside(x)[0]), None if self.likelihood else residual, exact, way)


@functools.partial(jax.jit, static_argnames="free")
def _inside(free, x):
    """Coordinates of real numbers, and their derivatives."""
    return free.inside(x), jax.jacfwd(free.inside)(x)


@functools.partial(jax.jit, static_argnames="free")
def _bend(free, x):
    """The second derivatives of coordinates in real numbers."""
    return jax.jacfwd(jax.jacfwd(free.inside))(x)


def _at(terms, free, circuit, inputs, z):
    return terms(free.put(z, circuit), inputs)


def criterion(found, weights, xp=jnp):
    """Minus the weighted sum of log-likelihoods, of which none without weight counts; or the sum of squares."""
    if weights is None:
        total = xp.sum(found**2)
    else:
        weights = xp.asarray(weights)
        total = -xp.sum(xp.where(weights > 0, weights * xp.where(weights > 0, found, 0.0), 0.0))
    return float(total) if xp is np else total


_static = functools.partial(jax.jit, static_argnames=("terms", "free"))


@_static
def _vector(terms, free, circuit, inputs, z):
    return _at(terms, free, circuit, inputs, z)


@_static
def _both(terms, free, circuit, inputs, z):
    move = lambda z: (lambda found: (found, found))(_at(terms, free, circuit, inputs, z))
    slopes, found = (jax.jacfwd if z.shape[0] <= FEW else jax.jacrev)(move, has_aux=True)(z)
    return found, slopes


@_static
def _hessian(terms, free, circuit, inputs, weights, z):
    slope = jax.jacfwd(lambda z: criterion(_at(terms, free, circuit, inputs, z), weights))
    if z.shape[0] <= FEW:
        return jax.jacfwd(slope)(z)
    # Going backward first would miss what a factor that is zero moves by; of many coordinates one row after the other.
    return jax.lax.map(lambda along: jax.jvp(slope, (z,), (along,))[1], jnp.eye(z.shape[0], dtype=z.dtype))


@_static
def _reverse(terms, free, circuit, inputs, weights, z):
    return jax.value_and_grad(lambda z: criterion(_at(terms, free, circuit, inputs, z), weights))(z)
