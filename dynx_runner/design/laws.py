"""Priors of one parameter, each told by its quantiles, so that every design can draw from them."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np


class AbstractPrior(abc.ABC):
    """The law of one number.

    **Attributes:** `low`, `high`: the bounds of what may be drawn, both included.
    """

    low: float
    high: float

    @abc.abstractmethod
    def quantile(self, u: np.ndarray) -> np.ndarray:
        """The values below which the shares `u` of the mass lie; shapes are the same."""


@dataclasses.dataclass(frozen=True)
class UniformPrior(AbstractPrior):
    """Every value between two bounds is as likely."""

    low: float
    high: float

    def __post_init__(self):
        _ordered("UniformPrior", self.low, self.high)
        if not np.isfinite([self.low, self.high]).all():
            raise ValueError("UniformPrior: an infinite bound needs another prior, or a sampler")

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Evenly between the bounds, at shares `u` of the mass."""
        return np.clip(self.low + (self.high - self.low) * u, self.low, self.high)


@dataclasses.dataclass(frozen=True)
class NormalPrior(AbstractPrior):
    r"""$x \sim N(\mu, \sigma^2)$, cut off at the bounds."""

    mean: float
    sd: float
    low: float = -np.inf
    high: float = np.inf

    def __post_init__(self):
        _positive("NormalPrior", sd=self.sd)
        _ordered("NormalPrior", self.low, self.high)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Those of the normal law between the bounds, at shares `u`."""
        return _cut(_scipy().norm(self.mean, self.sd), u, self.low, self.high)


@dataclasses.dataclass(frozen=True)
class LogNormalPrior(AbstractPrior):
    r"""$\log x \sim N(\mu, \sigma^2)$, cut off at the bounds; $\mu$ is the log of the median."""

    median: float
    sd: float
    low: float = 0.0
    high: float = np.inf

    def __post_init__(self):
        _positive("LogNormalPrior", median=self.median, sd=self.sd)
        _ordered("LogNormalPrior", self.low, self.high)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Those of the lognormal law between the bounds, at shares `u`."""
        return _cut(_scipy().lognorm(self.sd, scale=self.median), u, self.low, self.high)


@dataclasses.dataclass(frozen=True)
class BetaPrior(AbstractPrior):
    r"""$(x - l)/(h - l) \sim B(a, b)$ between the bounds $l$ and $h$."""

    a: float
    b: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self):
        _positive("BetaPrior", a=self.a, b=self.b)
        _ordered("BetaPrior", self.low, self.high)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Those of the beta law, stretched to the bounds, at shares `u`."""
        share = _scipy().beta(self.a, self.b).ppf(u)
        return np.clip(self.low + (self.high - self.low) * share, self.low, self.high)


@dataclasses.dataclass(frozen=True)
class TruncatedPrior(AbstractPrior):
    """A frozen law of `scipy.stats`, such as `scipy.stats.gamma(2.0)`, cut off at the bounds."""

    law: Any
    low: float = -np.inf
    high: float = np.inf

    def __post_init__(self):
        if not (hasattr(self.law, "cdf") and hasattr(self.law, "ppf")):
            raise ValueError(f"TruncatedPrior: the law needs `cdf` and `ppf`, as those of scipy.stats, got {self.law!r:.60}")
        _ordered("TruncatedPrior", self.low, self.high)
        if not self.law.cdf(self.high) > self.law.cdf(self.low):
            raise ValueError(f"TruncatedPrior: the law has no mass in [{self.low}, {self.high}]")

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Those of the law between the bounds, at shares `u`."""
        return _cut(self.law, u, self.low, self.high)


@dataclasses.dataclass(frozen=True)
class DiscretePrior(AbstractPrior):
    """Some numbers, with their probabilities; all alike if not given."""

    values: Sequence[float]
    weights: Sequence[float] | None = None

    def __post_init__(self):
        _chances("DiscretePrior", self.values, self.weights)
        if not np.isfinite(np.asarray(self.values, dtype=np.float64)).all():
            raise ValueError("DiscretePrior: values must be finite")

    @property
    def low(self) -> float:
        """The smallest value."""
        return float(min(self.values))

    @property
    def high(self) -> float:
        """The largest value."""
        return float(max(self.values))

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """The values in their order, each for shares `u` as large as its probability."""
        return np.asarray(self.values, dtype=np.float64)[positions(u, len(self.values), self.weights)]


@dataclasses.dataclass(frozen=True)
class CategoricalPrior(AbstractPrior):
    """Some names, switches or sizes, with their probabilities; a vector holds the position of the one that is drawn."""

    choices: Sequence[Any]
    weights: Sequence[float] | None = None

    def __post_init__(self):
        _chances("CategoricalPrior", self.choices, self.weights)
        wrong = [one for one in self.choices if not isinstance(one, str | int | float | bool)]
        if wrong:
            raise ValueError(f"CategoricalPrior: a choice is a text, a number or a switch, got {wrong[0]!r:.60}")

    @property
    def low(self) -> float:
        """The first position."""
        return 0.0

    @property
    def high(self) -> float:
        """The last position."""
        return len(self.choices) - 1.0

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """The positions in their order, each for shares `u` as large as its probability."""
        return positions(u, len(self.choices), self.weights).astype(np.float64)


def positions(u: np.ndarray, size: int, weights: Sequence[float] | None) -> np.ndarray:
    """Which of several values a share of the mass belongs to."""
    chances = np.full(size, 1.0) if weights is None else np.asarray(weights, dtype=np.float64)
    bounds = np.cumsum(chances / chances.sum())[:-1]
    return np.searchsorted(bounds, u, side="right")


def _cut(law: Any, u: np.ndarray, low: float, high: float) -> np.ndarray:
    below, above = law.cdf(low), law.cdf(high)
    # A value on the bound may be rounded to beyond it.
    return np.clip(law.ppf(below + u * (above - below)), low, high)


def _scipy() -> Any:
    from scipy import stats  # It takes a third of a second, which a runner without priors does not need.

    return stats


def _ordered(name: str, low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"{name}: low = {low} must be below high = {high}")


def _positive(name: str, **values: float) -> None:
    for what, value in values.items():
        if not (value > 0 and np.isfinite(value)):
            raise ValueError(f"{name}: {what} must be positive, got {value}")


def _chances(name: str, values: Sequence, weights: Sequence[float] | None) -> None:
    if len(values) == 0 or len(set(values)) < len(values):
        raise ValueError(f"{name}: expected different values, got {values!r:.80}")
    if weights is not None and (len(weights) != len(values) or min(weights) < 0 or not sum(weights) > 0):
        raise ValueError(f"{name}: expected {len(values)} weights, none of them negative, got {weights!r:.80}")
