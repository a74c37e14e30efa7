"""What a sampler leaves: draws of the parameters, and whether they may be believed."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dynx_runner.estimation import diagnostics, report

# Above this R-hat, and below so many independent draws a chain, nothing should be told (Vehtari et al. 2021).
R_HAT, ESS = 1.01, 100


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws from a posterior.

    **Attributes:**

    - `draws`: `{path: array (chains, draws, ...)}`, in the shapes of the parameters.
    - `z`: the free coordinates, (chains, draws, coordinates), in the order of `names`.
    - `log_density`: of likelihood and priors together, in the coordinates, (chains, draws); `divergent`: where a trajectory was
      lost; `acceptance`: the mean probability along it; `steps`: its length.
    - `estimator`: that it came from.
    """

    estimator: Any
    draws: dict[str, np.ndarray]
    z: np.ndarray
    log_density: np.ndarray
    divergent: np.ndarray
    acceptance: np.ndarray
    steps: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """Of the free coordinates."""
        return self.estimator.task.free.names

    @property
    def parameters(self) -> dict[str, Any]:
        """Means in the shapes of the parameters, as `circuit.with_parameters` takes them."""
        means = {path: x.mean(axis=(0, 1)) for path, x in self.draws.items()}
        return {path: float(x) if x.ndim == 0 else x for path, x in means.items()}

    @property
    def circuit(self) -> Any:
        """The circuit at the means, to be solved."""
        task = self.estimator.task
        return task.free.put(jnp.asarray(self.z.mean(axis=(0, 1))), task.circuit)

    @property
    def r_hat(self) -> dict[str, float]:
        """Of every coordinate, rank-normalised and split; 1 where chains agree."""
        return self._each(diagnostics.r_hat)

    @property
    def ess(self) -> dict[str, float]:
        """How many independent draws the chains are worth for every coordinate, in the bulk of its law."""
        return self._each(diagnostics.ess_bulk)

    @property
    def converged(self) -> bool:
        """Whether no diagnostic speaks against it."""
        return self.outcome == "converged"

    @property
    def outcome(self) -> str:
        """In words what speaks against the draws."""
        said = []
        apart = [name for name, x in self.r_hat.items() if not x <= R_HAT]
        few = [name for name, x in self.ess.items() if not x >= ESS * len(self.z)]
        if apart:
            said.append(f"chains disagree on {', '.join(apart)} (R-hat above {R_HAT}): draw more")
        if few:
            said.append(f"fewer than {ESS} independent draws a chain of {', '.join(few)}: draw more")
        if self.divergent.any():
            said.append(f"{int(self.divergent.sum())} trajectories diverged: give tighter priors, or warm up longer")
        return "; ".join(said) or "converged"

    def of(self, function: Any) -> Any:
        """A `function` of `{path: value}` at every draw, such as a policy of a solved circuit; leading axes (chains, draws)."""
        flat = {path: jnp.asarray(x.reshape((-1, *x.shape[2:]))) for path, x in self.draws.items()}
        found = jax.jit(lambda given: jax.lax.map(function, given))(flat)
        return jax.tree.map(lambda x: np.asarray(x).reshape((*self.z.shape[:2], *x.shape[1:])), found)

    def summary(self, style: str = "text") -> str:
        """A table of means, deviations and quantiles beside the diagnostics: `style` is `text`, `html` or `latex`."""
        rows = []
        for i, name in enumerate(self.names):
            x = self.z[..., i]
            numbers = (x.mean(), x.std(ddof=1), *np.quantile(x, [0.025, 0.975]))
            told = (f"{diagnostics.r_hat(x):.4f}", f"{diagnostics.ess_bulk(x):.0f}", f"{diagnostics.ess_tail(x):.0f}")
            rows.append((name, *[f"{number:.5g}" for number in numbers], *told))
        head = [("chains", str(len(self.z))), ("draws of each", str(self.z.shape[1])), ("outcome", self.outcome)]
        notes = [] if self.converged else [f"NOT CONVERGED: {self.outcome}."]
        columns = ("parameter", "mean", "s.d.", "2.5 %", "97.5 %", "R-hat", "ESS, bulk", "ESS, tails")
        return report.summary(report.Table("Posterior", head, columns, rows, notes), style)

    def to_arviz(self) -> Any:
        """The draws as arviz takes them, `posterior` and `sample_stats`; `ImportError` without the extra `bayes`."""
        try:
            import arviz
        except ImportError:
            raise ImportError('to_arviz needs arviz: pip install "dynx[bayes]"') from None
        told = {"lp": self.log_density, "diverging": self.divergent, "acceptance_rate": self.acceptance, "n_steps": self.steps}
        groups = {"posterior": self.draws, "sample_stats": told}
        build: Any = arviz.from_dict
        # Of an older arviz every group is an argument.
        return build(**groups) if hasattr(arviz, "InferenceData") else build(groups)

    def _each(self, function) -> dict[str, float]:
        return {name: function(self.z[..., i]) for i, name in enumerate(self.names)}

    def _repr_html_(self) -> str:
        return self.summary("html")

    def __repr__(self) -> str:
        return self.summary()
