"""The value after the last period, at the arrival of every stage that households would enter then."""

from collections.abc import Mapping

from heptapod.circuit.periods import Block, Graph
from heptapod.formulas.equation import Equation
from heptapod.parameters.declared import Time
from heptapod.parsing.reader import Reader
from heptapod.stage.equations import StageReader

_PATH = ("model", "terminal")


def read_terminals(
    reader: Reader, readings: Mapping[str, StageReader], graph: Graph, blocks: tuple[Block, ...], infinite: bool, time: Time
) -> dict[str, Equation | None]:
    """The terminal value of every stage that has one: all are given one, or each its own by name."""
    raw = reader.get(_PATH)
    if raw is None:
        if not infinite and not time.poison and not reader.poisoned(_PATH):
            reader.error("terminal", f"the horizon is {time.periods} but there is no `terminal:` value", ("model", "horizon"),
                         "write `terminal: 0` for nothing after the last period", key=True)  # fmt: skip
        return {}
    entries = _entries(readings, graph, blocks)
    if isinstance(raw, Mapping) and list(raw) != ["expr"]:
        return _by_stage(reader, readings, entries, raw, bool(blocks))
    found = {}
    for name in entries:
        before = reader.collector.count
        found[name] = readings[name].terminal(_PATH)
        if reader.collector.count > before:
            break  # What is wrong for one entry is not told again for the next.
    return found


def _entries(readings, graph, blocks) -> tuple[str, ...]:
    """The stages entered after the last period; where that is not known, the one that may be if there is no other."""
    if not blocks:
        onward = tuple(n for n in readings if any(link.target == n for link in graph.links if link.crosses))
        return onward if len(onward) == 1 else ()
    after = dict.fromkeys(link.target for link in blocks[-1].links if link.crosses)
    return tuple(n for n in readings if n in after)


def _by_stage(reader, readings, entries, raw, known):
    """One value for each stage, by name; one for each entry is needed, and no other."""
    reader.mapping(_PATH, list(readings), "`terminal`")
    found = {name: readings[name].terminal((*_PATH, name)) for name in readings if name in raw}
    for name in entries if known else ():
        if name not in raw:
            message = f"no terminal value for {name}, which households enter after the last period"
            reader.missing("terminal", message, _PATH, f"terminal: {{{name}: 0}}")
    for name in found if known else ():
        if name not in entries:
            message = f"no household enters {name} after the last period"
            reader.warning("unused", message, (*_PATH, name), "drop this terminal value", key=True)
    return found
