"""Reading a whole model: its scopes, stages, connections and periods, and then what follows from them."""

import dataclasses
from collections.abc import Mapping

from heptapod.checks.contraction import warn_no_contraction
from heptapod.checks.idle import warn_idle
from heptapod.checks.sets import check_sets
from heptapod.checks.unused import StageNames, check_shared, provenance, warn_unread, warn_unused
from heptapod.circuit.clock import count_of, read_clock
from heptapod.circuit.connections import read_links
from heptapod.circuit.envelopes import envelopes
from heptapod.circuit.link_parts import End
from heptapod.circuit.nodes import Nodes
from heptapod.circuit.periods import Graph
from heptapod.circuit.stages import read_kind, read_stages
from heptapod.circuit.storage import stored_where_needed
from heptapod.circuit.structure import Structure
from heptapod.circuit.survival import warn_other_death
from heptapod.circuit.terminal import read_terminals
from heptapod.circuit_spec import CircuitSpec
from heptapod.dialect import keys
from heptapod.economy.read import Economy, read_economy
from heptapod.errors import ModelError, did_you_mean
from heptapod.parameters.calibration import MAIN, Calibration
from heptapod.parameters.read import read_scope
from heptapod.parameters.units import read_units
from heptapod.parsing.reader import Reader
from heptapod.problem.functional_problem import build_problem, read_methods, read_movers
from heptapod.stage.equations import StageReader
from heptapod.stage.scope import StageScope


def read_model(reader: Reader) -> CircuitSpec:
    """Read a document; raises `ModelError` with every error in it."""
    spec = _Model(reader).read()
    if spec is None and not reader.collector.errors:
        reader.error("model", "this model cannot be read, for a reason that is not known", (), "please report it")
    if spec is None or reader.collector.errors:
        raise ModelError(*reader.collector.errors)
    return spec


