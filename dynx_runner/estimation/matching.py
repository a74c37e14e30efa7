"""What all estimators from moments share: weights, distances, covariances, and tests."""

import abc
import contextlib
import copy
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import stagecraft as sc
from dynx_runner.estimation import adapter, inference
from dynx_runner.estimation.fit import Fit, fitted
from dynx_runner.estimation.free import read_free
from dynx_runner.estimation.task import Task
from dynx_runner.estimation.weights import factor, labels_of, overidentified, root_of, told


@dataclass(frozen=True)
class Terms:
    r"""The residuals $L(m(\theta) - \hat m)$ with $L'L$ the weights, a static function.

    **Attributes:** `moments`: of a solved circuit, and of a key if `keyed`; `covariance`: of a solved circuit, by which the
    weights are updated at every parameter, or `None`.
    """

    moments: Callable
    keyed: bool = False
    covariance: Callable | None = None

    def __call__(self, circuit, inputs) -> Float[Array, " moments"]:
        """Residuals; NaN where the circuit cannot be solved."""
        data, root, key = inputs
        solved = sc.solve(circuit, throw=False)
        gap = self.found(solved, key) - data
        if self.covariance is not None:
            lower = jnp.linalg.cholesky(jnp.asarray(self.covariance(solved)))
            return self._sound(solved, jax.scipy.linalg.solve_triangular(lower, gap, lower=True))
        return self._sound(solved, root @ gap)

    def found(self, solved, key) -> Float[Array, " moments"]:
        """The moments of a solved circuit in one vector."""
        told = self.moments(solved, key) if self.keyed else self.moments(solved)
        return jnp.concatenate([jnp.ravel(jnp.asarray(x)) for x in jax.tree.leaves(told)])

    def _sound(self, solved, found):
        return jnp.where(jnp.all(solved.info.outcome == sc.Outcome.success), found, jnp.nan)


