"""Value iteration from the economics alone, in numpy: fine grids, every choice searched, no Euler equation and no envelope."""

import numpy as np


def fine(low, high, points=2_000, power=3):
    """A grid that is dense at its lower end."""
    return low + (high - low) * np.linspace(0, 1, points) ** power


def between(grid, values):
    """A function that is linear between the nodes, and worth nothing below the first."""

    def at(x):
        with np.errstate(invalid="ignore"):
            return np.where(x >= grid[0] - 1e-12, np.interp(x, grid, values), -np.inf)

    return at


def search(objective, low, high, looks=140, zooms=6, starts=2):
    """The best choice in each (low, high), by looks over the whole range and zooms into the best local maxima.

    **Arguments:** `objective`: choices of shape (states, looks) to values, anything not finite is infeasible.

    **Returns:** the best value, -inf where nothing is feasible, and the choice.
    """
    low, high = np.broadcast_arrays(np.asarray(low, float), np.asarray(high, float))
    rows, ends = np.arange(low.size), np.geomspace(1e-6, 5e-3, 12)
    shares = np.concatenate([ends, np.linspace(0, 1, looks)[1:-1], 1 - ends[::-1], [1.0]])
    shares = np.broadcast_to(np.sort(shares), (low.size, shares.size))

    def look(share):
        with np.errstate(all="ignore"):
            value = objective(low[:, None] + (high - low)[:, None] * share)
        return np.where(np.isfinite(value) & (high > low)[:, None], value, -np.inf)

    values = look(shares)
    padded = np.pad(values, ((0, 0), (1, 1)), constant_values=-np.inf)
    peaks = np.where((values >= padded[:, :-2]) & (values >= padded[:, 2:]), values, -np.inf)
    best, found = np.full(low.shape, -np.inf), shares[:, 0].copy()
    for _ in range(starts):
        k = np.argmax(peaks, axis=1)
        peaks = peaks.copy()
        peaks[rows, k] = -np.inf
        box = shares[rows, np.maximum(k - 1, 0)] * (k > 0), shares[rows, np.minimum(k + 1, shares.shape[1] - 1)]
        for _ in range(zooms):
            share = box[0][:, None] + (box[1] - box[0])[:, None] * np.linspace(0, 1, 11)
            value = look(share)
            j = np.argmax(value, axis=1)
            better = value[rows, j] > best
            best, found = np.where(better, value[rows, j], best), np.where(better, share[rows, j], found)
            box = share[rows, np.maximum(j - 1, 0)], share[rows, np.minimum(j + 1, 10)]
    return best, low + (high - low) * found


def search_all(objective, low, high, **how):
    """`search` over arrays of any shape."""
    low, high = np.broadcast_arrays(np.asarray(low, float), np.asarray(high, float))
    best, choice = search(objective, low.ravel(), high.ravel(), **how)
    return best.reshape(low.shape), choice.reshape(low.shape)


def logsum(values, scale):
    """The value of a choice among alternatives on the first axis, and the probabilities."""
    top = values.max(axis=0)
    safe = np.where(np.isfinite(top), top, 0.0)
    if scale == 0:
        return top, (np.arange(len(values)).reshape((-1,) + (1,) * top.ndim) == values.argmax(axis=0)) * 1.0
    parts = np.exp((values - safe) / scale)
    total = parts.sum(axis=0)
    with np.errstate(all="ignore"):
        return np.where(np.isfinite(top), safe + scale * np.log(total), -np.inf), parts / total


def lognormal(mean, std, points):
    """Values of that mean, and weights."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    return mean * np.exp(std * nodes - std**2 / 2), weights / weights.sum()


def rouwenhorst(mean, rho, std, points):
    """Values of an AR(1) whose innovation has standard deviation `std`, and the matrix from today's to tomorrow's."""
    p, matrix = (1 + rho) / 2, np.ones((1, 1))
    for n in range(2, points + 1):
        wide = np.zeros((4, n, n))
        for k, (i, j) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
            wide[k, i : n - 1 + i, j : n - 1 + j] = (p if i == j else 1 - p) * matrix
        matrix = wide.sum(axis=0)
        matrix[1:-1] /= 2
    half = std / np.sqrt(1 - rho**2) * np.sqrt(points - 1)
    return mean + half * np.linspace(-1, 1, points), matrix


def agree(found, expected, *, atol, rtol=0.0, near=None):
    """Equal up to the referee's error, but where `near` says that the answer jumps."""
    found, expected = np.broadcast_arrays(np.asarray(found), np.asarray(expected))
    keep = np.ones(found.shape, bool) if near is None else ~np.broadcast_to(near, found.shape)
    assert keep.mean() > 0.7
    np.testing.assert_allclose(found[keep], expected[keep], atol=atol, rtol=rtol)


def jumps(consumed, m, width):
    """Where consumption falls, or rises by more than resources do, within `width` on either side."""
    rise = consumed(m + width) - consumed(m - width)
    return (rise < 0) | (rise > 2.02 * width)
