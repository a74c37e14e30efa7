"""A stage in all its periods, whose functions answer with the periods as their first axis."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagecraft.arrays import dataset, listed, page
from stagecraft.functionals.functional import AbstractFunctional, Choices, Named
from stagecraft.horses.solution import Answer
from stagecraft.pictures.canvas import canvas, worded
from stagecraft.pictures.curves import asked, fixed, functions_of
from stagecraft.pictures.profiles import clock_of, plot_profiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_QUANTILES = (10, 25, 50, 75, 90)  # Per cent.


class StageByAge(eqx.Module):
    """One stage of a solved circuit in several periods: `solved.stage("CONS").policy["c"](m=2.0)`, one number a period.

    **Attributes:** `circuit`; `name`; `periods`: those in which the stage is passed.
    """

    circuit: Any
    name: str = eqx.field(static=True)
    periods: tuple[int, ...] = eqx.field(static=True)

    def at(self, perch: str = "dcsn", /, **states: Float[Array, "..."]) -> Answer:
        """All that is known at some states of a perch: what `sol.at` says, with an axis of the periods before the others.

        **Arguments:** `perch`: `arvl`, `dcsn`, or a continuation; `states`: by name, of broadcastable shapes, `m=ms`.

        **Returns:** an `Answer`, its arrays (periods, ...).
        """
        kinds: dict[tuple, list[int]] = {}
        for i, t in enumerate(self.periods):
            kinds.setdefault(self.circuit.kind(t), []).append(i)
        bare = dataclasses.replace(self.circuit, dists=None)
        parts = []
        for places in kinds.values():
            t = [self.periods[i] for i in places]
            parts.append(_answers(bare, jnp.asarray(t), states, self.name, perch, t[0]))
        order = np.argsort(np.concatenate(list(kinds.values())))
        return jax.tree.map(lambda *xs: jnp.concatenate(xs)[order], *parts)

    @property
    def value(self):
        """The value as a function of the states at the decision: `stage.value(m=2.0)`."""
        return self._over(self.first.value)

    @property
    def policy(self) -> Mapping[str, Any]:
        """The policies as functions: `stage.policy["c"](m=2.0)`."""
        return self._all(self.first.policy)

    @property
    def marginal(self) -> Mapping[str, Any]:
        """The marginal values as functions."""
        return self._all(self.first.marginal)

    @property
    def probability(self) -> Mapping[str, Any]:
        """The probabilities of branches, or of the values of discrete controls, as functions."""
        return self._all(getattr(self.first, "probability", {}))

    @property
    def first(self) -> AbstractFunctional:
        """The functional object at the decision of the first period."""
        return self.circuit[self.periods[0]][self.name].dcsn.sol

    @property
    def _age(self):
        return self.circuit.structure.calibration.age

    def _over(self, function: Named) -> Callable:
        return lambda **states: function.of(self.at(**states))

    def _all(self, functions: Mapping[str, Named] | Choices) -> Mapping[str, Any]:
        return {name: self._over(functions[name]) for name in functions}

    def _columns(self, answer: Answer) -> dict[str, np.ndarray]:
        """The numbers of an answer by the names of columns."""
        names = {"value": None, **functions_of(self.first)}
        del names["marginal"]  # The same as that of the first state.
        return {name: np.asarray(function.of(answer)) for name, function in names.items()}

    def plot(
        self,
        what: str | Iterable[str] | None = None,
        x: str | Mapping[str, Any] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        ax: "Axes | None" = None,
        label: str = "",
        **style: Any,
    ) -> "Axes":
        """Where `at` holds every state still, what is asked over the periods; else curves along a state, a line each for the
        first period, the middle and the last.

        **Arguments:** `what`, `x`, `at`, `ax`, `label`, `style`: as of `Stage.plot`.

        **Returns:** the matplotlib `Axes`.

        **Raises:** `ValueError` for a name that is not there.
        """
        where, sol = f"stage {self.name}", self.first
        held = fixed(sol, at, where)
        if x is not None or set(sol.dimensions) - set(held):
            for t in [self.periods[i] for i in sorted({0, len(self.periods) // 2, len(self.periods) - 1})]:
                word, when = clock_of(self._age, t)
                words = [label, f"{word} {when:g}" if len(self.periods) > 1 else ""]
                stage = self.circuit[t][self.name]
                ax = stage.plot(what, x, at=at, ax=ax, label=", ".join(filter(None, words)), **style)
            assert ax is not None
            return ax
        names, answer, lines = asked(sol, what, where), self.at(**held), {}
        for name, function in names.items():
            lines[", ".join(filter(None, (label, name)))] = np.asarray(function.of(answer))
        units = self.circuit.source.units
        ax = canvas(ax, ylabel=worded(names, units))
        return plot_profiles(lines, {}, self.periods, self._age, ax, units, **style)

    def to_pandas(self, **states: Float[Array, "..."]):
        """A long frame: `period`, `age`, the states, `value`, policies, marginal values and probabilities.

        **Arguments:** `states`: by name, of broadcastable shapes, as in `sol.at(m=ms)`.
        """
        import pandas as pd

        answer = self.at(**states)
        given = dict(zip(states, np.broadcast_arrays(*[np.asarray(x, float) for x in states.values()]), strict=True))
        points = next(iter(given.values())).size
        word, when = clock_of(self._age, self.periods)
        columns: dict[str, Any] = {"period": np.repeat(self.periods, points)}
        columns |= {"age": np.repeat(when, points)} if word == "age" else {}
        columns |= {name: np.tile(x.ravel(), len(self.periods)) for name, x in given.items()}
        return pd.DataFrame(columns | {name: x.ravel() for name, x in self._columns(answer).items()})

    def moments(self, *names: str):
        """The households that were pushed, a row for each period and variable: `period`, `age`, `variable`, `mass`, `mean`,
        `std`, `gini`, and quantiles `q10` to `q90`; `frame.set_index(["variable", "period"]).to_xarray()` is a Dataset of it.

        **Arguments:** `names` of variables, all that the perches of the stage know if left out.

        **Raises:** `ValueError` where nobody was pushed, or for a name that is not there.
        """
        import pandas as pd

        if self.circuit.dists is None:
            raise ValueError("no households yet: ask what sc.push_forward(solved, initial), or sc.stationary, returns")
        rows = []
        for t in self.periods:
            word, when = clock_of(self._age, t)
            clock = {"age": float(when)} if word == "age" else {}
            dists = {name: perch.dist for perch in self.circuit[t][self.name].perches for name in perch.dist.states}
            for name in names or dists:
                if name not in dists:
                    raise ValueError(f"stage {self.name} has no variable `{name}`; there are {', '.join(dists)}")
                rows.append({"period": t, **clock, "variable": name, **moments_of(dists[name], name)})
        return pd.DataFrame(rows)

    def to_xarray(self, **states: Float[Array, " points"]):
        """The same as a Dataset: dimensions `period` (with `age` beside it) and the `states`, each a number or a vector.

        **Raises:** `ModuleNotFoundError` without the extra `xarray`.
        """
        vectors = {name: np.atleast_1d(np.asarray(x, float)) for name, x in states.items()}
        mesh = dict(zip(vectors, np.meshgrid(*vectors.values(), indexing="ij"), strict=True))
        word, when = clock_of(self._age, self.periods)
        beside = {"age": ("period", when)} if word == "age" else {}
        sizes = ("period", *vectors)
        data = {name: (sizes, x) for name, x in self._columns(self.at(**jax.tree.map(jnp.asarray, mesh))).items()}
        return dataset(data, {"period": np.asarray(self.periods), **vectors, **beside})

    def __repr__(self) -> str:
        word, when = clock_of(self._age, self.periods)
        span = f"{word} {np.min(when):g} to {np.max(when):g}"
        calls = ", ".join(f"{name}=..." for name in self.first.dimensions)
        return listed(f"stage {self.name} in {len(self.periods)} periods", [(span, f"at({calls})")])

    def _repr_html_(self) -> str:
        return page(repr(self))


@functools.partial(jax.jit, static_argnames=("name", "perch", "like"))
def _answers(circuit, periods, states, name: str, perch: str, like: int) -> Answer:
    """The answers of one kind of period."""

    def one(t):
        stage = circuit.within(like, t)[name]
        sols = {perch.name: perch.sol for perch in stage.perches}
        if perch not in sols:
            raise ValueError(f"stage {name} has no perch `{perch}`; there are {', '.join(sols)}")
        return sols[perch].at(**states)

    return jax.vmap(one)(periods)


def moments_of(dist, name: str) -> dict[str, float]:
    """What a row of moments says of a variable."""
    spread = {"mean": dist.mean(name), "std": jnp.sqrt(dist.variance(name)), "gini": dist.gini(name)}
    quantiles = zip(_QUANTILES, dist.quantile(name, jnp.array(_QUANTILES) / 100), strict=True)
    found = {"mass": dist.mass, **spread, **{f"q{q}": x for q, x in quantiles}}
    return {key: float(x) for key, x in found.items()}
