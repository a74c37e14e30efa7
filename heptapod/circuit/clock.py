"""Reading the horizon and the age of a model."""

import sympy as sp

from heptapod.errors import ANY
from heptapod.formulas.equation import real
from heptapod.parameters.declared import Time
from heptapod.parsing.kinds import kind
from heptapod.parsing.parse import Scope
from heptapod.parsing.reader import Path, Reader

_MOST = 100_000
_WHAT = "an integer from 1 up, arithmetic over integer settings of the model, or `infinite`"


def read_clock(reader: Reader) -> tuple[Time, bool]:
    """The periods and the age, and whether the horizon is infinite; `poison` after an error."""
    before = reader.collector.count
    path = ("model", "horizon")
    horizon = reader.get(path)
    infinite = isinstance(horizon, str) and horizon.strip().lower() == "infinite"
    named: set[str] = set()
    periods = 1 if infinite else _periods(reader, path, horizon, named)
    age = _age(reader, infinite)
    poison = periods is None or reader.collector.count > before or reader.poisoned(("model", "age"))
    return Time(periods or 1, age, poison, frozenset(named)), infinite


def _periods(reader, path: Path, horizon, named: set[str]) -> int | None:
    if horizon is None:
        return reader.missing("horizon", "`model.horizon` is missing", path[:1], _WHAT)
    shown = f"`horizon: {horizon}`" if isinstance(horizon, (str, int, float)) else f"`horizon` is {kind(horizon)}, which"
    if isinstance(horizon, str):
        horizon = _named(reader, path, named)
        if horizon is None:
            return None
    if isinstance(horizon, bool) or not isinstance(horizon, int) or not 1 <= horizon <= _MOST:
        return reader.error("horizon", f"{shown} is not a number of periods", path, _WHAT)
    return horizon


def _named(reader, path, named):
    """A horizon that is arithmetic over the model's integer settings; text where that is no integer."""
    settings = reader.mapping(("model", "settings"), None, "`settings`")
    integers = {k: v for k, v in settings.items() if isinstance(v, int) and not isinstance(v, bool)}
    others = dict.fromkeys(settings.keys() - integers.keys(), "no integer setting: " + _WHAT)
    poison = {ANY} if reader.poisoned(("model", "settings", ANY)) else set()
    scope = Scope({n: real(n) for n in integers}, where="`horizon`", tags=False, hint=_WHAT, used=named,
                  elsewhere=others, poison=poison)  # fmt: skip
    expression = reader.expression(path, scope)
    if expression is None or not isinstance(expression, sp.Expr):
        return None if expression is None else str(expression)
    value = expression.subs({s: integers[str(s)] for s in expression.free_symbols})
    return int(value) if value.is_Integer else str(value)


def _age(reader, infinite):
    path = ("model", "age")
    if reader.get(path) is None:
        return None
    if infinite:
        return reader.error("age", "households of an infinite horizon have no age", path, "drop `age:`", key=True)
    block = reader.block(path, "`age`")
    start, step = block.get("start"), 1 if block.get("step") is None else block["step"]
    if start is None:
        return reader.missing("type", "`age` has no `start`", path, "age: {start: 25, step: 1}")
    for key, value in (("start", start), ("step", step)):
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15
        if not number or (key == "step" and value <= 0):
            what = "a number above 0" if key == "step" else "a number"
            shown = f"`{value}`" if isinstance(value, (int, float, str)) else kind(value)
            return reader.error("type", f"`age.{key}` is {what}, found {shown}", (*path, key), "age: {start: 25, step: 1}")
    return float(start), float(step)


def count_of(time: Time, infinite: bool) -> int | None:
    """The number of periods that connections may name: any after an error, `None` for an infinite horizon."""
    return None if infinite else _MOST if time.poison else time.periods
