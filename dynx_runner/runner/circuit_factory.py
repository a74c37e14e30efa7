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

    return CircuitFactory(stagecraft.load(path), path, dict(fixed or {}))


class CircuitFactory:
    """A circuit whose parameters and settings are replaced draw by draw.

    **Attributes:** `circuit`, at the parameters of the file and `fixed`.
    """

    def __init__(self, circuit: Any, path: str | Path, fixed: dict[str, float]):
        self._path, self._fixed = path, fixed
        self.circuit = circuit.with_parameters(fixed) if fixed else circuit
        # Another size or method is another structure, which is read once.
        self._others: dict[tuple, Any] = {}

    def __reduce__(self) -> tuple:
        """Another process reads the file itself."""
        # A model may be given as its text, too.
        where = self._path if isinstance(self._path, str) and "\n" in self._path else Path(self._path).absolute()
        return _again, (where, self._fixed)

    def __call__(self, epochs_cfgs: Mapping, stage_cfgs: Mapping, conn_cfg: Mapping) -> Any:
        """The circuit at the parameters named in the configurations.

        **Arguments:**

        - `epochs_cfgs`, `stage_cfgs`: `{scope: {"parameters": {name: number}}}`; which of the two does not matter. Likewise
          `settings` and `methods`; where one of them is static, the model is read again with it.
        - `conn_cfg`: empty, since the model file holds the connections.

        **Returns:** a circuit. Raises `ValueError` for anything else in the configurations, and unknown names.
        """
        if conn_cfg:
            raise ValueError(f"conn_cfg has {_names_of(conn_cfg)}, but the connections are those of the model file")
        parameters, settings, statics = {}, {}, {}
        for section, path, value in (*_given_values(epochs_cfgs), *_given_values(stage_cfgs)):
            if section == "parameters":
                parameters[path] = value
            elif self.is_static(section, path):
                statics[section, path] = value
            else:
                settings[path] = value
        circuit = self._read(statics)
        circuit = circuit.with_settings(settings) if settings else circuit
        return circuit.with_parameters(parameters) if parameters else circuit

    def find(self, path: str, *, categorical: bool = False) -> tuple[str, str, str]:
        """Where a runner may draw: a parameter, a setting or a method.

        **Arguments:**

        - `path`: `main.parameters.beta` or `main.beta`, which mean the same; likewise `main.settings.a_max`.
        - `categorical`: whether it is to be one of several choices, as only a size or a method may be.

        **Returns:** `("main", "parameters", "beta")`. Raises `ValueError` for what is not declared, or is not one number.
        """
        scope, section, name = _split(path)
        plain = f"{scope}.{name}"
        if section == "" and name not in self.circuit.parameters.get(scope, {}) and self._has_setting(scope, name):
            section = "settings"
        if self.is_static(section, plain):
            if not categorical and section == "methods":
                raise ValueError(f"param_specs: `{path}`: a method is a name; draw it from a CategoricalPrior")
            self._check_static(path, scope, section, name)
            return scope, section, name
        table, replace = self.circuit.parameters, self.circuit.with_parameters
        if section == "settings":
            table, replace = self.circuit.settings, self.circuit.with_settings
        value = table.get(scope, {}).get(name, 0.0)
        try:
            replace({plain: value})
        except ValueError as error:
            raise ValueError(f"param_specs: `{path}`: {error}") from None
        if np.ndim(value):
            # A parameter by age is a path of the model, to be drawn by a parameter that its formula contains.
            raise ValueError(f"param_specs: `{path}` has shape {value.shape}; a parameter of a runner is one number")
        return scope, section or "parameters", name

    def is_static(self, section: str, path: str) -> bool:
        """Whether another value is another structure, as of a size or a method: `("settings", "main.n_a")`."""
        return section == "methods" or (section == "settings" and not self._is_traced_setting(path))

    def _is_traced_setting(self, path: str) -> bool:
        scope, _, name = path.rpartition(".")
        return name in self.circuit.settings.get(scope, {})

    def _has_setting(self, scope: str, name: str) -> bool:
        return self._is_traced_setting(f"{scope}.{name}") or name in _section(self._tree(), scope).get("settings", {})

    def _tree(self) -> Any:
        import yaml

        path = Path(self._path)
        return yaml.safe_load(path.read_text()) if path.is_file() else {}

    def _check_static(self, path: str, scope: str, section: str, name: str) -> None:
        from heptapod.errors import did_you_mean

        tree = self._tree()
        if not tree or "imports" in tree:
            raise ValueError(f"param_specs: `{path}`: a {section[:-1]} of a model in several files cannot be drawn")
        declared = _section(tree, scope).get(section, {})
        if name not in declared and section == "settings":
            advice = did_you_mean(name, declared) or f"there is {_names_of(declared) or 'nothing'}"
            raise ValueError(f"param_specs: `{path}`: `{scope}` has no setting `{name}`; {advice}")
        if isinstance(declared.get(name), list):
            raise ValueError(f"param_specs: `{path}`: it is inherited: draw `main.{section}.{declared[name][0]}`")

    def _read(self, statics: Mapping[tuple[str, str], Any]) -> Any:
        """The circuit with other sizes and methods."""
        if not statics:
            return self.circuit
        key = tuple(sorted((section, path, _static(path, value)) for (section, path), value in statics.items()))
        if key not in self._others:
            import jax

            import stagecraft

            tree = _unshared(self._tree())
            for section, path, value in key:
                scope, _, name = path.rpartition(".")
                _section(tree, scope).setdefault(section, {})[name] = value
            with jax.ensure_compile_time_eval():  # What is read while something is traced is read for later, too.
                circuit = stagecraft.load(tree)
            self._others[key] = circuit.with_parameters(self._fixed) if self._fixed else circuit
        return self._others[key]


