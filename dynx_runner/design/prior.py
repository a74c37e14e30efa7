"""The prior of one parameter: bounds, and a way to draw between them."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


class Prior:
    """What `param_specs` says of one parameter.

    **Attributes:**

    - `path`: the name of the parameter.
    - `low`, `high`: bounds of what may be drawn, both included.
    - `sampler`: `n` to an array of `n` draws.
    """

    def __init__(self, path: str, spec: tuple):
        """Read `(low, high, sampler)` or `(low, high)`.

        **Arguments:**

        - `path`: the name of the parameter, for messages.
        - `spec`: the bounds and the sampler; without one, or with `None`, draws are uniform.

        Raises `ValueError` where the bounds are not in order, or infinite without a sampler.
        """
        if not isinstance(spec, tuple | list) or len(spec) not in (2, 3):
            raise ValueError(f"param_specs: `{path}`: expected (low, high, sampler) or (low, high), got {spec!r:.80}")
        self.path, self.low, self.high = path, float(spec[0]), float(spec[1])
        sampler = spec[2] if len(spec) == 3 else None
        if not self.low < self.high:
            raise ValueError(f"param_specs: `{path}`: low = {self.low} must be below high = {self.high}")
        if sampler is None and not np.isfinite([self.low, self.high]).all():
            raise ValueError(f"param_specs: `{path}`: an infinite bound needs a sampler")
        if sampler is not None and not callable(sampler):
            raise ValueError(f"param_specs: `{path}`: the sampler must be a function of n, got {sampler!r:.80}")
        self.sampler: Callable[[int], Any] = sampler or self._uniform

    def draw(self, n: int) -> np.ndarray:
        """Draw `n` values.

        **Returns:** an array of shape `(n,)`. Raises `ValueError` where the sampler gives another shape, or a value
        out of the bounds.
        """
        draws = np.asarray(self.sampler(n), dtype=np.float64)
        if draws.shape != (n,):
            raise ValueError(f"`{self.path}`: the sampler returned shape {draws.shape}, expected ({n},)")
        outside = np.flatnonzero(~((self.low <= draws) & (draws <= self.high)))
        if outside.size:
            raise ValueError(
                f"`{self.path}`: draw {outside[0]} is {draws[outside[0]]}, outside [{self.low}, {self.high}]"
                f" ({outside.size} of {n} draws are); widen the bounds in param_specs, or change the sampler"
            )
        return draws

    def _uniform(self, n: int) -> np.ndarray:
        # The global state, as in users' own samplers, so that one seed governs all of them.
        return np.random.uniform(self.low, self.high, n)  # noqa: NPY002


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
