"""Estimates on disk: numbers and words in one file of JSON, from which they come back without the model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dynx_runner.estimation import report

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class SavedFit:
    """An estimate as it was saved: what it said, without the circuit.

    **Attributes:** `parameters`, `names`, `z`, `criterion`, `loglik` (`None` from moments), `converged`, `outcome` as of a fit;
    `values`: of the criterion along the best start.
    """

    parameters: dict[str, Any]
    names: tuple[str, ...]
    z: np.ndarray
    criterion: float
    loglik: float | None
    converged: bool
    outcome: str
    values: list[float]
    told: report.Table
    matrix: np.ndarray
    errors: dict[str, Any]

    def covariance(self) -> np.ndarray:
        """The covariance of the free coordinates, of the kind that was the default when it was saved."""
        return self.matrix

    def se(self) -> dict[str, Any]:
        """Standard errors in the shapes of the parameters."""
        return self.errors

    def summary(self, style: str = "text") -> str:
        """The table of estimates: `style` is `text`, `html` or `latex`."""
        return report.summary(self.told, style)

    def __repr__(self) -> str:
        return self.summary()


def save(fit: Any, path: str | Path) -> None:
    """Write a fit; NaN is written as `null`."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            matrix, errors = fit.covariance(), fit.se()
        except ValueError:
            matrix = np.full((len(fit.names),) * 2, np.nan)
            errors = {name: np.full(np.shape(x), np.nan) for name, x in fit.parameters.items()}
    best = min(fit.traces, key=lambda trace: np.nan_to_num(trace.point.value, nan=np.inf))
    told = report.table(fit, None)
    record = {
        "format": _FORMAT,
        "parameters": fit.parameters, "names": fit.names, "z": fit.z, "criterion": fit.criterion,
        "loglik": fit.loglik if fit.task.likelihood else None, "converged": fit.converged, "outcome": fit.outcome,
        "values": best.values, "told": told._asdict(), "matrix": matrix, "errors": errors,
    }  # fmt: skip
    Path(path).write_text(json.dumps(_plain(record), indent=1, allow_nan=False))


def load_fit(path: str | Path) -> SavedFit:
    """An estimate that `fit.save(path)` wrote.

    **Arguments:** `path`: of the file.

    **Returns:** a `SavedFit`, which says what the fit said.

    **Raises:** `ValueError` for any other file.
    """
    try:
        record = json.loads(Path(path).read_text())
        if record.pop("format") != _FORMAT:
            raise KeyError("format")
        told = record.pop("told")
        rows = [tuple(row) for row in told["rows"]]
        table = report.Table(told["title"], [tuple(x) for x in told["head"]], tuple(told["columns"]), rows, told["notes"])
        z, matrix = _array(record.pop("z")), _array(record.pop("matrix"))
        parameters, errors = ({k: _number(x) for k, x in record.pop(name).items()} for name in ("parameters", "errors"))
        names = tuple(record.pop("names"))
        return SavedFit(**record, told=table, names=names, parameters=parameters, errors=errors, z=z, matrix=matrix)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"load_fit: {path} is no fit that fit.save wrote ({type(error).__name__}: {error})") from None


def _plain(x):
    """Numbers, lists and texts; what is no number is `None`."""
    if isinstance(x, dict):
        return {str(k): _plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [_plain(v) for v in x]
    if isinstance(x, (bool, str)) or x is None:
        return x
    if isinstance(x, np.ndarray) and x.ndim:
        return [_plain(v) for v in x]
    return float(x) if np.isfinite(x) else None


def _array(x) -> np.ndarray:
    return np.array(x, dtype=float)


def _number(x):
    return _array(x) if isinstance(x, list) else float("nan") if x is None else x
