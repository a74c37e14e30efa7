"""A runner: from a vector of parameters to the metrics of a solved model."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from dynx_runner.design.prior import Prior, seeded
from dynx_runner.launch import watch_exceptions
from dynx_runner.runner.circuit_factory import CircuitFactory
from dynx_runner.runner.places import EPOCHS, STAGES, Place, advise, find_place


class CircuitRunner:
    r"""The map $x \mapsto$ metrics of the model that is built and solved at the parameters $x$.

    **Attributes:** `param_names` and `metric_names`, in the order in which they were given.
    """

    def __init__(
        self,
        epochs_cfgs: Mapping[str, Any],
        stage_cfgs: Mapping[str, Any],
        conn_cfg: Mapping[str, Any],
        param_specs: Mapping[str, tuple],
        model_factory: Callable[[dict, dict, dict], Any],
        solver: Callable[[Any], Any],
        metric_fns: Mapping[str, Callable[[Any], Any]],
        *,
        cache: bool = True,
    ):
        """Check that every parameter has a place, and keep copies of the configurations.

        **Arguments:**

        - `epochs_cfgs`, `stage_cfgs`, `conn_cfg`: what the model is built from; never changed.
        - `param_specs`: `{"main.parameters.beta": (low, high, sampler)}`. A path is an epoch, a stage or `conn_cfg`,
          then keys of nested dictionaries. The sampler maps `n` to `n` draws; `None`, or none, means uniform.
        - `model_factory`: `(epochs_cfgs, stage_cfgs, conn_cfg)` to a model. That of
          `circuit_factory` knows its parameters, so that the configurations may be empty.
        - `solver`: solves a model, in place or by returning a solved one.
        - `metric_fns`: `{name: function of the solved model}`, each returning one number.
        - `cache`: whether to remember the metrics of each `x`, and the last solved model.

        Raises `ValueError` for a path that is not there, with the nearest one that is.
        """
        watch_exceptions()  # What fails between here and the sweep must end the other processes of the job, too.
        self._configs = copy.deepcopy((dict(epochs_cfgs), dict(stage_cfgs), dict(conn_cfg)))
        self._priors = tuple(Prior(path, spec) for path, spec in param_specs.items())
        self.param_names = tuple(param_specs)
        self.metric_names = tuple(metric_fns)
        self._places = _find_places(self.param_names, self._configs, model_factory)
        self._model_factory, self._solver, self._metric_fns = model_factory, solver, dict(metric_fns)
        self._remembers = cache
        self._metrics: dict[bytes, dict[str, float]] = {}
        self._last: tuple[bytes, Any] | None = None

    def sample_prior(self, n: int, *, seed: int | None = None) -> np.ndarray:
        """Draw parameter vectors, each parameter by its own sampler.

        **Arguments:**

        - `n`: how many.
        - `seed`: makes samplers that use `np.random` repeatable, without touching its state outside.

        **Returns:** an array of shape `(n, parameters)`. Raises `ValueError` for a draw out of its bounds.
        """
        draws = np.empty((n, len(self._priors)))
        for position, prior in enumerate(self._priors):
            with seeded(seed, position):
                draws[:, position] = prior.draw(n)
        return draws

    def pack(self, parameters: Mapping[str, float]) -> np.ndarray:
        """The vector of named parameters.

        **Arguments:**

        - `parameters`: a finite number for every name in `param_names`, in any order.

        **Returns:** an array of shape `(parameters,)`. Raises `ValueError` for names that are unknown or missing.
        """
        for name in parameters:
            if name not in self.param_names:
                raise ValueError(f"pack: unknown parameter `{name}`; {advise(name, self.param_names)}")
        missing = [name for name in self.param_names if name not in parameters]
        if missing:
            raise ValueError(f"pack: no value for {', '.join(f'`{name}`' for name in missing)}")
        return self._vector([float(parameters[name]) for name in self.param_names])

    def unpack(self, x: np.ndarray) -> dict[str, float]:
        """The named parameters of a vector; `pack` is its exact inverse.

        **Arguments:**

        - `x`: an array of shape `(parameters,)`, finite.

        **Returns:** `{name: float}` in the order of `param_names`. Raises `ValueError` for another shape.
        """
        return dict(zip(self.param_names, self._vector(x).tolist(), strict=True))

    def run(self, x: np.ndarray, *, return_model: bool = False) -> Any:
        """Build and solve the model at `x`, and measure it.

        **Arguments:**

        - `x`: an array of shape `(parameters,)`, finite.
        - `return_model`: whether to return the solved model as well.

        **Returns:** `{metric: float}`, or `(metrics, model)`. The same `x` is not solved twice. What the factory, the
        solver or a metric raises passes through, with a note that says which, and at what parameters.
        """
        x = self._vector(x)
        key = x.tobytes()
        if key in self._metrics and not return_model:
            return dict(self._metrics[key])
        if self._last is not None and self._last[0] == key:
            model = self._last[1]
        else:
            model = self._solve(x)
        if self._remembers:
            self._last = (key, model)
        metrics = self._metrics.get(key) or self._measure(x, model)
        if self._remembers:
            self._metrics[key] = metrics
        return (dict(metrics), model) if return_model else dict(metrics)

    def parts(self) -> dict[str, Any]:
        """What decides the metrics of a vector, by name; a store compares it with what its draws were run by."""
        metrics = {f"metric {name}": function for name, function in self._metric_fns.items()}
        # Two spellings of one parameter are one place, and other bounds change no draw.
        named = {"configurations": self._configs, "parameters": self._places}
        return {**named, "model_factory": self._model_factory, "solver": self._solver, **metrics}

    def _solve(self, x: np.ndarray) -> Any:
        configs = copy.deepcopy(self._configs)
        for place, value in zip(self._places, x.tolist(), strict=True):
            place.write(configs, value)
        with self._noting("in model_factory", x):
            model = self._model_factory(*configs)
        with self._noting("in solver", x):
            solved = self._solver(model)
        return model if solved is None else solved

    def _measure(self, x: np.ndarray, model: Any) -> dict[str, float]:
        metrics = {}
        for name, metric in self._metric_fns.items():
            with self._noting(f"in metric `{name}`", x):
                metrics[name] = _measured(metric(model))
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
        return x


def _find_places(names: tuple[str, ...], configs: tuple[dict, dict, dict], factory: Any) -> tuple[Place, ...]:
    if isinstance(factory, CircuitFactory):
        # Names in the configurations are checked now, not in the first draw.
        factory(*configs)
        found = [factory.find(name) for name in names]
        places = [Place(STAGES if s in configs[STAGES] else EPOCHS, (s, "parameters", name)) for s, name in found]
    else:
        places = [find_place(name, configs) for name in names]
    for name, place in zip(names, places, strict=True):
        if place in places[: names.index(name)]:
            raise ValueError(f"param_specs: `{name}` and `{names[places.index(place)]}` are the same parameter")
    return tuple(places)


def _measured(value: Any) -> Any:
    """A float, or an array of numbers of its own."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"expected one real number, or an array of them, got {value!r:.60}")
    return np.array(array) if array.shape else float(array)