class _Model:
    """One pass over a document: scopes, shocks, equations, connections, periods, and then what follows from them.

    What one mistake leads to is not told: names and stages in error are known as such to all that comes after.
    """

    def __init__(self, reader: Reader):
        self.reader = reader
        self.poison: set[str] = set()

    def read(self) -> CircuitSpec | None:
        """The model, `None` after an error."""
        reader = self.reader
        if not self._is_model():
            return None
        warn_unread(reader)
        check_shared(reader)
        self.time, self.infinite = read_clock(reader)
        self.inherit = self._inherits()
        self.scopes = {MAIN: read_scope(reader, ("model",), MAIN, self.time, None, False)}
        self.paths, poison = read_stages(reader)
        readings = {n: self._counted(n, self._reading, n, path) for n, path in self.paths.items()}
        methods = {n: self._counted(n, read_methods, reader, path) for n, path in self.paths.items()}
        if not readings:
            return None
        nodes = Nodes(readings, poison)
        equations = {n: self._counted(n, r.read, nodes.seen_from(n)) for n, r in readings.items()}
        graph, blocks = self._graph(readings, equations, poison)
        endings = read_terminals(reader, readings, graph, blocks, self.infinite, self.time)
        equations = {n: e and dataclasses.replace(e, terminal=endings.get(n)) for n, e in equations.items()}
        built = {n: build_problem(readings[n], e, self.scopes[n], methods[n])
                 for n, e in equations.items() if e is not None and n not in self.poison}  # fmt: skip
        economy = read_economy(reader, self.scopes, equations, bool(self.poison or poison))
        if reader.collector.errors or None in built.values() or len(built) < len(readings):
            return None
        return self._spec(readings, built, graph, blocks, nodes, economy)

    def _counted(self, name, work, *arguments):
        """The result of some work on a stage, which is poison where an error was found."""
        before = self.reader.collector.count
        result = work(*arguments)
        if self.reader.collector.count > before or result is None:
            self.poison.add(name)
        return result

    def _is_model(self):
        reader = self.reader
        if not isinstance(reader.get(()), Mapping):
            help = "a file has `model:` and `stage:`"
            return reader.error("model", "the file is no model: it has no `key: value` at its top", (), help)
        reader.block((), "a file", "a model file")
        if reader.get(("imports",)) is not None:
            help = "put it into a file, and load the file"
            reader.error("import", "text cannot import files, since it stands in no folder", ("imports",), help, key=True)
        dialect = reader.get(("dialect",))
        if dialect is not None and (dialect != 1 or not isinstance(dialect, int) or isinstance(dialect, bool)):
            reader.error("dialect", "this dialect is not known", ("dialect",), "this is dialect 1")
        if reader.get(("model",)) is None:
            return reader.missing("model", "the file has no `model:`", (), "a file has `model:` and `stage:`")
        reader.block(("model",), "`model`")
        return not reader.poisoned(("model",))

    def _inherits(self):
        """Whether every stage sees all names of the model; taken to be so after an error, since then most is said."""
        reader, path = self.reader, ("model", "defaults")
        before = reader.collector.count
        reader.block(path, "`defaults`")
        word = reader.word((*path, "inherit"), keys.words("`defaults`", "inherit"), "`defaults.inherit`", "none")
        return word == "all" or reader.collector.count > before or reader.poisoned(path)

    def _reading(self, name, path):
        """The scopes of a stage and its movers, and its shocks."""
        reader, main = self.reader, self.scopes[MAIN]
        branching = read_kind(reader, path)
        own = self.scopes[name] = read_scope(reader, path, name, self.time, main, self.inherit)
        movers = {}
        for mover, inherits in read_movers(reader, path).items():
            place, full = (*path, "movers", mover), f"{name}.{mover}"
            movers[mover] = self.scopes[full] = read_scope(reader, place, full, self.time, own, inherits)
        return StageReader(StageScope(reader, path, name, self.time, main, own, movers, self.inherit), branching)

    def _graph(self, readings, equations, poison):
        """All connections, and the kinds of period that follow from them, none after an error."""
        reader = self.reader
        ends: dict[str, End | None] = {n: End(r.scope, r.branch_names, r.poisoned, equations[n]) for n, r in readings.items()}
        ends |= dict.fromkeys(poison)
        found, known = read_links(reader, ends, count_of(self.time, self.infinite))
        check_sets(reader, ends, found)
        links, places = tuple(link for link, _ in found), tuple(place for _, place in found)
        periods = None if self.infinite else self.time.periods
        branches = {n: r.branch_names for n, r in readings.items()}
        before = reader.collector.count
        graph = Graph(reader, branches, links, places, periods, self._start(readings, poison))
        known = known and reader.collector.count == before
        known = known and not (poison or self.time.poison or any(r.poisoned for r in readings.values()))
        return graph, graph.blocks() if known else ()

    def _start(self, readings, poison):
        """The stages named by `start:`."""
        path, start = ("model", "start"), self.reader.get(("model", "start"))
        several = isinstance(start, list)
        names = start if several else [] if start is None else [start]
        if several and not names:
            self.reader.error("type", "the list of stages to start from is empty", path, "start: NAME")
        places = [(*path, i) for i in range(len(names))] if several else [path]
        for name, place in zip(names, places, strict=False):
            if not isinstance(name, str) or name not in (*readings, *poison):
                help = did_you_mean(str(name), readings) or f"the stages are {', '.join(readings)}"
                self.reader.error("reference", f"no stage `{name}` to start from", place, help, about=f"stage {name}")
        return tuple(str(name) for name in names)

    def _spec(self, readings, built, graph, blocks, nodes, economy: Economy):
        reader, document, scopes = self.reader, self.reader.document, self.scopes
        solutions = envelopes(graph, {n: (p, readings[n]) for n, p in built.items()})
        looked_up = {n: StageNames(self.paths[n], scopes, r.scope) for n, r in readings.items()}
        for name, problem in built.items():
            warn_idle(readings[name], problem.equations)
        warn_unused(reader, scopes, looked_up, economy.used | self.time.settings)
        warn_no_contraction(reader, graph, built)
        warn_other_death(reader, zip(graph.links, graph.places, strict=True), built)
        nums = {n: dataclasses.replace(p.num, solution=solutions[n]) for n, p in built.items()}
        nums = stored_where_needed(reader, nums, graph, blocks, nodes, {n: r.math for n, r in readings.items()})
        calibration = Calibration(tuple(d.table for d in scopes.values()), self.time.age, graph.periods)
        structure = Structure(graph.periods, calibration, tuple(nums[n] for n in built), graph.links, blocks, graph.starts(),
                              nodes.borrowed())  # fmt: skip
        given = {k: d.defaults for k, d in scopes.items()}, {k: d.setting_defaults for k, d in scopes.items()}
        bare = structure.bare_starts(*given)
        told = lambda num: dataclasses.replace(num, solution=dataclasses.replace(num.solution, bare=True))
        structure = dataclasses.replace(structure, stages=tuple(told(x) if x.name in bare else x for x in structure.stages))
        stages = {n: dataclasses.replace(p, num=structure.stage(n), provenance=provenance(reader, looked_up[n]))
                  for n, p in built.items()}  # fmt: skip
        name = str(reader.get(("model", "name")) or next(iter(stages)))
        return CircuitSpec(name, document.text, document.file, stages, structure, *given, economy.types, economy.aggregates,
                           economy.equilibrium, reader.collector.diagnostics,
                           self._units(stages))  # fmt: skip

    def _units(self, stages):
        """Of the variables of all stages, and of parameters."""
        paths = {MAIN: ("model",), **self.paths}
        for full in self.scopes.keys() - paths.keys():
            stage, _, mover = full.partition(".")
            paths[full] = (*self.paths[stage], "movers", mover)
        variables = [name for problem in stages.values() for name in problem.num.variables]
        return read_units(self.reader, paths, variables)
