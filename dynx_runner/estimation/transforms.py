"""Parameters between bounds and the real line, on which an optimiser moves."""

import abc
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Vector = Float[Array, " coordinates"]


@dataclass(frozen=True)
class AbstractTransform(abc.ABC):
    """How an array of numbers is told by free coordinates, and these by real numbers."""

    @abc.abstractmethod
    def read(self, value: Float[Array, "..."]) -> Vector:
        """The free coordinates of a value."""

    @abc.abstractmethod
    def fill(self, z: Vector, own: Float[Array, "..."]) -> Float[Array, "..."]:
        """The value with these coordinates; `own` is what the circuit has, for its shape and for what is not free."""

    @abc.abstractmethod
    def real(self, z: Vector) -> Vector:
        """The real numbers of coordinates."""

    @abc.abstractmethod
    def inside(self, x: Vector) -> Vector:
        """The coordinates of real numbers, the inverse of `real`."""

    @abc.abstractmethod
    def edge(self, z: np.ndarray) -> np.ndarray:
        """How far coordinates are from where they end, as a share of what there is; infinite where they do not end."""


@dataclass(frozen=True)
class Interval(AbstractTransform):
    """Numbers between two bounds, of which either may be infinite; every entry of an array alike."""

    low: float = -np.inf
    high: float = np.inf

    def __post_init__(self):
        if not self.low < self.high:
            raise ValueError(f"bounds are (low, high) with low below high, found ({self.low}, {self.high})")

    def read(self, value):
        """All entries."""
        return jnp.ravel(jnp.asarray(value))

    def fill(self, z, own):
        """The entries in their shape."""
        return jnp.reshape(z, jnp.shape(own))

    def real(self, z):
        """A logit of the place between the bounds, a logarithm of the distance from a single one."""
        if np.isfinite(self.low) and np.isfinite(self.high):
            return jax.scipy.special.logit((z - self.low) / (self.high - self.low))
        if np.isfinite(self.low):
            return jnp.log(z - self.low)
        return -jnp.log(self.high - z) if np.isfinite(self.high) else z

    def inside(self, x):
        """And back."""
        if np.isfinite(self.low) and np.isfinite(self.high):
            return self.low + (self.high - self.low) * jax.nn.sigmoid(x)
        if np.isfinite(self.low):
            return self.low + jnp.exp(x)
        return self.high - jnp.exp(-x) if np.isfinite(self.high) else x

    def edge(self, z):
        """From the nearer bound, as a share of the width, or of the number itself."""
        width = self.high - self.low if np.isfinite(self.high - self.low) else np.maximum(1.0, np.abs(z))
        return np.minimum(z - self.low, self.high - z) / width


POSITIVE = Interval(0.0)


@dataclass(frozen=True)
class Simplex(AbstractTransform):
    """Probabilities that sum to one along the last axis; the last of them is not free.

    **Attributes:** `length`: of a row; the circuit's own if left out.
    """

    length: int = 0

    def read(self, value):
        """All but the last of every row."""
        return jnp.ravel(jnp.asarray(value)[..., :-1])

    def fill(self, z, own):
        """With the last, one minus the others."""
        rows = jnp.reshape(z, (*jnp.shape(own)[:-1], jnp.shape(own)[-1] - 1))
        return jnp.concatenate([rows, 1.0 - jnp.sum(rows, axis=-1, keepdims=True)], axis=-1)

    def real(self, z):
        """Logarithms of the odds against the last."""
        rows = jnp.reshape(z, (-1, self.length - 1))
        return jnp.ravel(jnp.log(rows) - jnp.log(1.0 - jnp.sum(rows, axis=1, keepdims=True)))

    def inside(self, x):
        """And back."""
        rows = jnp.reshape(x, (-1, self.length - 1))
        return jnp.ravel(jax.nn.softmax(jnp.pad(rows, ((0, 0), (0, 1))), axis=1)[:, :-1])

    def edge(self, z):
        """The probability itself, or that of the last, to which all others of its row add up."""
        rows = np.reshape(z, (-1, self.length - 1))
        return np.ravel(np.minimum(rows, 1.0 - np.sum(rows, axis=1, keepdims=True)))


