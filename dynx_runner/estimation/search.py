"""Several starts, and the basins in which they end."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from dynx_runner.estimation import adapter
from dynx_runner.estimation.engines import Trace, minimise
from dynx_runner.estimation.journal import Around
from dynx_runner.estimation.transforms import Correlation, Simplex

_TRIED = 8  # Points for every start that is drawn.


def begin(task, start: Any, starts: int, key: Any) -> list[np.ndarray]:
    """The coordinates of all starts.

    **Arguments:** `start`: `{path: value}` for some of the free parameters, a list of such, a frame with a row for each
    (`store.best(5, by=...)`, the best draws of a sweep), or `None`; `starts`: how many in all, those that are not given from a
    Sobol sequence, which `key` scrambles.

    **Raises:** `ValueError` for a start outside its bounds, and for names that are not free.
    """
    if hasattr(start, "to_dict"):
        start = _rows(task, start)
    given = list(start) if isinstance(start, Sequence) and not isinstance(start, str) else [start or {}]
    found = [_given(task, one) for one in given]
    return [*found, *_sobol(task, found[0], starts - len(found), key)]


def _rows(task, frame) -> list[dict]:
    """What is free in each row of a frame, which may spell `main.beta` as `main.parameters.beta`."""
    names = {column: str(column).replace(".parameters.", ".", 1) for column in frame.columns}
    free = {column: name for column, name in names.items() if name in task.free.paths}
    if not free or frame.empty:
        raise ValueError(f"start: the frame has {len(frame)} rows, and no column of {', '.join(task.free.paths)}"
                         if not free else "start: the frame has no rows")  # fmt: skip
    return [{free[column]: row[column] for column in free} for row in frame.to_dict("records")]


def _given(task, start) -> np.ndarray:
    if not isinstance(start, Mapping):
        raise ValueError(f'start: expected {{"main.beta": 0.95}}, a list of such, or a frame; found {start!r}')
    wrong = [path for path in start if path not in task.free.paths]
    if wrong:
        raise ValueError(f"start: {', '.join(map(str, wrong))} is not free; free are {', '.join(task.free.paths)}")
    own = adapter.values(task.circuit)
    z = []
    for path, transform in zip(task.free.paths, task.free.transforms, strict=True):
        try:
            value = np.broadcast_to(np.asarray(start.get(path, own[path]), float), np.shape(own[path]))
        except (TypeError, ValueError):
            shape = np.shape(own[path])
            what = f"numbers of shape {shape}" if shape else "a number"
            raise ValueError(f"start: `{path}` is {what}, found {start[path]!r}") from None
        z.append(np.asarray(transform.read(value)))
        if isinstance(transform, Simplex | Correlation) and not np.allclose(
            transform.fill(jnp.asarray(z[-1]), jnp.asarray(value)), value, atol=1e-8
        ):
            raise ValueError(f"start: `{path}` = {value.tolist()} does not fit its transform, {transform}")
    z = np.concatenate(z)
    task.free.check_inside(z, "start")
    return z


def _sobol(task, first, count, key) -> list[np.ndarray]:
    """Between bounds where there are two; else around the first start in the real numbers of the transform.

    Each is the best of several points of the sequence, which cost no derivative.
    """
    if count <= 0:
        return []
    from scipy.stats import qmc

    seed = None if key is None else int(np.asarray(jax.random.key_data(key)).ravel()[-1])
    if seed is None:
        raise ValueError("starts: more than one start is drawn by a `key`, jax.random.key(0)")
    # `seed` is what all versions of scipy know.
    size = _TRIED * count
    unit = cast(Any, qmc.Sobol)(first.size, seed=seed).random(1 << (size - 1).bit_length())[:size]
    center, (low, high) = np.asarray(task.free.real(jnp.asarray(first))), task.free.bounds()
    both = np.isfinite(low) & np.isfinite(high) & task.free.alone
    found = []
    for u in unit:
        real = np.array(task.free.inside(jnp.asarray(center + 4 * (u - 0.5))))
        real[both] = low[both] + (high[both] - low[both]) * (0.02 + 0.96 * u[both])
        found.append(real)
    values = np.nan_to_num([task.value(z) for z in found], nan=np.inf).reshape(_TRIED, count)
    return [found[i + count * k] for i, k in enumerate(np.argmin(values, axis=0))]


def from_all(
    task, starts: list[np.ndarray], method: str, steps: int, told: Callable[[int, float], None], around: Around
) -> list[Trace]:
    """The end of every start; each uses the same programs. A start at which the criterion is not finite ends there.

    **Arguments:** `around`: what to put around the criterion, so that evaluations are kept.
    """
    criterion, found = around(task.of_reals()), []
    for i, z in enumerate(starts):
        x = np.asarray(task.free.real(jnp.asarray(z)))
        try:
            found.append(minimise(criterion, x, method, steps, lambda value, i=i: told(i, value)))
        except FloatingPointError as error:
            point = criterion.point(x)
            found.append(Trace(x, point, [point.value], 1, str(error)))
    return found


def basins(task, traces: list[Trace]) -> Any:
    """Where starts ended: a row for each different end, the lowest first, with the number of starts and the parameters."""
    import pandas as pd

    order = sorted(range(len(traces)), key=lambda i: np.nan_to_num(traces[i].point.value, nan=np.inf))
    rows: list[dict] = []
    for i in order:
        z, value = np.asarray(task.free.inside(jnp.asarray(traces[i].x))), traces[i].point.value
        same = next((r for r in rows if _near(r["z"], z) and abs(r["criterion"] - value) <= 1e-6 * max(1, abs(value))), None)
        if same is None:
            rows.append({"criterion": value, "starts": [i], "z": z})
        else:
            same["starts"].append(i)
    table = [{"criterion": r["criterion"], "starts": len(r["starts"]), **dict(zip(task.free.names, r["z"], strict=True))}
             for r in rows]  # fmt: skip
    return pd.DataFrame(table)


def _near(a, b) -> bool:
    return bool(np.all(np.abs(a - b) <= 1e-3 * np.maximum(1e-2, np.abs(a))))


class Line:
    """A progress line: start, steps and the lowest criterion so far."""

    def __init__(self, shown: bool | None):
        self.shown, self.best = shown, np.inf

    def __enter__(self):
        from tqdm import tqdm

        how: dict[str, Any] = {"disable": None, "delay": 2} if self.shown is None else {"disable": not self.shown}
        self.bar = tqdm(desc="estimation", unit="step", **how)
        return self.told

    def __exit__(self, *error):
        self.bar.close()

    def told(self, start: int, value: float) -> None:
        """One step of one start."""
        self.best = min(self.best, value if np.isfinite(value) else np.inf)
        self.bar.set_postfix(start=start, value=f"{value:.6g}", best=f"{self.best:.6g}", refresh=False)
        self.bar.update()
