"""What an estimation leaves: estimates, how they were found, and what may be asked of them."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dynx_runner.estimation import check, inference, journal, pictures, report, search, store
from dynx_runner.estimation.engines import METHODS, Trace
from dynx_runner.estimation.task import FEW, Task


@dataclass(frozen=True, eq=False)
class Fit:
    """An estimate.

    **Attributes:**

    - `parameters`: `{path: number or array}`, as `circuit.with_parameters` takes them; `circuit`: at these, unsolved.
    - `criterion`: what was minimised: minus the log-likelihood, or the distance of moments; `loglik`: of a likelihood.
    - `converged`, `outcome`: whether the end is a minimum, judged by the gradient at it, and why not.
    - `basins`: a frame of the different ends of all starts; `traces`: how each start went.
    - `check`: a frame of automatic derivatives beside central differences at start and end; `None` where it was not wanted.
    - `names`, `z`: of all free coordinates, and their values; `estimator`: that it came from.
    """

    estimator: Any
    z: np.ndarray
    traces: list[Trace]
    basins: Any
    check: Any
    converged: bool
    outcome: str

    @property
    def task(self) -> Task:
        """The criterion with its derivatives."""
        return self.estimator.task

    @property
    def names(self) -> tuple[str, ...]:
        """Of the free coordinates."""
        return self.task.free.names

    @property
    def parameters(self) -> dict[str, Any]:
        """The estimates in the shapes of the parameters."""
        found = self.task.free.fill(jnp.asarray(self.z), self.task.circuit)
        return {path: float(x) if jnp.ndim(x) == 0 else np.asarray(x) for path, x in found.items()}

    @property
    def circuit(self) -> Any:
        """The circuit at the estimates, to be solved."""
        return self.task.free.put(jnp.asarray(self.z), self.task.circuit)

    @property
    def criterion(self) -> float:
        """At the estimates."""
        return self.task.value(self.z)

    @property
    def loglik(self) -> float:
        """The weighted sum of log-likelihoods at the estimates; `AttributeError` of an estimate from moments."""
        if not self.task.likelihood:
            raise AttributeError("an estimate from moments has no likelihood; its distance is fit.criterion")
        return -self.criterion

    @property
    def inside(self) -> np.ndarray:
        """Which coordinates do not stand at a bound."""
        return ~self.task.free.at_bound(self.z)

    def covariance(self, kind: str | None = None, **more: Any) -> np.ndarray:
        """The covariance of the free coordinates, in the order of `names`.

        **Arguments:** `kind`: of a likelihood `hessian` (default), `opg`, `sandwich`, `cluster` (with `by`, a column of the
        data), `bootstrap` or `score-bootstrap` (with `key` and `samples`); of moments see their estimator. These are `more`.

        **Raises:** `ValueError` where parameters cannot be told apart, with their names.
        """
        self._warn_of_bounds()
        return self.estimator.covariance(self.z, kind, self.inside, **more)

    def se(self, kind: str | None = None, **more: Any) -> dict[str, Any]:
        """Standard errors in the shapes and units of the parameters, of `kind` with `more` as of `covariance`; NaN, with a
        warning, of those at a bound."""
        return inference.in_parameters(self.task, self.z, self.covariance(kind, **more))

    def delta(self, function: Callable[[Any], Any], kind: str | None = None, **more: Any) -> tuple[Any, Any]:
        """A `function` of the solved circuit, with standard errors by the delta method, both in the structure that it returns;
        `kind` and `more` as of `covariance`."""
        return inference.delta(self.task, self.z, self.covariance(kind, **more), function)

    def sensitivity(self, to: Sequence[str] | None = None) -> Any:
        r"""How estimates move: with calibrated parameters, `to=["main.beta"]`, by $d\hat\theta/d\gamma$ with full second
        derivatives; of moments, where `to` is left out, with each moment (Andrews, Gentzkow & Shapiro 2017).

        **Returns:** a frame with a row for each free coordinate.

        **Raises:** `ValueError` of a likelihood where `to` is left out.
        """
        import pandas as pd

        if to is None and self.task.likelihood:
            raise ValueError('sensitivity: of a likelihood say to which calibrated parameters, sensitivity(["main.beta"])')
        if to is None:
            return self.estimator.sensitivity(self.z, self.inside)
        paths = [to] if isinstance(to, str) else list(to)
        slopes = inference.calibration_slopes(self.task, self.z, paths, self.inside)
        return pd.DataFrame(slopes, index=list(self.names), columns=paths)

    def identification(self) -> Any:
        """How well parameters are told apart: singular values, near-collinear directions, parameters at a bound; a frame."""
        return inference.identification(self.task, self.z, self.z)

    def j_test(self) -> dict[str, float]:
        """The test of overidentifying restrictions, `{"J", "df", "p"}`; `ValueError` of a likelihood."""
        if self.task.likelihood:
            raise ValueError("j_test: a likelihood has no overidentifying moments")
        return self.estimator.j_test(self.z, self.inside)

    def summary(self, style: str = "text", kind: str | None = None, **more: Any) -> str:
        """A table of estimates: `style` is `text`, `html` or `latex`; `kind` and `more` as of `covariance`."""
        return report.summary(report.table(self, kind, **more), style)

    def save(self, path: Any) -> None:
        """Write what the fit says as JSON to the file `path`, which `load_fit` reads."""
        store.save(self, path)

    def plot_trace(self, ax: Any = None) -> Any:
        """The criterion step by step, of every start, on `ax` or new axes, which all pictures return."""
        return pictures.trace(self, ax)

    def plot_starts(self, ax: Any = None) -> Any:
        """Where every start ended, in order, on `ax` or new axes: steps are basins."""
        return pictures.starts(self, ax)

    def plot_moments(self, ax: Any = None) -> Any:
        """Moments of the model beside those of the data, in standard errors, on `ax` or new axes; only of moments."""
        return pictures.moments(self, ax)

    def plot_sensitivity(self, to: Sequence[str] | None = None, ax: Any = None) -> Any:
        """`sensitivity`, of what `to` says, as a map on `ax` or new axes, each row in units of its largest entry."""
        return pictures.sensitivity(self, to, ax)

    def plot_profile(self, name: str, ax: Any = None) -> Any:
        """The criterion along the coordinate `name`, the others adapted, on `ax`; `ValueError` for one that is not free."""
        return pictures.profile(self, name, ax=ax)

    def plot_band(self, function: Callable[[Any], Any], x: Any, ax: Any = None) -> Any:
        """A curve over `x`, the array `function(solved)`, and its band of 95 % by the delta method, on `ax` or new axes."""
        return pictures.band(self, function, x, ax)

    def _repr_html_(self) -> str:
        return self.summary("html")

    def __repr__(self) -> str:
        return self.summary("text")

    def _warn_of_bounds(self) -> None:
        if not self.inside.all():
            at = ", ".join(f"`{n}`" for n, i in zip(self.names, self.inside, strict=True) if not i)
            warnings.warn(f"{at} stands at a bound, and has no standard error; the others are those given it", stacklevel=3)


def fitted(
    estimator,
    start: Any,
    starts: int,
    key: Any,
    method: str | None,
    steps: int,
    checked: bool,
    progress: bool | None,
    kept: Any = None,
) -> Fit:
    """The estimate from one start or several.

    **Raises:** `ValueError` for starts outside their bounds or where the criterion is not finite, and for parameters on which
    nothing depends.
    """
    task, few = estimator.task, len(estimator.task.free.names) <= FEW
    method = method or ("damped" if few else "l-bfgs-b")
    if method not in METHODS or (method == "damped" and not few):
        raise ValueError(f"method: {method!r} is none of {', '.join(METHODS if few else METHODS[1:])} for these parameters")
    begin = search.begin(task, start, starts, key)
    estimator.check_start(begin[0])
    still = inference.unmoved(task, begin[0])
    if still:
        raise ValueError(f"nothing that is {'observed' if task.likelihood else 'matched'} depends on {', '.join(still)}; "
                         "the data cannot tell: fix it, or observe more")  # fmt: skip
    with search.Line(progress) as told, journal.journal_of(kept, task) as around:
        traces = search.from_all(task, begin, method, steps, told, around)
    best = min(traces, key=lambda trace: np.nan_to_num(trace.point.value, nan=np.inf))
    z, converged, outcome = _judged(task, best)
    checks = None
    if checked:
        import pandas as pd

        places = ((begin[0], "start"), (z, "end"))
        checks = pd.concat([check.gradient_check(task, at, where) for at, where in places], ignore_index=True)
    return Fit(estimator, z, traces, search.basins(task, traces), checks, converged, outcome)


def _judged(task, trace: Trace) -> tuple[np.ndarray, bool, str]:
    """The end of a trace, whether it is a minimum, and in words why not: by what a Newton step from it would still gain."""
    z = np.asarray(task.free.inside(jnp.asarray(trace.x)))
    if not np.isfinite(trace.point.value):
        return z, False, f"the criterion is not finite: {trace.outcome}"
    inside = ~task.free.at_bound(z)
    if not inside.any():
        return z, False, "all parameters stand at a bound"
    for _ in range(3):
        slope, curve = task.slope(z)[inside], _curvature(task, z)[np.ix_(inside, inside)]
        if not np.all(np.isfinite(curve)):
            return z, False, "the second derivative of the criterion is not finite at the end"
        size = np.sqrt(np.maximum(np.diag(curve), 1e-300))
        least, along = (x[..., 0] for x in np.linalg.eigh(curve / np.outer(size, size)))
        if least <= 1e-10:
            names = inference.loading(along, [name for name, keep in zip(task.free.names, inside, strict=True) if keep])
            return z, False, f"the criterion does not curve upwards in every direction; not identified: {names}"
        step = np.linalg.solve(curve, slope)
        if 0.5 * slope @ step <= 1e-9 * max(1.0, 1e-3 * abs(trace.point.value)):
            return (z, True, "converged") if trace.outcome == "converged" else (z, True, f"converged, though {trace.outcome}")
        moved = z.copy()
        moved[inside] -= step
        if not task.free.fits(moved) or not task.value(moved) < task.value(z):
            break
        z = moved
    return z, False, f"the gradient is not zero at the end ({trace.outcome})"


def _curvature(task, z):
    """The second derivative of a likelihood, and that of a sum of squares but for the curvature of its terms."""
    return task.hessian(z) if task.likelihood else task.curvature(z)


def keys(key: Any, samples: int):
    """One key for each sample."""
    if key is None:
        raise ValueError("bootstrap: samples are drawn by a `key`, jax.random.key(0)")
    return jax.random.split(key, samples)
