"""The period: the stages that an agent passes between two ticks of the clock."""

import equinox as eqx
from jaxtyping import Array, Int

from stagecraft.stage import Stage


class Period(eqx.Module):
    """One period of a circuit.

    **Attributes:** `stages`: by name, in the order of the file; `t`: its index.
    """

    stages: dict[str, Stage]
    t: Int[Array, ""]

    def __getitem__(self, name: str) -> Stage:
        """A stage by name; `KeyError` says which there are."""
        if name not in self.stages:
            raise KeyError(f"no stage `{name}`; there are {', '.join(self.stages)}")
        return self.stages[name]
