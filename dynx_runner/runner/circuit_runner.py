"""A runner: from a vector of parameters to the metrics of a solved model."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from dynx_runner.design.prior import Prior
from dynx_runner.design.sampling import design_of
from dynx_runner.launch import watch_exceptions
from dynx_runner.runner.circuit_factory import CircuitFactory, units_of
from dynx_runner.runner.places import EPOCHS, STAGES, Place, advise, find_place
from dynx_runner.runner.recorder import Recorder, call, takes_recorder


class CircuitRunner:
    r"""The map $x \mapsto$ metrics of the model that is built and solved at the parameters $x$.

    **Attributes:**

    - `param_names` and `metric_names`, in the order in which they were given.
    - `choices`: of the categorical parameters, by name; a vector holds the position of the one that is drawn.
    - `cache` and `batches`: as given; `units`: of the parameters that a model file gives one.
    - `records`: whether a factory, solver or metric takes a `recorder`.
    - `design`: how `sample_prior` was last asked, for the record.
    """

    def __init__(
        self,
        epochs_cfgs: Mapping[str, Any] | None = None,
        stage_cfgs: Mapping[str, Any] | None = None,
        conn_cfg: Mapping[str, Any] | None = None,
        param_specs: Mapping[str, Any] | None = None,
        model_factory: Callable[[dict, dict, dict], Any] | None = None,
        solver: Callable[[Any], Any] | None = None,
        metric_fns: Mapping[str, Callable[[Any], Any]] | None = None,
        *,
        cache: bool = True,
        batches: bool | None = None,
    ):
        """Check that every parameter has a place, and keep copies of the configurations.

        **Arguments:**

        - `epochs_cfgs`, `stage_cfgs`, `conn_cfg`: what the model is built from; never changed, empty if left out.
        - `param_specs`: `{"main.beta": (low, high, sampler)}`, or a prior in place of the bounds. A path is an epoch, a stage
          or `conn_cfg`, then keys of nested dictionaries; `main.parameters.beta` is `main.beta`. The sampler maps `n` to `n`
          draws; `None`, or none, means uniform.
        - `model_factory`: `(epochs_cfgs, stage_cfgs, conn_cfg)` to a model. That of
          `circuit_factory` knows its parameters, so that the configurations may be empty.
        - `solver`: solves a model, in place or by returning a solved one.
        - `metric_fns`: `{name: function of the solved model}`, each returning a number or an array of numbers. They, the
          factory and the solver may have an argument `recorder`: see `Recorder`.
        - `cache`: whether to remember the metrics of each `x`, and the last solved model.
        - `batches`: whether a sweep runs draws as one compiled program; where that can be done, if not given.

        Raises `ValueError` for a path that is not there, with the nearest one that is.
        """
        watch_exceptions()  # What fails between here and the sweep must end the other processes of the job, too.
        needed = {"param_specs": param_specs, "model_factory": model_factory, "solver": solver, "metric_fns": metric_fns}
        missing = [name for name, given in needed.items() if given is None]
        if param_specs is None or model_factory is None or solver is None or metric_fns is None:
            raise TypeError(f"CircuitRunner needs {', '.join(missing)}; only the configurations may be left out")
        self._configs = copy.deepcopy((dict(epochs_cfgs or {}), dict(stage_cfgs or {}), dict(conn_cfg or {})))
        self._priors = tuple(Prior(path, spec) for path, spec in param_specs.items())
        self.param_names = tuple(param_specs)
        self.metric_names = tuple(metric_fns)
        self.units = units_of(model_factory, self.param_names)
        self.choices = {prior.path: prior.choices for prior in self._priors if prior.choices is not None}
        self.design: dict[str, Any] | None = None
        self._places = _find_places(self.param_names, self._configs, model_factory, self.choices)
        self._model_factory, self._solver, self._metric_fns = model_factory, solver, dict(metric_fns)
        self.records = any(takes_recorder(function) for function in (model_factory, solver, *metric_fns.values()))
        self.cache, self.batches = cache, batches
        self._metrics: dict[bytes, dict[str, float]] = {}
        self._last: tuple[bytes, Any] | None = None

    def sample_prior(self, n: int, *, method: str = "prior", seed: int | None = None) -> np.ndarray:
        """Draw parameter vectors from the prior.

        **Arguments:**

        - `n`: how many.
        - `method`: `prior`, each parameter by its own sampler; `sobol`, a scrambled Sobol sequence; `lhs`, a Latin hypercube;
          `grid`, every value of one parameter with every value of the others.
        - `seed`: makes the draws repeatable, those of samplers that use `np.random` included, without touching its state
          outside.

        **Returns:** an array of shape `(n, parameters)`. Raises `ValueError` for a draw out of its bounds, and for a number of
        draws that no grid has.
        """
        draws = design_of(self._priors, n, method, seed)
        self.design = {"method": method, "n": int(n), "seed": seed}
        return draws

    def pack(self, parameters: Mapping[str, Any]) -> np.ndarray:
        """The vector of named parameters.

        **Arguments:**

        - `parameters`: a finite number, or one of the choices, for every name in `param_names`, in any order;
          `main.beta` and `main.parameters.beta` are one name.

        **Returns:** an array of shape `(parameters,)`. Raises `ValueError` for names that are unknown, missing or twice there.
        """
        known, values = {_plain(name): name for name in self.param_names}, {}
        for name, value in parameters.items():
            if _plain(name) not in known:
                raise ValueError(f"pack: unknown parameter `{name}`; {advise(name, self.param_names)}")
            if known[_plain(name)] in values:
                raise ValueError(f"pack: `{name}` is given twice")
            values[known[_plain(name)]] = value
        missing = [name for name in self.param_names if name not in values]
        if missing:
            raise ValueError(f"pack: no value for {', '.join(f'`{name}`' for name in missing)}")
        return self._vector([self._coded(name, values[name]) for name in self.param_names])

    def unpack(self, x: np.ndarray) -> dict[str, Any]:
        """The named parameters of a vector; `pack` is its exact inverse.

        **Arguments:**

        - `x`: an array of shape `(parameters,)`, finite.

        **Returns:** `{name: float}` in the order of `param_names`, and for a categorical parameter its choice. Raises
        `ValueError` for another shape.
        """
        values = zip(self.param_names, self._vector(x).tolist(), strict=True)
        return {name: self.choices[name][int(v)] if name in self.choices else v for name, v in values}

    def run(self, x: np.ndarray, *, return_model: bool = False, recorder: Recorder | None = None) -> Any:
        """Build and solve the model at `x`, and measure it.

        **Arguments:**

        - `x`: an array of shape `(parameters,)`, finite.
        - `return_model`: whether to return the solved model as well.
        - `recorder`: is told what functions that take one have to say; of what is remembered there is nothing to say.

        **Returns:** `{metric: float}`, or `(metrics, model)`. The same `x` is not solved twice. What the factory, the
        solver or a metric raises passes through, with a note that says which, and at what parameters.
        """
        x, recorder = self._vector(x), recorder or (Recorder() if self.records else None)
        key = x.tobytes()
        if key in self._metrics and not return_model:
            return dict(self._metrics[key])
        if self._last is not None and self._last[0] == key:
            model = self._last[1]
        else:
            model = self._solve(x, recorder)
        if self.cache:
            self._last = (key, model)
        metrics = self._metrics.get(key) or self._measure(x, model, recorder)
        if self.cache:
            self._metrics[key] = metrics
        return (dict(metrics), model) if return_model else dict(metrics)

    def parts(self) -> dict[str, Any]:
        """What decides the metrics of a vector, by name; a store compares it with what its draws were run by."""
        metrics = {f"metric {name}": function for name, function in self._metric_fns.items()}
        # Two spellings of one parameter are one place, and other bounds change no draw.
        named: dict[str, Any] = {"configurations": self._configs, "parameters": self._places, "choices": self.choices}
        # What is compiled as a whole may differ from it in the last digit.
        named |= {"batches": False} if self.batches is False else {}
        return {**named, "model_factory": self._model_factory, "solver": self._solver, **metrics}

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs, without what was solved here."""
        return {**self.__dict__, "_metrics": {}, "_last": None}

    def _solve(self, x: np.ndarray, recorder: Recorder | None) -> Any:
        configs = copy.deepcopy(self._configs)
        for place, value in zip(self._places, self.unpack(x).values(), strict=True):
            place.write(configs, value)
        with self._noting("in model_factory", x):
            model = call(self._model_factory, *configs, phase="in model_factory", recorder=recorder)
        with self._noting("in solver", x):
            solved = call(self._solver, model, phase="in solver", recorder=recorder)
        return model if solved is None else solved

    def _measure(self, x: np.ndarray, model: Any, recorder: Recorder | None) -> dict[str, float]:
        metrics = {}
        for name, metric in self._metric_fns.items():
            with self._noting(f"in metric `{name}`", x):
                metrics[name] = _measured(call(metric, model, phase="in metrics", recorder=recorder))
        return metrics

    @contextlib.contextmanager
    def _noting(self, where: str, x: np.ndarray) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # A note keeps the type of the error, which the caller may be waiting for.
            error.add_note(f"{where}, at {', '.join(f'{name} = {value}' for name, value in self.unpack(x).items())}")
            raise

    def _vector(self, x: Any) -> np.ndarray:
        x = np.array(x, dtype=np.float64)
        if x.shape != (len(self.param_names),):
            raise ValueError(
                f"expected a vector of {len(self.param_names)} parameters ({', '.join(self.param_names)}),"
                f" got an array of shape {x.shape}"
            )
        for name, value in zip(self.param_names, x.tolist(), strict=True):
            if not np.isfinite(value):
                raise ValueError(f"`{name}` is {value}; a parameter must be finite")
            if name in self.choices and not (value.is_integer() and 0 <= value < len(self.choices[name])):
                raise ValueError(f"`{name}` is {value}; expected a position in {self.choices[name]}")
        return x

    def _coded(self, name: str, value: Any) -> float:
        choices = self.choices.get(name)
        if choices is None:
            return float(value)
        if value not in choices:
            raise ValueError(f"pack: `{name}` has no choice {value!r:.60}; {advise(str(value), choices)}")
        return float(choices.index(value))


def _find_places(
    names: tuple[str, ...], configs: tuple[dict, dict, dict], factory: Any, choices: Mapping[str, tuple]
) -> tuple[Place, ...]:
    if isinstance(factory, CircuitFactory):
        # Names in the configurations are checked now, not in the first draw.
        factory(*configs)
        found = [factory.find(name, categorical=name in choices) for name in names]
        places = [Place(STAGES if keys[0] in configs[STAGES] else EPOCHS, keys) for keys in found]
    else:
        places = [find_place(name, configs, categorical=name in choices) for name in names]
    for name, place in zip(names, places, strict=True):
        if place in places[: names.index(name)]:
            raise ValueError(f"param_specs: `{name}` and `{names[places.index(place)]}` are the same parameter")
    return tuple(places)


def _plain(path: str) -> str:
    """The one spelling of a path."""
    return path.replace(".parameters.", ".", 1)


def _measured(value: Any) -> Any:
    """A float, or an array of numbers of its own."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"expected one real number, or an array of them, got {value!r:.60}")
    return np.array(array) if array.shape else float(array)
