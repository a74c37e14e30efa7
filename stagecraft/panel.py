"""A simulated panel: one array per variable, periods by agents."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from stagecraft import _show


class Panel(eqx.Module):
    """What a simulation leaves.

    **Attributes:**

    - `data`: `{stage: {variable: array (periods, agents)}}`: arrival states, shocks, decision states, controls, post-states,
      and of a branching stage the position of the `branch` that was taken; NaN for agents who do not pass the stage.
    - `types`: the type of each agent, `None` where there are none.
    - `age`: (start, step) of the model's clock, or `None`.
    """

    data: dict[str, dict[str, Float[Array, "periods agents"]]]
    age: tuple[float, float] | None = eqx.field(static=True, default=None)
    types: Int[Array, " agents"] | None = None

    def __getitem__(self, name: str) -> Any:
        """The variables of a stage, or the variable of that name if one stage alone has it."""
        if name in self.data:
            return self.data[name]
        homes = [stage for stage, variables in self.data.items() if name in variables]
        if len(homes) != 1:
            known = ", ".join(f"{stage}.{v}" for stage, variables in self.data.items() for v in variables)
            raise KeyError(f"`{name}` is in {len(homes)} stages; the panel has {known}")
        return self.data[homes[0]][name]

    def inside(self, stage: str) -> Any:
        """Which agents pass a stage in which period."""
        return ~jnp.isnan(next(iter(self.data[stage].values())))

    def _rows(self) -> list[tuple[str, str]]:
        variables = [(f"{stage}.{name}", x) for stage, group in self.data.items() for name, x in group.items()]
        return [(name, _show.value(x)) for name, x in variables]

    def __repr__(self) -> str:
        return _show.text("Panel (periods x agents)", self._rows())

    def _repr_html_(self) -> str:
        return _show.page("Panel (periods x agents)", self._rows())

    def to_pandas(self):
        """A long frame: period, age, agent, type, stage, then one column per variable."""
        import pandas as pd

        frames = []
        for stage, variables in self.data.items():
            periods, agents = next(iter(variables.values())).shape
            t = np.repeat(np.arange(periods), agents)
            columns = {"period": t}
            if self.age is not None:
                columns["age"] = self.age[0] + self.age[1] * t
            columns |= {"agent": np.tile(np.arange(agents), periods)}
            if self.types is not None:
                columns["type"] = np.tile(np.asarray(self.types), periods)
            columns["stage"] = stage
            frame = pd.DataFrame(columns | {k: np.asarray(v).ravel() for k, v in variables.items()})
            frames.append(frame[np.asarray(self.inside(stage)).ravel()])
        return pd.concat(frames, ignore_index=True)
