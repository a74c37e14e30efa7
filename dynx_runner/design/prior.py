"""The prior of one parameter as a runner is told it: bounds, and a way to draw between them."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dynx_runner.design.laws import AbstractPrior, CategoricalPrior, UniformPrior

# So many draws of a sampler stand for its quantiles, which it does not tell.
_EMPIRICAL = 10_000


class Prior:
    """What `param_specs` says of one parameter.

    **Attributes:**

    - `path`: the name of the parameter.
    - `low`, `high`: bounds of what may be drawn, both included.
    - `law`: told by quantiles; `None` for a sampler.
    - `choices`: of a categorical parameter, `None` for a number.
    """

    def __init__(self, path: str, spec: Any):
        """Read `(low, high, sampler)`, `(low, high)` or a prior.

        **Arguments:**

        - `path`: the name of the parameter, for messages.
        - `spec`: the bounds and a sampler, which may be a prior; without one, or with `None`, draws are uniform. Or a prior,
          with bounds of its own.

        Raises `ValueError` where the bounds are not in order, or infinite without a sampler.
        """
        if isinstance(spec, AbstractPrior):
            spec = (spec.low, spec.high, spec)
        if not isinstance(spec, tuple | list) or len(spec) not in (2, 3):
            raise ValueError(
                f"param_specs: `{path}`: expected (low, high, sampler) or (low, high) or a prior, got {spec!r:.80}"
            )
        self.path, self.low, self.high = path, float(spec[0]), float(spec[1])
        sampler = spec[2] if len(spec) == 3 else None
        self.choices = tuple(sampler.choices) if isinstance(sampler, CategoricalPrior) else None
        # A single value has no room between its bounds.
        if not (self.low < self.high or (isinstance(sampler, AbstractPrior) and self.low == self.high)):
            raise ValueError(f"param_specs: `{path}`: low = {self.low} must be below high = {self.high}")
        if sampler is None and not np.isfinite([self.low, self.high]).all():
            raise ValueError(f"param_specs: `{path}`: an infinite bound needs a sampler")
        if sampler is not None and not (callable(sampler) or isinstance(sampler, AbstractPrior)):
            raise ValueError(f"param_specs: `{path}`: the sampler must be a function of n, or a prior, got {sampler!r:.80}")
        self.law = UniformPrior(self.low, self.high) if sampler is None else sampler if not callable(sampler) else None
        self._sampler: Callable[[int], Any] = sampler if callable(sampler) else self._inverted

    def draw(self, n: int) -> np.ndarray:
        """Draw `n` values.

        **Returns:** an array of shape `(n,)`. Raises `ValueError` where the sampler gives another shape, or a value
        out of the bounds.
        """
        return self.checked(np.asarray(self._sampler(n), dtype=np.float64), n)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """The values below which the shares `u` of the prior lie; those of a sampler are estimated from many draws."""
        if self.law is None:
            return self.checked(np.quantile(self.draw(_EMPIRICAL), u), len(u))
        return self.checked(np.asarray(self.law.quantile(u), dtype=np.float64), len(u))

    def checked(self, draws: np.ndarray, n: int) -> np.ndarray:
        """Draws of the right number between the bounds; `ValueError` else."""
        if draws.shape != (n,):
            raise ValueError(f"`{self.path}`: the sampler returned shape {draws.shape}, expected ({n},)")
        outside = np.flatnonzero(~((self.low <= draws) & (draws <= self.high)))
        if outside.size:
            raise ValueError(
                f"`{self.path}`: draw {outside[0]} is {draws[outside[0]]}, outside [{self.low}, {self.high}]"
                f" ({outside.size} of {n} draws are); widen the bounds in param_specs, or change the sampler"
            )
        return draws

    def levels(self) -> np.ndarray | None:
        """All values of a prior that has few, `None` where it has a range."""
        values = getattr(self.law, "values", None) if self.choices is None else range(len(self.choices))
        return None if values is None else np.asarray(values, dtype=np.float64)

    def _inverted(self, n: int) -> np.ndarray:
        # The global state, as in users' own samplers, so that one seed governs all of them.
        u = np.random.uniform(0.0, 1.0, n)  # noqa: NPY002
        assert self.law is not None
        return self.law.quantile(u)


@contextlib.contextmanager
def seeded(seed: int | None, position: int) -> Iterator[None]:
    """Inside, NumPy's global random state starts from a seed; outside, it is as it was.

    **Arguments:**

    - `seed`: any non-negative integer, or `None`, which leaves the state alone.
    - `position`: makes the draws of one parameter independent of how many others there are before it.
    """
    if seed is None:
        yield
        return
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed([seed, position])  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
