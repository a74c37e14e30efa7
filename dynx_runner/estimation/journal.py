"""The evaluations of an estimation in a store: the same call goes on where it was cut off."""

import contextlib
import dataclasses
import uuid
from collections.abc import Callable, Iterator
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from dynx_runner.estimation.engines import Criterion, Point
from dynx_runner.runner.record import Record
from dynx_runner.store.identity import key_of
from dynx_runner.store.part import Part
from dynx_runner.store.result_store import ResultStore
from dynx_runner.sweep.ending import part_of

Around = Callable[[Criterion], Criterion]


class _Evaluations:
    """An estimation as a store sees it: free coordinates, and what is known of the criterion at them."""

    metric_names = ("criterion", "slope", "curve", "residuals", "jacobian", "hessian")

    def __init__(self, task):
        self.param_names, self._task = task.free.names, task

    def parts(self) -> dict[str, Any]:
        """What decides the criterion."""
        task = self._task
        leaves = [_plain(leaf) for leaf in jax.tree.leaves((task.inputs, task.weights))]
        return {"circuit": task.circuit, "free": task.free, "terms": task.terms, "data": leaves}


class Journal:
    """What is known of a criterion is not computed again, and what is computed is written down.

    **Attributes:** `computed`: how many evaluations were not known.
    """

    def __init__(self, task, part: Part, digest: bytes, known: dict[str, Record]):
        self.computed = 0
        self._task, self._part, self._digest, self._known = task, part, digest, known

    def around(self, criterion: Criterion) -> Criterion:
        """The same criterion, which asks the store first."""

        def point(x):
            told = self._ask("point", x, lambda: _of_point(criterion.point(x)))
            return Point(told["criterion"], told["slope"], told.get("curve"))

        def value(x):
            return self._ask("value", x, lambda: {"criterion": criterion.value(x)})["criterion"]

        squares, exact = cast(Any, criterion.residual), cast(Any, criterion.hessian)

        def residual(x):
            told = self._ask("residual", x, lambda: dict(zip(("residuals", "jacobian"), squares(x), strict=True)))
            return told["residuals"], told["jacobian"]

        def hessian(x):
            return self._ask("hessian", x, lambda: {"hessian": exact(x)})["hessian"]

        parts = {"residual": squares and residual, "hessian": exact and hessian}
        return dataclasses.replace(criterion, point=point, value=value, **parts)

    def _ask(self, what: str, x: np.ndarray, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        key = key_of(self._digest + what.encode(), np.asarray(x, dtype=np.float64))
        if key not in self._known:
            told = {name: _number(value) for name, value in compute().items() if value is not None}
            z = np.asarray(self._task.free.inside(x), dtype=np.float64)
            self._known[key] = Record(told)
            self._part.done([(len(self._known), key, z, self._known[key])])
            self.computed += 1
        return self._known[key].metrics


@contextlib.contextmanager
def journal_of(store: ResultStore | None, task) -> Iterator[Around]:
    """What to put around a criterion, for as long as an estimation runs; without a store nothing.

    Raises `StoreError` for a store that was made by another estimation, with the difference.
    """
    if store is None:
        yield lambda criterion: criterion
        return
    if not isinstance(store, ResultStore):
        raise TypeError(f"fit: store must be a ResultStore, found {store!r:.60}; write store=ResultStore(folder)")
    digest = store.claim(_Evaluations(task))
    with part_of(store, uuid.uuid4().hex) as part:
        assert part is not None
        yield Journal(task, part, digest, store.records()).around


def _of_point(point: Point) -> dict[str, Any]:
    return {"criterion": point.value, "slope": point.slope, "curve": point.curve}


def _number(value: Any) -> Any:
    array = np.asarray(value, dtype=np.float64)
    return array if array.shape else float(array)


def _plain(leaf: Any) -> np.ndarray:
    """Numbers; those of a key are what it consists of."""
    key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if key else leaf)
