"""Designs of experiments: which vectors are tried, given the prior of each parameter."""

from collections.abc import Sequence

import numpy as np

from dynx_runner.design.prior import Prior, seeded

METHODS = ("prior", "sobol", "lhs", "grid")


def design_of(priors: Sequence[Prior], n: int, method: str, seed: int | None) -> np.ndarray:
    """Draw vectors.

    **Arguments:**

    - `priors`: one a parameter.
    - `n`: how many vectors.
    - `method`: `prior`, independent draws; `sobol`, a scrambled Sobol sequence; `lhs`, a Latin hypercube; `grid`, every value
      of one parameter with every value of the others.
    - `seed`: makes the draws repeatable.

    **Returns:** an array of shape `(n, parameters)`. Raises `ValueError` for another method, a number that no grid has, and
    draws out of their bounds.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise ValueError(f"sample_prior: n must be a number of draws, got {n!r:.40}")
    if method not in METHODS:
        # heptapod brings sympy, which a runner of hand-written models need not import.
        from heptapod.errors import did_you_mean

        advice = did_you_mean(str(method), METHODS) or f"there are {', '.join(METHODS)}"
        raise ValueError(f"sample_prior: no method `{method}`; {advice}")
    if method == "grid":
        return _grid(priors, n)
    if method == "prior":
        columns = [_seeded(prior, seed, k, lambda prior: prior.draw(n)) for k, prior in enumerate(priors)]
    else:
        u = _uniform(len(priors), n, method, seed)
        columns = [_seeded(prior, seed, k, lambda prior, k=k: prior.quantile(u[:, k])) for k, prior in enumerate(priors)]
    return np.stack(columns, axis=1) if columns else np.empty((n, 0))


def _seeded(prior, seed, position, draw):
    with seeded(seed, position):
        return draw(prior)


def _uniform(dimensions: int, n: int, method: str, seed: int | None) -> np.ndarray:
    """Points of the unit cube, of shape `(n, dimensions)`."""
    if not n or not dimensions:
        return np.empty((n, dimensions))
    from scipy.stats import qmc  # It takes a third of a second, which independent draws do not need.

    # NumPy's global state stands behind `seed=None`, as it does behind samplers.
    # SciPy 1.15 calls the argument `rng`, and still takes its older name.
    generator = np.random.default_rng(np.random.randint(2**31) if seed is None else seed)  # noqa: NPY002
    known: dict = {"seed": generator}
    if method == "lhs":
        return qmc.LatinHypercube(dimensions, **known).random(n)
    # The sequence is balanced at powers of two only; its beginning is the best there is of another length.
    return qmc.Sobol(dimensions, **known).random_base2(int(np.ceil(np.log2(n))))[:n]


def _grid(priors: Sequence[Prior], n: int) -> np.ndarray:
    """Every combination, the last parameter varying fastest."""
    levels = [prior.levels() for prior in priors]
    ranges = sum(one is None for one in levels)
    fixed = int(np.prod([len(one) for one in levels if one is not None], dtype=int))
    points = round((n / fixed) ** (1 / ranges)) if ranges else 1
    if points**ranges * fixed != n or points < 1:
        fits = sorted({fixed * k**ranges for k in (max(points - 1, 1), max(points, 1), points + 1)})
        combined = f"{ranges} parameters with a range" + (f" and {fixed} combinations of the others" if fixed > 1 else "")
        raise ValueError(f"sample_prior: no grid of {combined} has {n} points; {', '.join(map(str, fits))} would fit")
    axes = [prior.quantile(_shares(prior, points)) if one is None else one for prior, one in zip(priors, levels, strict=True)]
    return np.stack([axis.reshape(-1) for axis in np.meshgrid(*axes, indexing="ij")], axis=1)


def _shares(prior: Prior, points: int) -> np.ndarray:
    """From bound to bound where both are finite, else in the middle of as many equal shares of the mass."""
    if points > 1 and np.isfinite([prior.low, prior.high]).all():
        return np.linspace(0.0, 1.0, points)
    return (np.arange(points) + 0.5) / points