def units_of(factory: Any, paths: tuple[str, ...]) -> dict[str, str]:
    """The units of parameters, by path as it is given, where a model file says them."""
    told = factory.circuit.source.units if isinstance(factory, CircuitFactory) else {}
    plain = {path: ".".join(filter(None, (_split(path)[0], _split(path)[2]))) for path in paths}
    return {path: told[name] for path, name in plain.items() if name in told}


def _again(path: str | Path, fixed: Mapping[str, float]) -> CircuitFactory:
    return circuit_factory(path, fixed=fixed)


def _split(path: str) -> tuple[str, str, str]:
    """Scope, section and name; the section is empty where the path does not say it."""
    head, _, name = path.rpartition(".")
    for section in ("parameters", "settings", "methods"):
        scope = head.removesuffix(f".{section}")
        if scope != head:
            return scope, section, name
    return head, "", name


def _section(tree: Any, scope: str) -> dict:
    """The part of a model's text that a scope is."""
    if scope == "main":
        return tree
    stages = tree.get("stages", {})
    alone = tree.get("stage", {})
    return stages.get(scope) or (alone if alone.get("name") == scope else {})


def _unshared(node: Any) -> Any:
    """A copy in which what anchors share is written out, so that one of two stages can change."""
    if isinstance(node, dict):
        return {key: _unshared(value) for key, value in node.items()}
    return [_unshared(value) for value in node] if isinstance(node, list) else node


def _static(path: str, value: Any) -> Any:
    """A size as an integer, which a vector holds as a float."""
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError(f"`{path}` is a size; {value} is no whole number")
        return int(value)
    return value


def _given_values(configs: Mapping) -> Iterator[tuple[str, str, Any]]:
    for scope, config in configs.items():
        others = [key for key in config if key not in ("parameters", "settings", "methods")]
        if others:
            raise ValueError(
                f"`{scope}` has {_names_of(others)}, but only `parameters`, `settings` and `methods` can differ from the file"
            )
        for section, values in config.items():
            for name, value in values.items():
                yield section, f"{scope}.{name}", value


def _names_of(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)
