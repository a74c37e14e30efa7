"""Maximum likelihood: the parameters at which what was observed is most likely."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import stagecraft as sc
from dynx_runner.estimation import adapter, inference, likelihood
from dynx_runner.estimation.arrays import Data, Plan, arranged, check_mapping, missing_of
from dynx_runner.estimation.bayes import sampled
from dynx_runner.estimation.fit import Fit, fitted, keys
from dynx_runner.estimation.frame import read_frame, rows_in_words
from dynx_runner.estimation.free import read_free
from dynx_runner.estimation.padded import padded
from dynx_runner.estimation.plan import Seen, errors_by_stage, read_seen
from dynx_runner.estimation.posterior import Posterior
from dynx_runner.estimation.task import Task
from dynx_runner.estimation.unique import check_unique
from heptapod.errors import did_you_mean


@dataclass(frozen=True)
class _Terms:
    """The log-likelihoods of units as a static function, equal for equal plans."""

    plan: Plan

    def __call__(self, circuit, data: Data) -> Float[Array, " units"]:
        return likelihood.contributions(self.plan, circuit, data)


class MLE:
    """Maximum likelihood of a circuit, with exact derivatives through its solution.

    **Attributes:** `circuit`; `free`: the paths that are estimated; `units`: whoever is observed, in the order of
    `contributions`.
    """

    def __init__(
        self,
        circuit: sc.ModelCircuit,
        free: Mapping[str, Any],
        data: Any,
        observe: Mapping[str, Sequence[str]],
        *,
        errors: Mapping[str, Any] | None = None,
        transitions: bool = True,
    ):
        r"""Read the data, and say which variables of which stages are seen.

        **Arguments:**

        - `free`: `{path: bounds}`, the bounds (low, high), a transform, or `None`.
        - `data`: a pandas frame, a row for each observation, its columns as `panel.to_pandas()` writes them; or a panel. With
          `id` (or `agent`) and `period` rows of one id follow each other; else every row is by itself. `weight`, `type`, and
          the branch taken in `branch`, by position or name. NaN where something is not seen.
        - `observe`: `{"BUS": ["s", "d"]}`; a state on arrival, a shock, a decision state, a control, or `branch`.
        - `errors`: `{"c": "main.sigma_c"}` for what is measured with an additive normal error of that standard deviation, or
          `("log", "main.sigma_c")` for an error of the logarithm; `"CONS.c"` where several stages have a `c`.
        - `transitions`: whether the laws of what is drawn are part of the likelihood; else only decisions are.

        **Raises:** `ValueError` naming columns, rows or variables.
        """
        if not isinstance(circuit, sc.ModelCircuit):
            raise TypeError(f"MLE takes a ModelCircuit, found {type(circuit).__name__}; load one with stagecraft.load(path)")
        self.circuit = dataclasses.replace(circuit, stored=None, info=None, dists=None)
        self._observe, self._noisy = check_mapping("observe", observe), errors_by_stage(circuit, observe, errors or {})
        self._transitions, self._data = bool(transitions), data
        own = adapter.values(circuit)
        for path in (given if isinstance(given, str) else given[-1] for of in self._noisy.values() for given in of.values()):
            if path not in own or np.size(own[path]) != 1:
                raise ValueError(f"errors: `{path}` is no number of the circuit; {did_you_mean(path, own) or ', '.join(own)}")
        seen, frame = self._read(data)
        self.plan, arrays = arranged(self.circuit, seen, frame, self._transitions)
        check_unique(self.circuit, self.plan)
        self.units, self._frame = frame.units, frame
        self.task = Task(self.circuit, read_free(self.circuit, free), _Terms(self.plan), arrays, arrays.weights)

    @property
    def free(self) -> tuple[str, ...]:
        """The paths that are estimated."""
        return self.task.free.paths

    def _read(self, data) -> tuple[tuple[Seen, ...], Any]:
        names = {stage: tuple(dict.fromkeys((*seen, *self._noisy[stage]))) for stage, seen in self._observe.items()}
        for stage, variables in names.items():  # Names first, so that a wrong one is told from a missing column.
            read_seen(self.circuit, stage, variables, self._noisy[stage], set(), False, False)
        frame = read_frame(self.circuit, data, names, {name for of in self._noisy.values() for name in of})
        how = (self._transitions, frame.ordered)
        seen = [read_seen(self.circuit, s, v, self._noisy[s], missing_of(frame, s), *how) for s, v in names.items()]
        return tuple(seen), frame

    def with_data(self, data: Any) -> "MLE":
        """The same estimator of other `data`; where these have as many units, and no more rows, nothing is compiled anew."""
        other = copy.copy(self)
        other._data, (seen, frame) = data, self._read(data)
        other.plan, arrays = arranged(self.circuit, seen, frame, self._transitions)
        arrays = padded(arrays, self.task.inputs) if other.plan == self.plan else arrays
        other.units, other._frame = frame.units, frame
        other.task = dataclasses.replace(self.task, terms=_Terms(other.plan), inputs=arrays, weights=arrays.weights)
        return other

    def contributions(self, parameters: Mapping | None = None) -> Float[Array, " units"]:
        """The log-likelihood of each unit, unweighted, at `parameters` in place of the circuit's own; NaN where the circuit
        cannot be solved. Safe under `jit`, `grad` and `vmap`, as `loglik` and `score` are.
        """
        return likelihood.contributions(self.plan, adapter.with_values(self.circuit, parameters or {}), self.task.inputs)

    def loglik(self, parameters: Mapping | None = None) -> Float[Array, ""]:
        """The weighted sum of the contributions at `parameters`."""
        weights, found = jnp.asarray(self.task.weights), self.contributions(parameters)
        return jnp.sum(jnp.where(weights > 0, weights * jnp.where(weights > 0, found, 0.0), 0.0))

    def score(self, parameters: Mapping | None = None) -> dict[str, Float[Array, "..."]]:
        """The derivative of `loglik` in the free parameters, `{path: array}`, at `parameters`."""
        own = adapter.values(self.circuit)
        at = {path: jnp.asarray((parameters or {}).get(path, own[path]), own[path].dtype) for path in self.free}
        fixed = {path: x for path, x in (parameters or {}).items() if path not in at}
        found = jax.grad(lambda free: self.loglik({**fixed, **free}))(at)
        return {path: found[path] for path in self.free}

    def posterior(self, parameters: Mapping | None = None) -> Float[Array, "units types"]:
        """How likely each unit is of each type at `parameters`, given all that is seen of it; `ValueError` without types."""
        if not self.plan.types:
            raise ValueError("posterior: the circuit has no types")
        return likelihood.posterior(self.plan, adapter.with_values(self.circuit, parameters or {}), self.task.inputs)

    def filtered(self, parameters: Mapping | None = None) -> Float[Array, "units steps hidden"]:
        """How likely each combination of hidden states is at each row of a unit at `parameters`, by what is seen till then."""
        if not self.plan.long or self.plan.types:
            raise ValueError("filtered: there are no hidden states along rows of one id, or there are types beside them")
        return likelihood.filtered(self.plan, adapter.with_values(self.circuit, parameters or {}), self.task.inputs)

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
        """Maximise the likelihood.

        **Arguments:**

        - `start`: `{path: value}`, the circuit's own where left out; a list of such, or a frame with a row for each.
        - `starts`: how many in all; the others are the best of eight points each of a Sobol sequence that `key` draws.
        - `method`: `damped` (default: scores of units, and secants), `bfgs`, `l-bfgs-b` (default for many parameters), `adam`,
          `nelder-mead`, which takes no derivatives.
        - `steps`: at most; `check`: whether derivatives are held against central differences at start and end.
        - `progress`: whether a line shows the steps, if left out after two seconds and in a terminal; `store`: a `ResultStore`
          in which every evaluation is kept, so that the same call goes on where it was cut off.
        """
        return fitted(self, start, starts, key, method, steps, check, progress, store)

    def sample(
        self,
        key: Any,
        *,
        priors: Mapping | None = None,
        start: Any = None,
        chains: int = 4,
        draws: int = 1_000,
        warmup: int = 500,
    ) -> Posterior:
        """Draw from the posterior by the No-U-Turn sampler (Hoffman & Gelman 2014); needs the extra `bayes`.

        - `priors`: `{path: law}`, a `NormalPrior`, `LogNormalPrior`, `BetaPrior` or `UniformPrior` of every coordinate, or a
          JAX function of the value to the logarithm of a density; flat between its bounds where there is none.
        - `start`: as of `fit`: `fit.parameters`, say; chains begin around it; `key`: from `jax.random.key(seed)`.
        - `chains`, `draws`: of each; `warmup`: steps before them that find their length, which are not kept.
        """
        return sampled(self, key, priors, start, chains, draws, warmup)

    def check_start(self, z: np.ndarray) -> None:
        """Speak of a start `z` at which the likelihood is not finite, by `ValueError`: which observations, which parameters."""
        found = np.asarray(self.task.vector(z))
        live = np.asarray(self.task.weights) > 0
        if np.all(np.isfinite(found[live])):
            return
        circuit = self.task.free.put(jnp.asarray(z), self.circuit)
        sc.solve(circuit)  # It says what cannot be solved, and where.
        at = ", ".join(f"{name} = {x:g}" for name, x in zip(self.task.free.names, z, strict=True))
        bad = np.flatnonzero(~np.isfinite(found) & live)
        if np.isnan(found[bad]).any():
            which = bad[np.isnan(found[bad])]
            raise ValueError(f"the likelihood is NaN at the start ({at}), first for {self._who(which)}")
        raise ValueError(f"at the start ({at}) what is observed has probability zero for {self._who(bad)}")

    def _who(self, units: np.ndarray) -> str:
        """Units in words, with the rows of the first."""
        first = units[0]
        rows = np.sort(np.concatenate([r.places[r.unit == first] for r in self._frame.rows.values()]))
        alone = len(self.units) == sum(len(r.t) for r in self._frame.rows.values())
        if alone:
            every = np.concatenate([r.places[np.isin(r.unit, units)] for r in self._frame.rows.values()])
            return f"{rows_in_words(np.sort(every))} of the data"
        return f"{len(units)} of {len(self.units)} ids, first {self.units[first]} ({rows_in_words(rows)} of the data)"

    def covariance(self, z: np.ndarray, kind: str | None, free: np.ndarray, **more: Any) -> np.ndarray:
        """The covariance of the estimate `z`, of its coordinates that are `free`; `kind` and `more` as of `Fit.covariance`."""
        if kind in ("bootstrap", "score-bootstrap"):
            return self._bootstrap(z, kind, free, **more)
        by = more.pop("by", None)
        if more:
            raise ValueError(f"covariance: {', '.join(more)} says nothing for kind {kind!r}")
        groups = None if by is None else self._groups(by)
        return inference.likelihood_covariance(self.task, z, kind or "hessian", free, groups)

    def _groups(self, by: str) -> np.ndarray:
        """The value of a column for each unit."""
        if not hasattr(self._data, "columns") or by not in self._data.columns:
            raise ValueError(f"cluster: the data have no column `{by}`")
        column, found = self._data.reset_index(drop=True)[by].to_numpy(), np.empty(len(self.units), object)
        for rows in self._frame.rows.values():
            found[rows.unit] = column[rows.places]
        return np.unique(found.astype(str), return_inverse=True)[1]

    def _bootstrap(self, z, kind, free, key=None, samples: int = 200) -> np.ndarray:
        """Units drawn anew by weights: fitted again from the estimate, or moved by one Newton step along their scores."""
        drawn = np.stack([np.bincount(np.asarray(jax.random.randint(k, (len(self.units),), 0, len(self.units))),
                                      minlength=len(self.units)) for k in keys(key, samples)])  # fmt: skip
        weights = drawn * np.asarray(self.task.weights)
        if kind == "score-bootstrap":
            bread = inference.inverse(self.task.hessian(z)[np.ix_(free, free)], self.task.free.names, free)
            moved = (weights @ self.task.jacobian(z)[:, free]) @ bread
            return inference.spread(np.atleast_2d(np.cov(moved.T)), free)
        found = []
        for row in weights:
            other = copy.copy(self)
            other.task = dataclasses.replace(self.task, weights=jnp.asarray(row, self.task.inputs.weights.dtype))
            found.append(other.fit(dict(self.task.free.fill(jnp.asarray(z), self.circuit)), check=False))
        return inference.spread_of(found, free)

    def head(self, fit: Fit) -> list[tuple[str, str]]:
        """What stands above the table of estimates of a `fit`."""
        return [("log-likelihood", f"{fit.loglik:.6f}"), ("units", str(len(self.units))),
                ("rows", str(sum(len(r.t) for r in self._frame.rows.values())))]  # fmt: skip
