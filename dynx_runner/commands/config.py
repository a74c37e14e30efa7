"""A sweep told by a file: which model, which draws, which metrics, and where the results are kept."""

import dataclasses
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dynx_runner.commands.marked import Marked, mapping, number, read, whole, word
from dynx_runner.design.laws import (
    BetaPrior,
    CategoricalPrior,
    DiscretePrior,
    LogNormalPrior,
    NormalPrior,
    UniformPrior,
)
from dynx_runner.design.sampling import METHODS
from dynx_runner.runner.circuit_factory import circuit_factory
from dynx_runner.runner.circuit_runner import CircuitRunner
from dynx_runner.sweep.mpi_map import BACKENDS

KEYS = {
    "model": "the model file",
    "prior": "`{path: [low, high]}`, or a law: `{path: {law: normal, mean: 2, sd: 0.5}}`",
    "draws": "how many",
    "metrics": "`{name: module:function}`, each a function of the solved model; modules beside this file are found",
    "store": "the folder in which results are kept",
    "method": "`prior` (independent draws, the default), `sobol`, `lhs` or `grid`",
    "seed": "makes the draws repeatable; 0 if not given",
    "solver": "`module:function`; `stagecraft:solve` if not given",
    "fixed": "`{path: number}`, parameters that differ from the model file in every draw",
    "backend": "`auto` (whatever started it, the default), `processes` (starts them), `serial` or `mpi` (or refuses)",
    "workers": "how many processes `processes` starts; as many as there are cores if not given",
    "precision": "`double` (the default) or `single`",
    "version": "a text that stands for what a store cannot compare, such as the data of a metric",
}
NEEDED = ("model", "prior", "draws", "metrics", "store")
PRECISIONS = ("double", "single")
LAWS = {
    "uniform": UniformPrior,
    "normal": NormalPrior,
    "lognormal": LogNormalPrior,
    "beta": BetaPrior,
    "discrete": DiscretePrior,
    "categorical": CategoricalPrior,
}


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """A sweep as a file tells it; paths are absolute.

    **Attributes:** the keys of the file; `prior` is what `CircuitRunner` takes as `param_specs`; `file`: where it stands.
    """

    file: Path
    model: Path
    prior: Mapping[str, Any]
    draws: int
    metrics: Mapping[str, str]
    store: Path
    method: str = "prior"
    seed: int = 0
    solver: str = "stagecraft:solve"
    fixed: Mapping[str, float] = dataclasses.field(default_factory=dict)
    backend: str = "auto"
    workers: int | None = None
    precision: str = "double"
    version: str | None = None
    marked: Marked | None = dataclasses.field(default=None, repr=False, compare=False)

    def told(self) -> dict[str, Any]:
        """The keys as texts and numbers, for the record of a store."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "marked"}
        plain = lambda value: value if isinstance(value, str | int | float | None) else str(value)
        return {
            name: {key: plain(one) for key, one in value.items()} if isinstance(value, Mapping) else plain(value)
            for name, value in fields.items()
        }

    def runner(self) -> CircuitRunner:
        """The runner of this sweep; a path that the model does not have is a `ModelError` at its place."""
        metrics = {name: self._function(path, "metrics", name) for name, path in self.metrics.items()}
        solver = self._function(self.solver, "solver")
        try:
            factory = circuit_factory(self.model, fixed=self.fixed)
            return CircuitRunner(param_specs=self.prior, model_factory=factory, solver=solver, metric_fns=metrics)
        except ValueError as error:
            if self.marked is None or hasattr(error, "diagnostics"):  # The model file's own errors know their place.
                raise
            where = [("prior", path) for path in self.prior if f"`{path}`" in str(error)]
            raise self.marked.error("value", str(error), *(where[0] if where else ("fixed",))) from None

    def _function(self, path: str, *keys: str) -> Callable:
        assert self.marked is not None
        module, _, name = path.partition(":")
        if not module or not name:
            raise self.marked.error("value", f"expected `module:function`, found `{path}`", *keys)
        folder = str(self.file.parent)
        if folder not in sys.path:
            # It stays, since a function may import what lies beside it when it is called.
            sys.path.insert(0, folder)
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise self.marked.error("value", f"cannot import `{path}`: {error}", *keys) from error
        if not callable(found):
            raise self.marked.error("value", f"`{path}` is no function", *keys)
        return found


def read_config(path: str | Path) -> SweepConfig:
    """Read the file of a sweep, and check it.

    **Arguments:** `path`: of the file; paths in it are relative to its folder.

    **Returns:** a `SweepConfig`, which `run_sweep` takes.

    Raises `ModelError`, with the line and what was probably meant, for anything that is missing, unknown or of another kind.
    """
    file = Path(path).absolute()
    marked = read(file, KEYS, NEEDED)
    data, beside = marked.data, lambda name: file.parent / Path(word(marked, name)).expanduser()
    if not beside("model").exists():
        raise marked.error("file", f"there is no model file {beside('model')}", "model")
    texts = {"solver": None, "method": METHODS, "backend": BACKENDS, "precision": PRECISIONS, "version": None}
    metrics = mapping(marked, "metrics")
    given: dict[str, Any] = {name: word(marked, name, among=among) for name, among in texts.items() if name in data}
    given |= {name: whole(marked, name) for name in ("seed", "workers") if name in data}
    if "workers" in given and (given["workers"] < 1 or given.get("backend") != "processes"):
        raise marked.error("value", "`workers` is how many processes `backend: processes` starts", "workers")
    return SweepConfig(
        file=file,
        model=beside("model"),
        store=beside("store"),
        prior={name: _prior(marked, name, value) for name, value in mapping(marked, "prior").items()},
        metrics={name: word(marked, "metrics", name) for name in metrics},
        draws=whole(marked, "draws"),
        fixed={name: number(marked, "fixed", name) for name in data.get("fixed") or {}},
        marked=marked,
        **given,
    )


def _prior(marked: Marked, path: str, value: Any) -> Any:
    """What a runner takes as the prior of a parameter."""
    if isinstance(value, list) and len(value) == 2:
        return number(marked, "prior", path, 0), number(marked, "prior", path, 1)
    if not isinstance(value, Mapping) or "law" not in value:
        raise marked.error("value", "expected `[low, high]` or `{law: ..., ...}`", "prior", path)
    law = LAWS[word(marked, "prior", path, "law", among=LAWS)]
    fields = [field.name for field in dataclasses.fields(law)]
    for name in value:
        if name not in (*fields, "law"):
            raise marked.unknown(name, fields, "prior", path, name)
    given = {name: one for name, one in value.items() if name != "law"}
    lists = ("values", "choices", "weights")
    try:
        return law(**{name: one if name in lists else number(marked, "prior", path, name) for name, one in given.items()})
    except (TypeError, ValueError) as error:
        if hasattr(error, "diagnostics"):
            raise
        raise marked.error("value", str(error).replace("__init__() ", ""), "prior", path) from None
