"""Whether the way from a vector to its metrics is one program that can be compiled, and that program."""

import copy
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dynx_runner.runner.circuit_factory import CircuitFactory
from dynx_runner.store.canonical import Canon

# So many draws a batch may have.
ROOM = 64
# What is longer was unrolled by hand, and would be compiled for minutes.
_LONGEST = 30_000
# What Python's own operators become; a model that consists of nothing else runs as fast without being compiled.
_PLAIN = {"abs", "add", "convert_element_type", "div", "floor", "integer_pow", "mul", "neg", "pow", "rem", "round", "sign",
          "square", "sub"}  # fmt: skip


class UntraceableError(ValueError):
    """Draws have to be run one by one; the message says why."""


def objection(runner: Any) -> str:
    """Why the draws of a runner cannot be one program, as far as its functions can be read; empty if there is no reason."""
    if getattr(runner, "batches", None) is False:
        return "the runner says batches=False"
    if not hasattr(runner, "parts"):
        return "the runner is none of CircuitRunner's"
    if "jax" not in sys.modules:
        return "nobody has imported JAX"
    if runner.records:
        return "a recorder is told of each draw"
    canon = Canon()
    for name, part in runner.parts().items():
        canon.of(part, name)
    # What is traced is called once for all draws: this may not be seen from outside.
    return next(iter([*canon.effects, *(f"what {one} holds may change" for one in canon.unknown)]), "")


def structure_of(runner: Any, x: np.ndarray) -> tuple[float, ...]:
    """Those numbers of a vector that decide what its program is: choices, and sizes of a model file.

    Raises `ValueError` for what is no vector of the runner.
    """
    runner.unpack(x)
    return tuple(float(x[k]) for k in _static(runner))


def moving(runner: Any) -> list[int]:
    """The positions of the other parameters, which a program takes."""
    return sorted(set(range(len(runner.param_names))) - set(_static(runner)))


def program_of(runner: Any, structure: tuple[float, ...]) -> bytes:
    """Trace the way from a vector to its metrics once, for whoever compiles it.

    The program takes the moving parameters of `ROOM` vectors, and how many of them count; it returns the metrics of each, and
    whether a verb would have raised.

    Raises `UntraceableError` where it cannot be traced, or where that would not pay.
    """
    import jax
    from jax.extend.core import jaxpr_as_fun

    import stagecraft

    draw, count = _draw(runner, structure), len(moving(runner))
    before = np.random.get_state()  # noqa: NPY002
    try:
        # Python's numbers, since a draw by itself is given such, and they decide no type.
        closed, shapes = jax.make_jaxpr(draw, return_shape=True)(*[0.5] * count)
    # Whatever the user's functions make of what is traced is a reason not to trace them.
    except Exception as error:
        raise UntraceableError(f"it cannot be traced: {type(error).__name__}: {str(error).strip().splitlines()[:1]}") from error
    if not all(map(np.array_equal, before, np.random.get_state())):  # noqa: NPY002
        raise UntraceableError("random numbers are drawn in it")
    if (length := sum(1 for _ in _equations(closed.jaxpr))) > _LONGEST:
        raise UntraceableError(f"its program has {length} operations")
    if not isinstance(runner.parts()["model_factory"], CircuitFactory) and all(map(_plain, closed.jaxpr.eqns)):
        raise UntraceableError("it needs no compiler")
    flat, tree = jaxpr_as_fun(closed), jax.tree.structure(shapes)
    one = lambda x: jax.tree.unflatten(tree, flat(*[x[k] for k in range(count)]))
    examples = jax.ShapeDtypeStruct((ROOM, count), jax.numpy.result_type(float)), jax.ShapeDtypeStruct((), np.int32)
    try:
        return stagecraft.export_function(_in_turn(one) if jax.default_backend() == "cpu" else _abreast(one), *examples)
    except ValueError as error:
        raise UntraceableError(str(error)) from error


def _static(runner: Any) -> list[int]:
    parts = runner.parts()
    factory, places = parts["model_factory"], parts["parameters"]
    sized = lambda keys: isinstance(factory, CircuitFactory) and factory.is_static(keys[-2], f"{keys[0]}.{keys[-1]}")
    return [k for k, name in enumerate(runner.param_names) if name in runner.choices or sized(places[k].keys)]


def _draw(runner: Any, structure: tuple[float, ...]) -> Callable:
    """What `CircuitRunner.run` does, of numbers that are traced."""
    import stagecraft

    parts, fixed = runner.parts(), dict(zip(_static(runner), structure, strict=True))

    def draw(*numbers):
        configs, given = copy.deepcopy(parts["configurations"]), iter(numbers)
        for k, (name, place) in enumerate(zip(runner.param_names, parts["parameters"], strict=True)):
            value = next(given) if k not in fixed else fixed[k]
            place.write(configs, runner.choices[name][int(value)] if name in runner.choices else value)
        with stagecraft.unsaid() as wrong:
            model = parts["model_factory"](*configs)
            solved = parts["solver"](model)
            solved = model if solved is None else solved
            metrics = {name: _measured(parts[f"metric {name}"](solved)) for name in runner.metric_names}
        return metrics, sum(wrong[1:], start=wrong[0]) if wrong else np.False_

    return draw


def _measured(value: Any) -> Any:
    """An array of real numbers, of the type that it has outside as well."""
    import jax

    array = jax.numpy.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"expected one real number, or an array of them, got {array.dtype}")
    if not isinstance(value, jax.Array) and array.dtype != np.asarray(value).dtype:
        raise TypeError(f"a metric of type {np.asarray(value).dtype} would become one of {array.dtype}")
    return array


def _in_turn(one: Callable) -> Callable:
    """One draw after the other, which is fastest on processors: a wide program leaves their caches."""
    import jax

    def many(xs, count):
        shapes = jax.eval_shape(one, xs[0])
        blank = jax.tree.map(lambda x: jax.numpy.zeros((ROOM, *x.shape), x.dtype), shapes)
        enter = lambda i, found: jax.tree.map(lambda rows, row: rows.at[i].set(row), found, one(xs[i]))
        return jax.lax.fori_loop(0, count, enter, blank)

    return many


def _abreast(one: Callable) -> Callable:
    """All draws side by side, which is fastest on a GPU; there are always as many, so that a row does not depend on others."""
    import jax

    return lambda xs, count: jax.vmap(one)(jax.numpy.where(jax.numpy.arange(ROOM)[:, None] < count, xs, xs[:1]))


def _equations(jaxpr: Any) -> Iterator[Any]:
    """All operations, those inside others too."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in equation.params.values():
            for one in inner if isinstance(inner, tuple | list) else (inner,):
                one = getattr(one, "jaxpr", one)
                if hasattr(one, "eqns"):
                    yield from _equations(one)


def _plain(equation: Any) -> bool:
    scalar = all(getattr(variable.aval, "shape", None) == () for variable in equation.outvars)
    called = equation.primitive.name in ("jit", "pjit") and equation.params.get("name") in ("floor_divide", "remainder")
    return scalar and (called or equation.primitive.name in _PLAIN)
