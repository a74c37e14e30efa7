"""The bridge from a model file to a runner's `model_factory`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np


def circuit_factory(path: str | Path, *, fixed: Mapping[str, float] | None = None) -> "CircuitFactory":
    """A `model_factory` that builds the circuit of a model file, read once.

    **Arguments:**

    - `path`: the model file.
    - `fixed`: parameters that differ from the file in every draw, as `{"main.beta": 0.97}`.

    **Returns:** a function `(epochs_cfgs, stage_cfgs, conn_cfg)` to a circuit, in which every number under
    `{scope: {"parameters": {name: number}}}` has replaced the file's. Raises `ModelError` for a file that cannot be
    read, `ValueError` for a name in `fixed` that is not declared.
    """
    # A runner of hand-written models need not import it.
    import stagecraft

    circuit = stagecraft.load(path)
    return CircuitFactory(circuit.with_parameters(dict(fixed)) if fixed else circuit)


class CircuitFactory:
    """A circuit whose parameters are replaced draw by draw.

    **Attributes:** `circuit`, at the parameters of the file and `fixed`.
    """

    def __init__(self, circuit: Any):
        self.circuit = circuit

    def __call__(self, epochs_cfgs: Mapping, stage_cfgs: Mapping, conn_cfg: Mapping) -> Any:
        """The circuit at the parameters named in the configurations.

        **Arguments:**

        - `epochs_cfgs`, `stage_cfgs`: `{scope: {"parameters": {name: number}}}`; which of the two does not matter.
        - `conn_cfg`: empty, since the model file holds the connections.

        **Returns:** a circuit. Raises `ValueError` for anything else in the configurations, and unknown names.
        """
        if conn_cfg:
            raise ValueError(f"conn_cfg has {_names_of(conn_cfg)}, but the connections are those of the model file")
        values = dict(_given_values(epochs_cfgs)) | dict(_given_values(stage_cfgs))
        return self.circuit.with_parameters(values) if values else self.circuit

    def find(self, path: str) -> tuple[str, str]:
        """The scope and the name of a parameter that a runner may draw.

        **Arguments:**

        - `path`: `main.parameters.beta` or `main.beta`, which mean the same.

        **Returns:** `("main", "beta")`. Raises `ValueError` for a parameter that is not declared, or is not one number.
        """
        scope, _, name = path.replace(".parameters.", ".", 1).partition(".")
        value = self.circuit.parameters.get(scope, {}).get(name, 0.0)
        try:
            self.circuit.with_parameters({f"{scope}.{name}": value})
        except ValueError as error:
            raise ValueError(f"param_specs: `{path}`: {error}") from None
        if np.ndim(value):
            # A parameter by age is a path of the model, to be drawn by a parameter that its formula contains.
            raise ValueError(f"param_specs: `{path}` has shape {value.shape}; a parameter of a runner is one number")
        return scope, name


def _given_values(configs: Mapping) -> Iterator[tuple[str, float]]:
    for scope, config in configs.items():
        others = [key for key in config if key != "parameters"]
        if others:
            raise ValueError(f"`{scope}` has {_names_of(others)}, but only `parameters` can differ from the model file")
        for name, value in config.get("parameters", {}).items():
            yield f"{scope}.{name}", value


def _names_of(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)
