"""Whether chains have forgotten where they began: R-hat, and how many independent draws theirs are worth."""

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

Chains = Float[np.ndarray, "chains draws"]


def r_hat(x: Chains) -> float:
    r"""$\sqrt{\widehat{\mathrm{var}}^+/W}$ of halves of chains, the larger of that of ranks and that of their distances from
    the median (Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021); 1 where all chains tell of one law.
    """
    halves = _halves(x)
    return max(_ratio(_ranked(halves)), _ratio(_ranked(np.abs(halves - np.median(halves)))))


def ess_bulk(x: Chains) -> float:
    """The number of independent draws whose mean of ranks is known as well."""
    return _ess(_ranked(_halves(x)))


def ess_tail(x: Chains) -> float:
    """The smaller of those for the shares below the quantiles of 5 and 95 per cent."""
    halves = _halves(x)
    return min(_ess((halves <= np.quantile(halves, q)).astype(float)) for q in (0.05, 0.95))


def _halves(x):
    """Both halves of every chain as chains."""
    half = x.shape[1] // 2
    return np.concatenate([x[:, :half], x[:, -half:]])


def _ranked(x):
    """Normal scores of the ranks over all chains, equal numbers at their middle."""
    from scipy.stats import rankdata

    return ndtri((rankdata(x).reshape(x.shape) - 0.375) / (x.size + 0.25))


def _ratio(x):
    n, within = x.shape[1], np.mean(np.var(x, axis=1, ddof=1))
    if within == 0:
        return np.nan
    return float(np.sqrt((n - 1) / n + np.var(x.mean(axis=1), ddof=1) / within))


def _ess(x):
    r"""$mn/\tau$ with $\tau$ the sum of autocorrelations over all chains, up to where pairs of them turn negative, and falling
    (Geyer 1992).
    """
    m, n = x.shape
    moved = np.fft.rfft(x - x.mean(axis=1, keepdims=True), 2 * n)
    products = np.fft.irfft(moved * moved.conj(), 2 * n)[:, :n] / n
    within = np.mean(products[:, 0]) * n / (n - 1)
    whole = within * (n - 1) / n + np.var(x.mean(axis=1), ddof=1)
    if whole == 0:
        return np.nan
    rho = 1 - (within - products.mean(axis=0)) / whole
    rho[0] = 1.0
    pairs = rho[: n - n % 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs < 0)
    kept = np.minimum.accumulate(pairs[: ends[0] if ends.size else pairs.size])
    return float(m * n / max(2 * kept.sum() - 1, 1 / np.log10(m * n)))
