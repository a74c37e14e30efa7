"""What an optimum says of parameters: covariances, functions of them, sensitivities, and how well they are told apart."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dynx_runner.estimation import adapter

KINDS = ("hessian", "opg", "sandwich", "cluster")


def likelihood_covariance(task, z, kind: str, free: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    r"""The covariance of a maximum-likelihood estimate, NaN for coordinates that are not free.

    `hessian`: $H^{-1}$ of minus the log-likelihood; `opg`: $(\sum w s s')^{-1}$ with $s$ the scores of units; `sandwich`:
    $H^{-1}\sum w^2ss'H^{-1}$; `cluster`: the same with scores summed within groups first, times $G/(G-1)$.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: {kind!r} is none of {', '.join(KINDS)}")
    weights = np.asarray(task.weights)
    scores = np.where(weights[:, None] > 0, task.jacobian(z), 0.0)[:, free] if kind != "hessian" else np.zeros((0, 0))
    if kind == "opg":
        return spread(inverse((scores * weights[:, None]).T @ scores, task.free.names, free), free)
    bread = inverse(task.hessian(z)[np.ix_(free, free)], task.free.names, free)
    if kind == "hessian":
        return spread(bread, free)
    meat = scores * weights[:, None]
    if kind == "cluster":
        if groups is None:
            raise ValueError("cluster: say by which column of the data, by=...")
        names, place = np.unique(groups, return_inverse=True)
        meat = np.stack([np.bincount(place, x, len(names)) for x in meat.T], axis=1) * np.sqrt(len(names) / (len(names) - 1))
    return spread(bread @ (meat.T @ meat) @ bread, free)


def inverse(matrix: np.ndarray, names, free) -> np.ndarray:
    """The inverse of a positive definite matrix; `ValueError` names the parameters that are not identified."""
    if not matrix.size:
        return matrix
    size = np.sqrt(np.maximum(np.abs(np.diag(matrix)), 1e-300))
    values, vectors = np.linalg.eigh(matrix / np.outer(size, size))
    if not np.all(np.isfinite(values)) or values[0] <= 1e-12:
        names = [name for name, keep in zip(names, free, strict=True) if keep]
        raise ValueError(
            f"{loading(vectors[:, 0], names)} cannot be told apart: along that direction the criterion does not curve"
        )
    return np.linalg.inv(matrix)


def loading(vector: np.ndarray, names) -> str:
    """The parameters that a direction moves, the most first."""
    order = np.argsort(-np.abs(vector))
    return ", ".join(f"`{names[i]}`" for i in order if abs(vector[i]) > 0.1)


def spread(matrix: np.ndarray, free: np.ndarray) -> np.ndarray:
    """A matrix with NaN for what is not free."""
    whole = np.full((free.size, free.size), np.nan)
    whole[np.ix_(free, free)] = matrix
    return whole


def spread_of(fits, free: np.ndarray) -> np.ndarray:
    """The covariance of the estimates of many samples; warns where more than one in twenty of them did not converge."""
    lost = [fit.outcome for fit in fits if not fit.converged]
    if len(lost) > len(fits) / 20:
        warnings.warn(f"{len(lost)} of {len(fits)} samples did not converge, the first since {lost[0]}", stacklevel=5)
    return spread(np.atleast_2d(np.cov(np.stack([fit.z[free] for fit in fits]).T)), free)


def in_parameters(task, z, covariance: np.ndarray) -> dict[str, Any]:
    """Standard errors in the shapes of the parameters, by the delta method; NaN at a bound."""
    known = np.isfinite(np.diag(covariance))
    clean = np.where(np.isfinite(covariance), covariance, 0.0)
    found = {}
    slopes = jax.jacfwd(lambda z: task.free.fill(z, task.circuit))(jnp.asarray(z))
    for path, slope in slopes.items():
        flat = np.asarray(slope).reshape(-1, len(z))
        variance = np.einsum("ij,jk,ik->i", flat, clean, flat)
        lost = (np.abs(flat[:, ~known]) > 0).any(axis=1)
        error = np.where(lost, np.nan, np.sqrt(np.maximum(variance, 0.0)))
        found[path] = error.reshape(slope.shape[:-1])
    return {path: float(x) if x.ndim == 0 else x for path, x in found.items()}


def delta(task, z, covariance: np.ndarray, function) -> tuple[Any, Any]:
    """A function of the solved circuit at the estimate, and its standard errors, in the same structure."""
    import stagecraft as sc

    moved = jax.jit(lambda z: function(sc.solve(task.free.put(z, task.circuit))))
    value, slopes = moved(jnp.asarray(z)), jax.jit(jax.jacfwd(moved))(jnp.asarray(z))
    clean = np.where(np.isfinite(covariance), covariance, 0.0)
    error = jax.tree.map(lambda s: np.sqrt(np.einsum("...i,ij,...j->...", np.asarray(s), clean, np.asarray(s))), slopes)
    return jax.tree.map(np.asarray, value), error


def calibration_slopes(task, z, paths, free: np.ndarray) -> np.ndarray:
    r"""$d\hat\theta/d\gamma = -F_{\theta\theta}^{-1}F_{\theta\gamma}$ with all second derivatives of the criterion $F$.

    **Arguments:** `paths`: calibrated parameters, each one number.

    **Returns:** (coordinates, calibrated parameters).
    """
    own = adapter.values(task.circuit)
    for path in paths:
        if path not in own or path in task.free.paths or np.size(own[path]) != 1:
            raise ValueError(f"sensitivity: `{path}` is no calibrated number of the circuit; there are {', '.join(own)}")

    def criterion(z, gamma):
        circuit = adapter.with_values(task.circuit, dict(zip(paths, gamma, strict=True)))
        found = task.terms(task.free.put(z, circuit), task.inputs)
        return jnp.sum(found**2) if task.weights is None else -jnp.sum(task.weights * found)

    gamma = jnp.stack([jnp.reshape(own[path], ()) for path in paths])
    cross = jax.jit(jax.jacfwd(jax.jacfwd(criterion), argnums=1))(jnp.asarray(z), gamma)
    whole = np.full((len(z), len(paths)), np.nan)
    whole[free] = -inverse(task.hessian(z)[np.ix_(free, free)], task.free.names, free) @ np.asarray(cross)[free]
    return whole


def data_slopes(task, z) -> np.ndarray:
    r"""$F_{\theta m}$, by moments of data $m$, of a distance $F$ whose weights move, too, (coordinates, moments)."""

    def criterion(z, data):
        return jnp.sum(task.terms(task.free.put(z, task.circuit), (data, *task.inputs[1:])) ** 2)

    return np.asarray(jax.jit(jax.jacfwd(jax.jacfwd(criterion), argnums=1))(jnp.asarray(z), task.inputs[0]))


def identification(task, z, errors: np.ndarray) -> Any:
    """Singular values of the derivatives of the terms, in units of relative change, and the parameters that each moves most.

    **Returns:** a frame, the best told direction first: `singular value`, `direction`, `note`.
    """
    import pandas as pd

    slopes = task.jacobian(z)
    if task.weights is not None:
        slopes = slopes * np.sqrt(np.asarray(task.weights))[:, None]
    slopes = np.where(np.isfinite(slopes), slopes, 0.0)
    scaled = slopes * np.maximum(np.abs(z), 1e-8)
    _, values, rows = np.linalg.svd(scaled, full_matrices=False)
    notes = []
    for k, value in enumerate(values):
        still = [task.free.names[i] for i in np.flatnonzero(np.abs(rows[k]) > 0.1)]
        weak = value < 1e-6 * values[0]
        near = value < 1e-2 * values[0] and len(still) > 1
        notes.append("not identified" if weak else "nearly collinear" if near else "")
    table = pd.DataFrame(
        {"singular value": values, "direction": [loading(row, task.free.names) for row in rows], "note": notes}
    )
    at_bound = task.free.at_bound(z)
    if at_bound.any():
        names = ", ".join(f"`{n}`" for n, b in zip(task.free.names, at_bound, strict=True) if b)
        table = pd.concat([table, pd.DataFrame([{"singular value": np.nan, "direction": names, "note": "at a bound"}])])
    del errors
    return table.reset_index(drop=True)


def unmoved(task, z) -> list[str]:
    """Coordinates on which no term depends, but for rounding."""
    terms, slopes = task.both(z)
    none = 1e-13 * (1 + np.max(np.abs(terms))) / np.maximum(np.abs(z), 1.0) if task.likelihood else 0.0
    return [name for name, x, n in zip(task.free.names, np.abs(slopes).max(axis=0), none + 0 * z, strict=True) if x <= n]