class AbstractMatching(abc.ABC):
    """An estimator that brings moments of a solved circuit near those of data.

    **Attributes:** `circuit`; `task`: the criterion; `names`: of the moments; `data`: their values, in one vector;
    `covariance_of_data`; `weights`: as they were asked for; `key`: of simulated moments.
    """

    circuit: Any
    task: Task
    names: tuple[str, ...]
    data: np.ndarray
    covariance_of_data: Any
    weights: Any
    key: Any

    @abc.abstractmethod
    def noise(self, z: np.ndarray) -> np.ndarray:
        """The covariance that simulation adds to the moments."""

    def read(self, circuit, free, moments, data, weights, covariance, key, keyed) -> None:
        """Fill in what was given, checked; `ValueError` names what is wrong."""
        self.circuit = dataclasses.replace(circuit, stored=None, info=None, dists=None)
        if not callable(moments):
            raise ValueError(f"moments: a function of a solved circuit is needed, found {moments!r}")
        self.key, self.weights, self.covariance_of_data = key, weights, covariance
        leaves = jax.tree_util.tree_flatten_with_path(data)[0]
        self.names = tuple(name for path, x in leaves for name in labels_of(jax.tree_util.keystr(path), x))
        self.data = np.concatenate([np.ravel(np.asarray(x, float)) for _, x in leaves])
        if hasattr(covariance, "loc"):  # A frame tells which moments it is of.
            self.covariance_of_data = covariance = covariance.loc[list(self.names), list(self.names)].to_numpy()
        if not np.all(np.isfinite(self.data)):
            raise ValueError(f"data: {', '.join(n for n, x in zip(self.names, self.data, strict=True) if not np.isfinite(x))} "
                             "is no finite number")  # fmt: skip
        space = read_free(self.circuit, free)
        self._check_count(space, moments, key, keyed)
        root = root_of(weights, None if callable(covariance) else covariance, self.names)
        continuous = covariance if isinstance(weights, str) and weights == "continuous" else None
        if continuous is None and isinstance(weights, str) and weights == "continuous":
            raise ValueError('weights="continuous" needs `covariance`, a function of the solved circuit')
        terms = Terms(moments, keyed, continuous)
        self.task = Task(self.circuit, space, terms, (jnp.asarray(self.data), jnp.asarray(root), key))

    def _check_count(self, space, moments, key, keyed) -> None:
        """As many moments as data, and no fewer than parameters."""
        shape = jax.eval_shape(lambda: Terms(moments, keyed).found(sc.solve(self.circuit, throw=False), key)).shape
        if shape != self.data.shape:
            raise ValueError(f"moments: the function returns {shape[0]} numbers, and the data are {self.data.size}")
        if len(space.names) > self.data.size:
            raise ValueError(
                f"{len(space.names)} parameters ({', '.join(space.names)}) and {self.data.size} moments: "
                "some of them cannot be told; fix parameters, or match more"
            )

    def moments(self, parameters: Mapping | None = None) -> dict[str, float]:
        """The moments of the circuit at `{path: value}` in place of its own, by name."""
        circuit = adapter.with_values(self.circuit, parameters or {})
        task = dataclasses.replace(self.task, circuit=circuit)
        return dict(zip(self.names, self._found(task, task.own).tolist(), strict=True))

    def _found(self, task: Task, z) -> np.ndarray:
        """The moments themselves, from the residuals that one program finds for all purposes."""
        bare = dataclasses.replace(task, terms=dataclasses.replace(task.terms, covariance=None))
        root = np.asarray(task.inputs[1])
        return np.asarray(task.inputs[0]) + np.linalg.solve(root, bare.vector(z))

    def fit(
        self,
        start: Any = None,
        starts: int = 1,
        key: Any = None,
        *,
        method: str | None = None,
        steps: int = 200,
        check: bool = True,
        progress: bool | None = None,
        store: Any = None,
    ) -> Fit:
        """Bring the moments near the data.

        **Arguments:** `start`, `starts`, `key`, `steps`, `check`, `progress`, `store` as of `MLE.fit`; `method`: `damped`
        (default: Levenberg and Marquardt on exact Jacobians), `trf` (scipy's), `bfgs`, `l-bfgs-b`, `adam`, `nelder-mead`.
        """
        found = fitted(self, start, starts, key, method, steps, check, progress, store)
        if not (isinstance(self.weights, str) and self.weights == "two-step"):
            return found
        if not callable(self.covariance_of_data):
            second = np.asarray(self.covariance_of_data) + self.noise(found.z)
        else:
            second = np.asarray(self.covariance_of_data(sc.solve(found.circuit))) + self.noise(found.z)
        factor(second, self.names, "covariance at the first step")
        root = jnp.asarray(np.linalg.inv(np.linalg.cholesky(second)))
        other = copy.copy(self)
        other.weights, other.covariance_of_data = np.linalg.inv(second), second - self.noise(found.z)
        other.task = dataclasses.replace(self.task, inputs=(self.task.inputs[0], root, self.key))
        begin = {path: x for path, x in found.parameters.items()}
        # Other weights are another criterion.
        again = None if store is None else store.beside("second step")
        return fitted(other, begin, 1, None, method, steps, check, progress, again)

    def check_start(self, z: np.ndarray) -> None:
        """Speak of a start at which moments are not finite, and of moments on which nothing depends."""
        found = self._found(self.task, z)
        at = ", ".join(f"{name} = {x:g}" for name, x in zip(self.task.free.names, z, strict=True))
        bad = [name for name, x in zip(self.names, found, strict=True) if not np.isfinite(x)]
        if bad:
            sc.solve(self.task.free.put(jnp.asarray(z), self.circuit))
            raise ValueError(f"moments: {', '.join(bad)} is not finite at the start ({at})")
        slopes = np.abs(self.slopes(z)).max(axis=1)
        still = [name for name, x in zip(self.names, slopes, strict=True) if x == 0.0]
        if still:
            raise ValueError(f"moments: {', '.join(still)} depends on no free parameter at the start ({at}); leave it out")

    def slopes(self, z) -> np.ndarray:
        """The derivatives of the moments, (moments, coordinates)."""
        if self.task.terms.covariance is None:
            return np.linalg.solve(np.asarray(self.task.inputs[1]), self.task.jacobian(z))
        bare = dataclasses.replace(self.task, terms=dataclasses.replace(self.task.terms, covariance=None))
        return np.linalg.solve(np.asarray(self.task.inputs[1]), bare.jacobian(z))

    def omega(self, z) -> np.ndarray:
        """The covariance of the gap between moments and data."""
        given = self.covariance_of_data
        if given is None:
            raise ValueError("standard errors and tests need the `covariance` of the data")
        given = given(sc.solve(self.task.free.put(jnp.asarray(z), self.circuit))) if callable(given) else given
        return np.asarray(given, float) + self.noise(z)

    def _weight(self, z) -> np.ndarray:
        if self.task.terms.covariance is not None:
            return np.linalg.inv(self.omega(z))
        root = np.asarray(self.task.inputs[1])
        return root.T @ root

    def covariance(self, z, kind: str | None, free: np.ndarray, samples: Any = None) -> np.ndarray:
        r"""The covariance of an estimate.

        `sandwich` (default): $(G'WG)^{-1}G'W\Omega WG(G'WG)^{-1}$ with $\Omega$ the covariance of data and simulation together;
        `efficient`: $(G'\Omega^{-1}G)^{-1}$; `bootstrap`: of estimates from `samples`, moments of data drawn anew, a row for
        each.
        """
        if kind == "bootstrap":
            return self._bootstrap(z, free, samples)
        slopes, omega = self.slopes(z)[:, free], self.omega(z)
        if kind == "efficient":
            return inference.spread(
                inference.inverse(slopes.T @ np.linalg.solve(omega, slopes), self.task.free.names, free), free
            )
        if kind not in (None, "sandwich"):
            raise ValueError(f"kind: {kind!r} is none of sandwich, efficient, bootstrap")
        weight = self._weight(z)
        bread = inference.inverse(slopes.T @ weight @ slopes, self.task.free.names, free) @ slopes.T @ weight
        return inference.spread(bread @ omega @ bread.T, free)

    def _bootstrap(self, z, free, samples) -> np.ndarray:
        if samples is None:
            raise ValueError("bootstrap: give `samples`, the moments of data drawn anew, a row for each")
        found = []
        for row in np.asarray(samples, float):
            other = copy.copy(self)
            other.data = row
            other.task = dataclasses.replace(self.task, inputs=(jnp.asarray(row), *self.task.inputs[1:]))
            start = dict(self.task.free.fill(jnp.asarray(z), self.circuit))
            found.append(fitted(other, start, 1, None, None, 200, False, False))
        return inference.spread_of(found, free)

    def sensitivity(self, z, free: np.ndarray) -> Any:
        r"""The derivative of estimates in the data, $H^{-1}\,2G'W$ with $H$ the exact second derivative of the distance (more
        if $W$ moves); where the moments fit it is $(G'WG)^{-1}G'W$, minus that of Andrews, Gentzkow & Shapiro (2017).
        """
        import pandas as pd

        bread = inference.inverse(self.task.hessian(z)[np.ix_(free, free)], self.task.free.names, free)
        whole = np.full((free.size, self.data.size), np.nan)
        moving = self.task.terms.covariance is not None
        cross = -inference.data_slopes(self.task, z) if moving else 2 * self.slopes(z).T @ self._weight(z)
        whole[free] = bread @ cross[free]
        return pd.DataFrame(whole, index=list(self.task.free.names), columns=list(self.names))

    def j_test(self, z, free: np.ndarray) -> dict[str, float]:
        """The test of overidentifying restrictions; see `weights.overidentified`."""
        gap = self._found(self.task, z) - self.data
        slopes, weight = self.slopes(z)[:, free], self._weight(z)
        inference.inverse(slopes.T @ weight @ slopes, self.task.free.names, free)  # It names what cannot be told apart.
        if self.task.terms.covariance is not None:  # The distance itself, of which weights that move are a part.
            return told(float(gap @ weight @ gap), gap.size - slopes.shape[1])
        return overidentified(slopes, weight, self.omega(z), gap)

    def head(self, fit: Fit) -> list[tuple[str, str]]:
        """What stands above a table of estimates."""
        shown = [("distance", f"{fit.criterion:.6g}"), ("moments", str(self.data.size)),
                 ("weights", self.weights if isinstance(self.weights, str) else "given")]  # fmt: skip
        if self.covariance_of_data is not None and self.data.size > len(fit.names):
            with contextlib.suppress(ValueError):  # Where parameters cannot be told apart a note says so.
                test = fit.j_test()
                shown.append(("J-test", f"{test['J']:.4g}, {test['df']} degrees of freedom, p = {test['p']:.3f}"))
        return shown
