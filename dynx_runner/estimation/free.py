"""The parameters that are free: names, bounds, and the way between a vector and a circuit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynx_runner.estimation import adapter
from dynx_runner.estimation.transforms import AbstractTransform, Correlation, Interval, Ordered, Pieces, Simplex
from heptapod.errors import did_you_mean

Vector = Float[Array, " coordinates"]


@dataclass(frozen=True)
class Free:
    """Free parameters in order; static.

    **Attributes:** `paths`; `transforms`, one for each; `sizes`: how many coordinates each has; `names`: of all coordinates.
    """

    paths: tuple[str, ...]
    transforms: tuple[AbstractTransform, ...]
    sizes: tuple[int, ...]
    names: tuple[str, ...]

    def read(self, circuit) -> Vector:
        """The coordinates that a circuit has."""
        own = adapter.values(circuit)
        parts = [t.read(own[path]) for path, t in zip(self.paths, self.transforms, strict=True)]
        return jnp.concatenate(parts)

    def fill(self, z: Vector, circuit) -> dict[str, Array]:
        """The parameters with these coordinates, `{path: array}`."""
        own = adapter.values(circuit)
        return {path: t.fill(part, own[path]) for path, t, part in self.parts(z)}

    def real(self, z: Vector) -> Vector:
        """Real numbers of coordinates."""
        return jnp.concatenate([t.real(part) for _, t, part in self.parts(z)])

    def inside(self, x: Vector) -> Vector:
        """Coordinates of real numbers."""
        return jnp.concatenate([t.inside(part) for _, t, part in self.parts(x)])

    def put(self, z: Vector, circuit):
        """The circuit with these coordinates."""
        return adapter.with_values(circuit, self.fill(z, circuit))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest value of every coordinate."""
        ends = [(getattr(t, "low", -np.inf), getattr(t, "high", np.inf)) for t in self.transforms]
        return np.repeat([low for low, _ in ends], self.sizes), np.repeat([high for _, high in ends], self.sizes)

    @property
    def alone(self) -> np.ndarray:
        """Which coordinates are told each by itself, as of an interval."""
        return np.repeat([hasattr(t, "low") for t in self.transforms], self.sizes)

    def at_bound(self, z: np.ndarray, room: float = 1e-6) -> np.ndarray:
        """Which coordinates stand where they end, or as near as makes no difference."""
        return np.concatenate([t.edge(np.asarray(part)) < room for _, t, part in self.parts(jnp.asarray(z))])

    def fits(self, z: np.ndarray) -> bool:
        """Whether coordinates are inside of what there is."""
        return bool(np.all(np.isfinite(np.asarray(self.real(jnp.asarray(z))))))

    def check_inside(self, z: np.ndarray, what: str) -> None:
        """Speak of coordinates outside their bounds; `ValueError`."""
        low, high = self.bounds()
        bad = np.flatnonzero(~((np.asarray(z) > low) & (np.asarray(z) < high)))
        if bad.size:
            told = "; ".join(f"`{self.names[i]}` = {z[i]:g} is not inside ({low[i]:g}, {high[i]:g})" for i in bad)
            raise ValueError(f"{what}: {told}")
        for path, t, part in self.parts(jnp.asarray(z)):
            if not np.all(np.isfinite(np.asarray(t.real(part)))):
                raise ValueError(f"{what}: `{path}` = {np.asarray(part).tolist()} does not fit its transform, {t}")

    def parts(self, z: Vector):
        """(path, transform, coordinates) of every parameter."""
        ends = np.cumsum(self.sizes)
        cut = [z[end - size : end] for size, end in zip(self.sizes, ends, strict=True)]
        return zip(self.paths, self.transforms, cut, strict=True)


def read_free(circuit, given: Mapping) -> Free:
    """What a user wrote as `free`, checked.

    **Raises:** `ValueError` for a path that the circuit does not have, with the nearest that it has.
    """
    if not isinstance(given, Mapping) or not given:
        raise ValueError(f'`free` is {{"main.beta": (0.9, 1.0)}}: paths with bounds, a transform, or None; found {given!r}')
    own, clock = adapter.values(circuit), adapter.clock(circuit).tolist()
    paths, transforms, sizes, names = [], [], [], []
    for path, wish in given.items():
        if path not in own:
            adapter.with_values(circuit, {path: 0.0})  # It knows more of what may have been meant.
            raise ValueError(f"free: no parameter `{path}`; {did_you_mean(path, own) or ', '.join(own)}")
        transform = _transform(path, wish, np.asarray(own[path]), clock)
        size = int(np.size(transform.read(own[path])))
        paths, transforms, sizes = [*paths, path], [*transforms, transform], [*sizes, size]
        names += _labels(path, transform, size)
    return Free(tuple(paths), tuple(transforms), tuple(sizes), tuple(names))


def _labels(path, transform, size):
    """A name for each coordinate."""
    if isinstance(transform, Pieces):
        return [f"{path}[{a:g}..{b:g}]" for a, b in zip(transform.ages, transform.ages[1:], strict=False)]
    return [path] if size == 1 else [f"{path}[{i}]" for i in range(size)]


def _transform(path: str, given: object, value: np.ndarray, clock: Sequence[float]) -> AbstractTransform:
    """What a user wrote for one parameter as a transform.

    **Arguments:** `given`: a transform, (low, high), or `None`; `value`: what the circuit has; `clock`: the age of each period.

    **Raises:** `ValueError` for anything else, and where the value does not fit.
    """
    if isinstance(given, Simplex):
        if value.ndim < 1 or value.shape[-1] < 2:
            raise ValueError(f"free: `{path}`: a simplex needs two entries or more, the circuit has shape {value.shape}")
        return Simplex(value.shape[-1])
    if isinstance(given, Correlation) and not _related(value):
        raise ValueError(
            f"free: `{path}`: a correlation is one number, or a symmetric matrix; the circuit has shape {value.shape}"
        )
    if isinstance(given, Ordered) and value.ndim != 1:
        raise ValueError(f"free: `{path}`: numbers that increase are a vector, the circuit has shape {value.shape}")
    if isinstance(given, Pieces):
        return _by_period(path, given, value, clock)
    if isinstance(given, AbstractTransform):
        return given
    if given is None:
        return Interval()
    if isinstance(given, (tuple, list)) and len(given) == 2:
        return Interval(*[{0: -np.inf, 1: np.inf}[i] if x is None else float(x) for i, x in enumerate(given)])
    raise ValueError(f"free: `{path}` takes (low, high), a transform, or None; found {given!r}")


def _by_period(path, given, value, clock):
    if value.ndim != 1 or value.shape[0] != len(clock):
        raise ValueError(f"free: `{path}` is no parameter by age (shape {value.shape}), and has no pieces")
    place = np.searchsorted(np.asarray(given.ages), np.asarray(clock), side="right") - 1
    groups = tuple(int(g) if g < len(given.ages) - 1 else -1 for g in place)
    missing = [given.ages[k] for k in range(len(given.ages) - 1) if k not in groups]
    if missing or len(given.ages) < 2:
        raise ValueError(f"free: `{path}`: no period lies in the piece from {missing[0] if missing else given.ages}")
    return Pieces(tuple(given.ages), given.low, given.high, groups)


def _related(value) -> bool:
    """Whether a value may be a correlation."""
    return value.size == 1 or (value.ndim == 2 and value.shape[0] == value.shape[1] and np.allclose(value, value.T))
