"""A simulated panel: one array per variable, periods by agents."""

import functools
import operator
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from stagecraft.arrays import dataset, where
from stagecraft.board import show
from stagecraft.pictures.profiles import plot_panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Panel(eqx.Module):
    """What a simulation leaves.

    **Attributes:**

    - `data`: `{stage: {variable: array (periods, agents)}}`: arrival states, shocks, decision states, controls, post-states,
      and of a branching stage the position of the `branch` that was taken; NaN for agents who do not pass the stage.
    - `types`: the type of each agent, `None` where there are none.
    - `age`: (start, step) of the model's clock, or `None`.
    - `weights`: of every agent, 1 with the derivative of how likely its draws were until then; `None` where they were not asked
      for.
    - `units`: (variable, unit) pairs, as the model says them.
    """

    data: dict[str, dict[str, Float[Array, "periods agents"]]]
    age: tuple[float, float] | None = eqx.field(static=True, default=None)
    types: Int[Array, " agents"] | None = None
    weights: Float[Array, "periods agents"] | None = None
    units: tuple[tuple[str, str], ...] = eqx.field(static=True, default=())

    def __getitem__(self, name: str) -> Any:
        """The variables of the stage `name`, or the variable `"CONS.c"`, or `"c"` if one stage alone has it, (periods, agents);
        else `KeyError`."""
        if name in self.data:
            return self.data[name]
        stage, _, variable = name.rpartition(".")
        return self.data[stage][variable] if variable in self.data.get(stage, {}) else self.data[self._home(name)][name]

    def _home(self, name):
        """The one stage that has a variable."""
        homes = [stage for stage, variables in self.data.items() if name in variables]
        if len(homes) != 1:
            known = ", ".join(f"{stage}.{v}" for stage, variables in self.data.items() for v in variables)
            what = f"`{name}` is in {' and '.join(homes)}; name one of them" if homes else f"no variable and no stage `{name}`"
            raise KeyError(f"{what}; the panel has {known}")
        return homes[0]

    def inside(self, stage: str) -> Any:
        """Which agents pass `stage` in which period, (periods, agents): those of whom anything is kept there."""
        return functools.reduce(operator.or_, (~jnp.isnan(x) for x in self[stage].values()))

    def mean(self, name: str) -> Float[Array, " periods"]:
        """The mean of a variable, `name` is `"c"` or `"CONS.c"`, over the agents who have it, by period; NaN where nobody has.

        With `weights` its derivative is that of the expectation, in every parameter that moves probabilities, too.
        """
        x = self.variable(name)
        present = ~jnp.isnan(x)
        weight = self._weights(x, present)
        return jnp.sum(where(present, x, 0.0) * weight, axis=1) / jnp.sum(weight, axis=1)

    def variable(self, name: str) -> Float[Array, "periods agents"]:
        """A variable, `name` is `"c"` where one stage alone has it, or `"CONS.c"`; NaN for agents who do not pass the stage,
        `KeyError` for a variable that is not there."""
        stage, _, variable = name.rpartition(".")
        stage = stage or self._home(variable)
        if variable not in self[stage]:
            raise KeyError(f"stage {stage} has no variable `{variable}`; the panel has {', '.join(self[stage])} there")
        return self[stage][variable]

    def plot(
        self,
        *names: str,
        band: tuple[float, float] | None = (10.0, 90.0),
        ax: "Axes | None" = None,
        **style: Any,
    ) -> "Axes":
        """Life-cycle profiles: the mean of each variable by period, or age, and a band between two percentiles.

        **Arguments:** `names`: `"c"` or `"CONS.c"`; a control and the post-state of the last stage if left out; `band`:
          percentiles, or `None`; `ax`: axes to draw on; `style`: of `Axes.plot`.

        **Returns:** the matplotlib `Axes`.
        """
        return plot_panel(self, names or self._drawn(), band, ax, **style)

    def _drawn(self) -> tuple[str, ...]:
        """What is drawn if nothing is named: the last two variables of the last stage, a control and where it leads."""
        stage, variables = list(self.data.items())[-1]
        return tuple(f"{stage}.{name}" for name in list(variables)[-2:])

    def share(self, stage: str) -> Float[Array, " periods"]:
        """The share of all agents who pass `stage`, by period; with `weights` its derivative is that of the probability."""
        x = next(iter(self[stage].values()))
        return jnp.sum(self._weights(x, self.inside(stage)), axis=1) / jnp.sum(self._weights(x, True), axis=1)

    def _weights(self, x, present):
        """Of those who are somewhere, in the shape and type of a variable."""
        return where(present, jnp.ones_like(x) if self.weights is None else self.weights, 0.0)

    def _lines(self) -> list[tuple[str, str]]:
        variables = [(f"{stage}.{name}", x) for stage, group in self.data.items() for name, x in group.items()]
        return [(name, show.value(x)) for name, x in variables]

    def __repr__(self) -> str:
        return show.text("Panel (periods x agents)", self._lines())

    def _repr_html_(self) -> str:
        return show.page("Panel (periods x agents)", self._lines())

    def to_pandas(self):
        """A long frame: period, age, agent, type, stage, then one column per variable, and `weight` where there are weights."""
        import pandas as pd

        frames = []
        for stage, variables in self.data.items():
            periods, agents = next(iter(variables.values())).shape
            t = np.repeat(np.arange(periods), agents)
            columns: dict[str, Any] = {"period": t}
            if self.age is not None:
                columns["age"] = self.age[0] + self.age[1] * t
            columns |= {"agent": np.tile(np.arange(agents), periods)}
            if self.types is not None:
                columns["type"] = np.tile(np.asarray(self.types), periods)
            columns["stage"] = stage
            weight = {} if self.weights is None else {"weight": self.weights}
            frame = pd.DataFrame(columns | {k: np.asarray(v).ravel() for k, v in (variables | weight).items()})
            frames.append(frame[np.asarray(self.inside(stage)).ravel()])
        return pd.concat(frames, ignore_index=True)

    def to_xarray(self):
        """The same as a Dataset of `period` (with `age` beside it) by `agent`: a variable `CONS.c` for each stage and name.

        **Raises:** `ModuleNotFoundError` without the extra `xarray`.
        """
        sizes = ("period", "agent")
        data = {f"{stage}.{n}": (sizes, np.asarray(x)) for stage, group in self.data.items() for n, x in group.items()}
        periods, agents = next(iter(data.values()))[1].shape
        beside: dict[str, Any] = {"period": np.arange(periods), "agent": np.arange(agents)}
        if self.age is not None:
            beside["age"] = ("period", self.age[0] + self.age[1] * np.arange(periods))
        if self.types is not None:
            beside["type"] = ("agent", np.asarray(self.types))
        if self.weights is not None:
            data["weight"] = (sizes, np.asarray(self.weights))
        return dataset(data, beside)
