"""A whole model: its stages, what connects them, and its calibration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import sympy as sp

from heptapod._declare import Declared, Time, read_scope
from heptapod._parse import Scope
from heptapod._tree import Reader
from heptapod._unused import warn_unused
from heptapod.calibration import MAIN, Calibration
from heptapod.errors import Diagnostic, did_you_mean
from heptapod.functional_problem import FunctionalProblem, read_stage
from heptapod.numeric_problem import NumericProblem

TOP_KEYS = ("dialect", "model", "stage", "stages")
MODEL_KEYS = ("name", "description", "version", "horizon", "age", "terminal", "parameters", "settings", "definitions",
              "defaults", "connections")  # fmt: skip
LINK_KEYS = ("source", "target", "mapping")


@dataclass(frozen=True)
class Link:
    """A forward connection between two stages; the backward one is its transpose.

    **Attributes:** `mapping`: (name in the source's continuation, name on the target's arrival) for every arrival state.
    """

    source: str
    target: str
    mapping: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Structure:
    """The static side of a model, compared by value: no default value, text or place decides a compilation."""

    horizon: int | None
    calibration: Calibration
    stages: tuple[NumericProblem, ...]
    inter_period: tuple[Link, ...]

    def stage(self, name: str) -> NumericProblem:
        """A stage by name."""
        return next(s for s in self.stages if s.name == name)


@dataclass(frozen=True)
class CircuitSpec:
    """A model as read.

    **Attributes:**

    - `name`, `text`, `file`; `stages`: a `FunctionalProblem` by name; `structure`: the static side.
    - `parameters`, `settings`: default values, `{scope: {name: array}}`; scopes are `main` and the stages' names.
    - `diagnostics`: warnings and notes.
    - `math`, `methods`, `num`, `derived`: those of the stage, for a model of one stage.
    """

    name: str
    text: str = field(repr=False)
    file: str
    stages: Mapping[str, FunctionalProblem]
    structure: Structure = field(repr=False)
    parameters: Mapping[str, Mapping[str, np.ndarray]] = field(repr=False)
    settings: Mapping[str, Mapping[str, np.ndarray]] = field(repr=False)
    diagnostics: tuple[Diagnostic, ...] = ()

    def __getattr__(self, name: str):
        if name in ("math", "methods", "num", "derived"):
            if len(self.stages) == 1:
                return getattr(next(iter(self.stages.values())), name)
            raise AttributeError(f"`{name}` belongs to a stage; this model has {', '.join(self.stages)}: use .stages[...]")
        raise AttributeError(f"a CircuitSpec has no attribute `{name}`")


def read_model(reader: Reader) -> CircuitSpec:
    """Read a document; raises `ModelError` with every error in it."""
    spec = _Model(reader).read()
    reader.collector.raise_if_any()
    return spec


class _Model:
    def __init__(self, reader: Reader):
        self.reader = reader
        self.raw = reader.mapping(("model",), MODEL_KEYS, "`model`")

    def read(self):
        reader = self.reader
        if not isinstance(reader.get(()), Mapping):
            reader.error(
                "model", "the file is no model: it has no `key: value` at its top", (), "a file has `model:` and `stage:`"
            )
            return None
        reader.mapping((), TOP_KEYS, "a model file")
        if reader.get(("dialect",)) not in (None, 1):
            reader.error("dialect", f"dialect {reader.get(('dialect',))} is not known", ("dialect",), "this is dialect 1")
        if "model" not in (reader.get(()) or {}):
            reader.error("model", "the file has no `model:`", (), "a file has `model:` and `stage:`")
        time, infinite = self._time()
        inherit = bool(reader.word(("model", "defaults", "inherit"), ("all", "none"), "`defaults.inherit`", "none") == "all")
        reader.mapping(("model", "defaults"), ("inherit",), "`defaults`")
        if infinite and "age" in self.raw:
            reader.error("age", "households of an infinite horizon have no age", ("model", "age"), "drop `age:`", key=True)
        main = read_scope(reader, ("model",), MAIN, time, None, False)
        paths = self._stage_paths()
        owns = {n: read_scope(reader, p, n, time, main, inherit) for n, p in paths.items()}
        if not infinite and self.raw.get("terminal") is None and isinstance(self.raw.get("horizon"), (int, str)):
            reader.error("terminal", f"the horizon is {time.periods} but there is no `terminal:` value", ("model", "horizon"),
                         "write `terminal: 0` for nothing after the last period", key=True)  # fmt: skip
        terminals = self._terminals(paths)
        stages = {n: read_stage(reader, p, n, time, main, owns[n], terminals[n], inherit) for n, p in paths.items()}
        if any(s is None for s in stages.values()) or not stages:
            if not reader.collector.errors:
                reader.error("model", "the file has no stage", (), "write `stage:` with a name and `math:`")
            return None
        links = self._links(stages)
        warn_unused(reader, {MAIN: ("model",), **paths})
        calibration = Calibration(tuple(d.table for d in (main, *owns.values())), inherit, time.age,
                                  None if infinite else time.periods)  # fmt: skip
        structure = Structure(None if infinite else time.periods, calibration, tuple(s.num for s in stages.values()), links)
        scopes: dict[str, Declared] = {MAIN: main, **owns}
        name = str(self.raw.get("name") or next(iter(stages)))
        document = reader.document
        return CircuitSpec(name, document.text, document.file, stages, structure,
                           {k: d.defaults for k, d in scopes.items()}, {k: d.setting_defaults for k, d in scopes.items()},
                           reader.collector.diagnostics)  # fmt: skip

    def _time(self):
        """The horizon and the clock."""
        reader, path = self.reader, ("model", "horizon")
        horizon, infinite = self.raw.get("horizon"), self.raw.get("horizon") == "infinite"
        if horizon is None:
            reader.error("horizon", "`model.horizon` is missing", ("model",), "a number of periods, or `infinite`")
        elif isinstance(horizon, str) and not infinite:
            horizon = self._named_horizon(path)
        if not infinite and (not isinstance(horizon, int) or isinstance(horizon, bool) or not 1 <= horizon <= 100_000):
            if horizon is not None:
                reader.error(
                    "horizon",
                    f"`horizon: {horizon}` is not a number of periods",
                    path,
                    "an integer from 1 up, or `infinite`",
                )
            horizon = 1
        age = None
        if "age" in self.raw:
            block = reader.mapping(("model", "age"), ("start", "step"), "`age`")
            start, step = block.get("start"), block.get("step", 1)
            if not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (start, step)) or step == 0:
                reader.error("type", "`age` needs numbers `start` and `step`", ("model", "age"), "age: {start: 25, step: 1}")
            else:
                age = (float(start), float(step))
        return Time(1 if infinite else horizon, age), infinite

    def _terminals(self, paths):
        """Where the terminal value of each stage stands: one for all, or one by the name of the stage."""
        base = ("model", "terminal")
        if not isinstance(self.raw.get("terminal"), Mapping):
            return dict.fromkeys(paths, base)
        self.reader.mapping(base, list(paths), "`terminal`")
        return {name: (*base, name) for name in paths}

    def _named_horizon(self, path):
        """A horizon that is arithmetic over the model's integer settings."""
        settings = self.raw.get("settings")
        integers = {k: v for k, v in (settings or {}).items() if isinstance(v, int) and not isinstance(v, bool)}
        scope = Scope({n: sp.Symbol(n, real=True) for n in integers}, where="`horizon`", tags=False,
                      hint="a number of periods, `infinite`, or an integer setting of the model")  # fmt: skip
        expression = self.reader.expression(path, scope)
        if expression is None:
            return None
        value = expression.subs({s: integers[str(s)] for s in expression.free_symbols})
        return int(value) if value.is_Integer else str(self.raw["horizon"])

    def _stage_paths(self):
        reader, data = self.reader, self.reader.get(()) or {}
        if "stage" in data and "stages" in data:
            reader.error("duplicate-key", "`stage:` and `stages:` are both given", ("stages",), "one of them", key=True)
        if "stage" in data:
            name = reader.get(("stage", "name"))
            if not isinstance(name, str) or not name.isidentifier() or name == MAIN:
                reader.error("name", "the stage needs a `name`, other than `main`", ("stage",), "e.g. name: CONS", key=True)
                name = "STAGE"
            return {str(name): ("stage",)}
        stages = reader.mapping(("stages",), None, "`stages`")
        if len(stages) > 1:
            second = list(stages)[1]
            reader.error(
                "structure",
                "models of several stages cannot be read yet",
                ("stages", second),
                "one stage a file",
                key=True,
            )
        return {k: ("stages", k) for k in list(stages)[:1]}

    def _links(self, stages):
        """Connections between periods; in a model of one stage the stage leads to itself."""
        reader, base = self.reader, ("model", "connections")
        block = reader.mapping(base, ("inter_period", "intra_period"), "`connections`")
        if block.get("intra_period"):
            reader.error("structure", "a period of one stage has no connection inside", (*base, "intra_period"), key=True)
        entries = block.get("inter_period")
        if entries is None:
            name = next(iter(stages))
            return (self._link(stages, name, name, {}, ("model",)),)
        if not isinstance(entries, list):
            reader.error("type", "`inter_period` must be a list of connections", (*base, "inter_period"))
            return ()
        if len(entries) != 1:
            place = (*base, "inter_period", 1) if entries else (*base, "inter_period")
            reader.error("structure", f"{len(entries)} connections to the next period: a stage by itself has one", place)
            return ()
        return (self._entry(stages, (*base, "inter_period", 0)),)

    def _entry(self, stages, path):
        block = self.reader.mapping(path, LINK_KEYS, "a connection")
        ends = {}
        for end in ("source", "target"):
            ends[end] = block.get(end)
            if ends[end] not in stages:
                self.reader.error("reference", f"no stage `{ends[end]}`", (*path, end), did_you_mean(str(ends[end]), stages))
                return None
        mapping = self.reader.mapping((*path, "mapping"), None, "`mapping`")
        return self._link(stages, ends["source"], ends["target"], mapping, path)

    def _link(self, stages, source, target, mapping, path):
        """Pair every arrival state of the target with a post-state of the source."""
        supplied = stages[source].num.dimensions("cntn")
        needed = stages[target].num.dimensions("arvl")
        for name, to in mapping.items():
            if name not in supplied:
                self.reader.error("mapping", f"`{name}` is not a dimension of {source}.cntn ({', '.join(supplied)})",
                                  (*path, "mapping", name), did_you_mean(name, supplied), key=True)  # fmt: skip
            elif to not in needed:
                self.reader.error("mapping", f"`{to}` is not a dimension of the arrival of {target} ({', '.join(needed)})",
                                  (*path, "mapping", name), did_you_mean(str(to), needed))  # fmt: skip
        names = {n: mapping.get(n, n) for n in supplied}
        pairs = tuple((n, to) for n, to in names.items() if to in needed)
        missing = [n for n in needed if n not in [to for _, to in pairs]]
        if missing and all(n in supplied and to in needed for n, to in mapping.items()):
            given = sorted(map(str, names.values()))
            message = f"arrival of {target} needs {missing}; {source}.cntn supplies {given}"
            self.reader.error("mapping", message, path, f"e.g. mapping: {{{supplied[0]}: {missing[0]}}}")
        return Link(source, target, pairs)
