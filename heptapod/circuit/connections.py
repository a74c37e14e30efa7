"""Connections: which stage follows which continuation, in which periods, and under what names."""

from dataclasses import dataclass

from heptapod.circuit.link_parts import End, read_constants, read_pairs, read_periods, read_source, read_target
from heptapod.circuit.survival import read_survival
from heptapod.errors import ANY
from heptapod.formulas.formula import Formula
from heptapod.parsing.kinds import kind
from heptapod.parsing.reader import Path, Reader
from heptapod.spaces.perch_space import continuation


@dataclass(frozen=True)
class Link:
    """A forward connection; the backward one is its transpose.

    **Attributes:**

    - `source`, `branch`: the continuation it leaves, the branch `""` for a sequential stage; `target`: the stage it enters.
    - `mapping`: (name in the continuation, name on the target's arrival) pairs.
    - `constants`: (arrival state, formula in the source's parameters) pairs.
    - `crosses`: whether it leads to the next period.
    - `periods`: (first, last) ranges of periods in which it holds; `None` for all.
    - `survival`: the share of households that it carries, a formula in the source's parameters, controls, and the keys of its
      decision states and post-states; `None` for all.
    """

    source: str
    target: str
    mapping: tuple[tuple[str, str], ...]
    branch: str = ""
    constants: tuple[tuple[str, Formula], ...] = ()
    crosses: bool = True
    periods: tuple[tuple[int, int], ...] | None = None
    survival: Formula | None = None

    def holds(self, t: int) -> bool:
        """Whether the connection is there in period `t`."""
        return self.periods is None or any(first <= t <= last for first, last in self.periods)

    @property
    def end(self) -> str:
        """The continuation as it is written, `LABR.work`, or `CONS`."""
        return f"{self.source}.{self.branch}" if self.branch else self.source


def read_links(reader: Reader, ends: dict[str, End | None], periods: int | None) -> tuple[tuple[tuple[Link, Path], ...], bool]:
    """All connections with their places, and whether these are all: what leads where may be in error, or how often.

    A model of one stage leads to itself where nothing is written.

    **Arguments:** `ends`: by stage, `None` for one that cannot be read.
    """
    base = ("model", "connections")
    block = reader.block(base, "`connections`")
    found, known = [], not reader.poisoned((*base, ANY))
    if len(ends) == 1 and block.get("inter_period") is None and base not in reader.poison:
        ((name, end),) = ends.items()
        for branch in end.branches or ("",) if end is not None else ():
            found.append((_link(reader, ends, ("model",), (name, branch), name, {}, None), ("model",)))
    for group in ("intra_period", "inter_period"):
        entries = block.get(group)
        if entries is not None and not isinstance(entries, list):
            message = f"`{group}` must be a list of connections, found {kind(entries)}"
            known = reader.error("type", message, (*base, group), "- {source: A, target: B}")
            continue
        for i in range(len(entries or ())):
            path = (*base, group, i)
            link = _entry(reader, ends, path, group == "inter_period", periods)
            known = known and link is not None and link.periods != () and path not in reader.poison
            found.append((link, path))
    return tuple((link, path) for link, path in found if link is not None), bool(known)


def _entry(reader, ends, path, crosses, periods):
    block = reader.block(path, "a connection")
    if not block:
        return reader.missing("type", "an empty connection", path, "- {source: A, target: B}")
    if isinstance(block.get("direction"), str) and block["direction"].lower() == "backward":
        return reader.error("direction", "only forward connections are written; the backward one is the transpose",
                            (*path, "direction"), "drop this connection", key=True)  # fmt: skip
    if "direction" in block:
        reader.word((*path, "direction"), ("forward",), "`direction`", "forward")
        reader.note("older", "`direction: forward` says nothing: every connection is", (*path, "direction"))
    source, target = read_source(reader, ends, path), read_target(reader, ends, path)
    ranges = read_periods(reader, (*path, "periods"), periods)
    if source is None or target is None:
        return None
    if not crosses and source[0] == target:
        return reader.error("cycle", f"`{target}` would follow itself within a period", (*path, "target"),
                            "an inter_period connection leads to the next period")  # fmt: skip
    return _link(reader, ends, path, source, target, block, ranges, crosses)


def _link(reader, ends, path, source, target, block, ranges, crosses=True):
    """Pair every arrival state of the target with a post-state of the source, or with a constant."""
    name, branch = source
    perch = continuation(branch)
    supplied, needed = ends[name].dimensions(perch), ends[target].dimensions("arvl")
    if not supplied or not needed:
        return Link(name, target, (), branch, crosses=crosses, periods=ranges)
    scope, before = ends[name].scope, reader.collector.count
    mapping = reader.mapping((*path, "mapping"), None, "`mapping`")
    constants = read_constants(reader, scope, path, mapping, needed)
    pairs = read_pairs(reader, path, mapping, (ends[name], perch), (ends[target], target))
    good = reader.collector.count == before
    given = [to for _, to in pairs] + [to for to, _ in constants]
    missing = [n for n in needed if n not in given]
    shown = sorted({mapping.get(n, n) if isinstance(mapping.get(n, n), str) else n for n in supplied})
    # A dimension that is written differently elsewhere is told there.
    poison = scope.poison & {*missing, *supplied, *mapping} | ends[target].scope.poison & {*missing, *shown}
    if missing and good and not poison:
        message = f"arrival of {target} needs {missing}; {name}.{perch} supplies {shown}"
        reader.missing("mapping", message, path, f"e.g. mapping: {{{supplied[0]}: {missing[0]}}}")
    dropped = [n for n in supplied if n not in [here for here, _ in pairs]]
    if dropped and good and not missing:
        listed = ", ".join(f"`{n}`" for n in dropped)
        message = f"{listed} of {name}.{perch} ends here: the arrival of {target} does not take it"
        reader.note("dropped", message, path, key=False)
    survival = read_survival(reader, ends[name], branch, (*path, "survival"), crosses)
    return Link(name, target, pairs, branch, constants, crosses, ranges, survival)