@dataclass(frozen=True)
class Ordered(AbstractTransform):
    """Numbers that increase."""

    def read(self, value):
        """All of them."""
        return jnp.ravel(jnp.asarray(value))

    def fill(self, z, own):
        """All of them."""
        return jnp.reshape(z, jnp.shape(own))

    def real(self, z):
        """The first, and logarithms of the steps."""
        return jnp.concatenate([z[:1], jnp.log(jnp.diff(z))])

    def inside(self, x):
        """And back."""
        return jnp.cumsum(jnp.concatenate([x[:1], jnp.exp(x[1:])]))

    def edge(self, z):
        """From the nearer neighbour."""
        steps = np.pad(np.diff(z), 1, constant_values=np.inf)
        return np.minimum(steps[:-1], steps[1:]) / np.maximum(1.0, np.abs(z))


@dataclass(frozen=True)
class Correlation(AbstractTransform):
    """A correlation matrix by its entries below the diagonal, row by row, or a single correlation."""

    def read(self, value):
        """The entries below the diagonal."""
        value = jnp.asarray(value)
        return jnp.ravel(value) if value.ndim < 2 else value[np.tril_indices(value.shape[0], -1)]

    def fill(self, z, own):
        """The whole matrix."""
        if jnp.ndim(own) < 2:
            return jnp.reshape(z, jnp.shape(own))
        lower = jnp.zeros(jnp.shape(own), z.dtype).at[np.tril_indices(jnp.shape(own)[0], -1)].set(z)
        return lower + lower.T + jnp.eye(jnp.shape(own)[0], dtype=z.dtype)

    def real(self, z):
        r"""The inverse hyperbolic tangents of partial correlations: those of row $i$ with $j$ given the first $j$ variables."""
        root = jnp.linalg.cholesky(self.fill(z, jnp.zeros((_side(z),) * 2)))
        return jnp.stack([jnp.arctanh(root[i, j] / jnp.sqrt(1 - jnp.sum(root[i, :j] ** 2))) for i, j in _below(z)])

    def inside(self, x):
        """And back, by the rows of a Cholesky factor."""
        root = jnp.zeros((_side(x),) * 2, x.dtype).at[0, 0].set(1.0)
        for partial, (i, j) in zip(jnp.tanh(x), _below(x), strict=True):
            root = root.at[i, j].set(partial * jnp.sqrt(1 - jnp.sum(root[i, :j] ** 2)))
            root = root.at[i, i].set(jnp.sqrt(1 - jnp.sum(root[i, : j + 1] ** 2))) if j == i - 1 else root
        return self.read(root @ root.T)

    def edge(self, z):
        """What the variables before leave of the variance of each row."""
        whole = np.eye(_side(z))
        whole[np.tril_indices(len(whole), -1)] = z
        return np.diag(np.linalg.cholesky(whole))[[i for i, _ in _below(z)]] ** 2


def _side(z) -> int:
    return round((1 + np.sqrt(1 + 8 * z.shape[0])) / 2)


def _below(z):
    return list(zip(*np.tril_indices(_side(z), -1), strict=True))


@dataclass(frozen=True)
class Pieces(AbstractTransform):
    """A parameter by age that is constant from each age named to the next, and the circuit's own outside.

    **Attributes:** `ages`: where pieces begin, and last where the last one ends; `low`, `high`: of every piece. `groups`: the
    piece of each period, -1 for none, which `bound` fills in.
    """

    ages: tuple[float, ...]
    low: float = -np.inf
    high: float = np.inf
    groups: tuple[int, ...] = ()

    def read(self, value):
        """The first value of every piece."""
        first = [self.groups.index(k) for k in range(len(self.ages) - 1)]
        return jnp.asarray(value)[np.array(first)]

    def fill(self, z, own):
        """The pieces in their periods."""
        groups = np.array(self.groups)
        return jnp.where(groups >= 0, z[np.maximum(groups, 0)], jnp.asarray(own))

    def real(self, z):
        """As of an interval."""
        return Interval(self.low, self.high).real(z)

    def inside(self, x):
        """And back."""
        return Interval(self.low, self.high).inside(x)

    def edge(self, z):
        """As of an interval."""
        return Interval(self.low, self.high).edge(z)
