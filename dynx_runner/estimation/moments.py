"""Moments that are declared: the same of distributions, of panels and of data, with the covariance of the last."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import stagecraft as sc
from dynx_runner.estimation import adapter, of_data, of_model
from heptapod.errors import did_you_mean

KINDS = ("mean", "variance", "covariance", "autocovariance", "quantile", "share")


@dataclass(frozen=True)
class Moment:
    """One number of a population.

    **Attributes:**

    - `of`: a variable, `"CONS.c"`; `kind`: one of `mean`, `variance`, `covariance`, `autocovariance`, `quantile`, `share`.
    - `ages`: the first and the last age (or period, where the model has no ages), both included; all if left out.
    - `beside`: the other variable of a covariance; `lag`: of an autocovariance, in periods; `q`: of a quantile.
    - `low`, `high`: of a share, of whom the variable lies between, both included.
    - `log`: whether of the logarithm; `name`: in tables, made of the others if left out.
    - `column`: of the data, if that is called neither `CONS.c` nor `c` there.
    """

    of: str
    kind: str = "mean"
    ages: tuple[float, float] | None = None
    beside: str = ""
    lag: int = 1
    q: float = 0.5
    low: float = -np.inf
    high: float = np.inf
    log: bool = False
    name: str = ""
    column: str = ""

    @property
    def label(self) -> str:
        """Its name."""
        if self.name:
            return self.name
        more = {"covariance": f", {self.beside}", "autocovariance": f", {self.lag}", "quantile": f", {self.q:g}"}
        bounds = f", {self.low:g}..{self.high:g}" if self.kind == "share" else ""
        ages = "" if self.ages is None else f" {self.ages[0]:g}-{self.ages[1]:g}"
        what = f"log {self.of}" if self.log else self.of
        return f"{self.kind}({what}{more.get(self.kind, '')}{bounds}){ages}"


@dataclass(frozen=True, eq=False)
class Moments:
    """Several moments of one population, a function of a solved circuit that `MinimumDistance` takes, or of one and a key that
    `SMM` takes.

    **Attributes:** `items`; `initial`: where households begin, as `push_forward` and `simulate` take it; `agents`: of a panel,
    0 for distributions, which have no noise; `refine`: of distributions; `periods`: of an infinite horizon.
    """

    items: tuple[Moment, ...]
    initial: Any
    agents: int = 0
    refine: int = 1
    periods: int | None = None

    @staticmethod
    def read(
        given: Sequence[Any] | str | Path, initial: Any, *, agents: int = 0, refine: int = 1, periods: int | None = None
    ) -> "Moments":
        """From a list of mappings with the fields of `Moment`, or from a YAML file or text that is such a list.

        **Raises:** `ValueError` naming the moment for what cannot be read.
        """
        if isinstance(given, (str, Path)):
            import yaml

            text = str(given)
            given = yaml.safe_load(text if "\n" in text else Path(text).read_text())
            given = given.get("moments", given) if isinstance(given, Mapping) else given
        if not isinstance(given, Sequence) or not given:
            raise ValueError(f"moments: a list of {{of: CONS.c, kind: mean, ages: [30, 39]}} is needed, found {given!r}")
        items = tuple(one if isinstance(one, Moment) else _read(i, one) for i, one in enumerate(given))
        labels = [m.label for m in items]
        twice = [name for name in labels if labels.count(name) > 1]
        if twice:
            raise ValueError(f"moments: {twice[0]} is there twice; give one of them a `name`")
        return Moments(items, initial, agents, refine, periods)

    @property
    def __signature__(self) -> inspect.Signature:
        """Of a function of a solved circuit, and of a key where panels are drawn."""
        names = ("solved", "key") if self.agents else ("solved",)
        return inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names])

    def __call__(self, solved: Any, key: Any = None) -> dict[str, Any]:
        """The moments of a solved circuit by name."""
        clock = adapter.clock(solved) if self.periods is None else np.arange(self.periods)
        if not self.agents:
            pushed = sc.push_forward(solved, self.initial, periods=self.periods, refine=self.refine)
            return {m.label: of_model.of_push(m, pushed, clock) for m in self.items}
        panel = sc.simulate(solved, self.initial, agents=self.agents, periods=self.periods, weights=True, key=key)
        return {m.label: of_model.of_panel(m, panel, clock) for m in self.items}

    def of_data(self, frame: Any, *, by: str | None = None) -> tuple[dict[str, float], Any]:
        """The moments of a frame as `panel.to_pandas()` writes it, and their covariance by influence functions.

        **Arguments:** `by`: the column of whoever is observed, `id` or `agent` if left out; rows of one are not independent.

        **Returns:** the data that an estimator takes, by name; their covariance, a frame with these names.

        **Raises:** `ValueError` for a missing column, and for a moment without observations.
        """
        return of_data.found(self.items, frame, by)


def _read(i: int, given: Any) -> Moment:
    known = {f.name for f in dataclasses.fields(Moment)}
    if not isinstance(given, Mapping) or "of" not in given:
        raise ValueError(f"moments: entry {i} needs `of`, a variable such as CONS.c; found {given!r}")
    for name in given:
        if name not in known:
            raise ValueError(f"moments: entry {i} has `{name}`; {did_you_mean(str(name), known) or ', '.join(sorted(known))}")
    found = Moment(**{**given, "ages": _ages(i, given.get("ages"))})
    if found.kind not in KINDS or (found.kind == "covariance" and not found.beside):
        need = "`beside`, the other variable" if found.kind == "covariance" else f"a `kind` among {', '.join(KINDS)}"
        raise ValueError(f"moments: entry {i} ({found.of}) needs {need}")
    sound = {
        "a whole number `lag` of periods, 1 or more": isinstance(found.lag, int) and found.lag >= 1,
        "`q` between 0 and 1": 0 < found.q < 1,
        "`low` below `high`": found.low <= found.high,
    }
    for need, holds in sound.items():
        if not holds:
            raise ValueError(f"moments: entry {i} ({found.of}) needs {need}; found {dict(given)!r}")
    return found


def _ages(i: int, given: Any) -> tuple[float, float] | None:
    """The first and the last age, which may be one and the same."""
    if given is None:
        return None
    try:
        first, last = (given, given) if isinstance(given, (int, float)) else given
        return float(first), float(last)
    except (TypeError, ValueError):
        raise ValueError(
            f"moments: entry {i}: `ages` are one age, or the first and the last, [30, 39]; found {given!r}"
        ) from None
