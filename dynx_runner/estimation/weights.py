"""Weights of moments as matrices, of full rank, with the moments named at which they are not."""

from typing import Any

import numpy as np

from dynx_runner.estimation.inference import loading

WEIGHTS = ("identity", "diagonal", "optimal", "two-step", "continuous")


def root_of(weights: Any, covariance: Any, names: tuple[str, ...]) -> np.ndarray:
    """A matrix $L$ with $L'L$ the weights.

    **Arguments:** `weights`: one of `WEIGHTS`, or an array; `covariance`: of the data, an array or `None`; `names`: of moments.

    **Raises:** `ValueError` naming the moments at which a matrix is deficient.
    """
    count = len(names)
    if not isinstance(weights, str):
        return factor(np.asarray(weights, float), names, "weights")
    if weights not in WEIGHTS:
        raise ValueError(f"weights: {weights!r} is none of {', '.join(WEIGHTS)}, and no array")
    if covariance is not None:
        covariance = np.asarray(covariance, float)
        factor(covariance, names, "covariance")
    if weights == "identity" or (covariance is None and weights in ("two-step", "continuous")):
        return np.eye(count)
    if covariance is None:
        raise ValueError(f'weights="{weights}" needs the `covariance` of the data')
    if weights in ("diagonal", "two-step"):
        return np.diag(1 / np.sqrt(np.diag(covariance)))
    return np.linalg.inv(np.linalg.cholesky(covariance))


def factor(matrix: np.ndarray, names: tuple[str, ...], what: str) -> np.ndarray:
    """A square root of a symmetric positive definite matrix; `ValueError` for any other."""
    count = len(names)
    if matrix.shape != (count, count) or not np.allclose(matrix, matrix.T, rtol=1e-8, atol=1e-300):
        raise ValueError(f"{what}: {count} moments need a symmetric ({count}, {count}), found shape {matrix.shape}")
    size = np.sqrt(np.abs(np.diag(matrix)))
    if (size == 0).any():
        raise ValueError(f"{what}: nothing is said of {', '.join(n for n, s in zip(names, size, strict=True) if not s)}")
    values, vectors = np.linalg.eigh(matrix / np.outer(size, size))
    if values[0] <= 1e-12:
        raise ValueError(f"{what}: of deficient rank, along {loading(vectors[:, 0], names)}")
    return np.linalg.cholesky(matrix).T


def overidentified(slopes: np.ndarray, weight: np.ndarray, omega: np.ndarray, gap: np.ndarray) -> dict[str, float]:
    r"""$g'\,(M\Omega M')^{+}\,g$ with $M = I - G(G'WG)^{-1}G'W$, its degrees of freedom and its probability."""
    df = gap.size - slopes.shape[1]
    if df == 0:
        return told(0.0, 0)
    rest = np.eye(gap.size) - slopes @ np.linalg.solve(slopes.T @ weight @ slopes, slopes.T @ weight)
    size = np.sqrt(np.diag(omega))
    values, vectors = np.linalg.eigh(rest @ omega @ rest.T / np.outer(size, size))
    along = vectors[:, -df:].T @ (gap / size)
    return told(float(np.sum(along**2 / values[-df:])), df)


def told(found: float, df: int) -> dict[str, float]:
    """A statistic, its degrees of freedom, and how often chance alone has a larger one."""
    from scipy.stats import chi2

    return {"J": found, "df": df, "p": float(chi2.sf(found, df)) if df else float("nan")}


def labels_of(path: str, x) -> list[str]:
    """Names of the entries of one leaf of the data."""
    base = path.replace("['", "").replace("']", " ").strip() or "moment"
    return [base] if np.ndim(x) == 0 else [f"{base}[{', '.join(map(str, i))}]" for i in np.ndindex(*np.shape(x))]
