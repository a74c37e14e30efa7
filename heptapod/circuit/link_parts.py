"""What a connection says: its ends, the periods in which it holds, the names and constants that it hands on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from heptapod.errors import ANY, did_you_mean
from heptapod.formulas.formula import Formula
from heptapod.parsing.kinds import kind
from heptapod.parsing.reader import Path, Reader
from heptapod.stage.equations import Equations
from heptapod.stage.scope import StageScope

_RANGE = re.compile(r"^\s*(-?\d+)?\s*\.\.\s*(-?\d+)?\s*$")


@dataclass(frozen=True)
class End:
    """A stage as connections see it.

    **Attributes:** `scope`; `branches`: their names; `poisoned`: whether these are in error; `equations`: `None` if they are.
    """

    scope: StageScope
    branches: tuple[str, ...]
    poisoned: bool = False
    equations: Equations | None = None

    def dimensions(self, perch: str) -> tuple[str, ...]:
        """The dimensions of a perch, none where they are not known."""
        space = self.scope.spaces.get(perch)
        return () if space is None or self.scope.perch_poisoned(perch) else space.dimensions


def read_source(reader: Reader, ends: Mapping[str, End | None], path: Path) -> tuple[str, str] | None:
    """(stage, branch) of `LABR.work`, `CONS.cntn` or `CONS`; `None` after an error."""
    written, place = reader.get((*path, "source")), (*path, "source")
    if written is None:
        return reader.missing("reference", "a connection needs its `source`, a stage or STAGE.branch", path)
    name, _, branch = str(written).partition(".")
    end = ends[name] if _known(reader, ends, name, written, place) else None
    if end is None:
        return None
    branches = end.branches
    if not branches and branch in ("", "cntn"):
        return name, ""
    branch = branch.removeprefix("cntn.")
    if branch in branches:
        return name, branch
    if end.poisoned:
        return None
    known = ", ".join(f"{name}.{b}" for b in branches)
    what = f"stage {name} branches" if branch in ("", "cntn") else f"stage {name} has no branch `{branch}`"
    near = did_you_mean(branch, branches)
    return reader.error("reference", what, place, near or (f"one of {known}" if known else f"write `{name}`"),
                        about=f"branch {branch}" if branch else None)  # fmt: skip


def read_target(reader: Reader, ends: Mapping[str, End | None], path: Path) -> str | None:
    """The stage that is entered; `None` after an error."""
    written, place = reader.get((*path, "target")), (*path, "target")
    if written is None:
        return reader.missing("reference", "a connection needs its `target`, a stage", path)
    name = str(written).removesuffix(".arvl")
    return name if _known(reader, ends, name, written, place) else None


def _known(reader, ends, name, written, place):
    """Whether a stage is there and could be read."""
    if isinstance(written, str) and name in ends:
        return ends[name] is not None
    if not isinstance(written, str):
        reader.error("reference", f"the name of a stage is needed, found {kind(written)}", place)
    elif ANY not in ends:
        base = name.partition(".")[0]
        help = f"a connection enters `{base}` at its arrival" if base in ends else did_you_mean(name, ends)
        reader.error("reference", f"no stage `{name}`", place, help or f"the stages are {', '.join(ends)}",
                     about=f"stage {name}")  # fmt: skip
    return False


def read_periods(reader: Reader, path: Path, periods: int | None) -> tuple[tuple[int, int], ...] | None:
    """Ranges of periods: a number, `0..44`, `45..`, or a list of these; none after an error."""
    node = reader.get(path)
    if node is None:
        return None
    items = [((*path, i), x) for i, x in enumerate(node)] if isinstance(node, list) else [(path, node)]
    top, out, help, before = (periods or 1) - 1, [], "a number, `0..44`, `45..`, or a list of these", reader.collector.count
    if periods is None:
        reader.error("periods", "an infinite horizon has no numbered periods", path, "drop `periods:`", key=True)
        return ()
    if not items:
        reader.error("periods", "the list of periods is empty", path, help)
    for place, item in items:
        match = _RANGE.match(item) if isinstance(item, str) else None
        if isinstance(item, int) and not isinstance(item, bool):
            first = last = item
        elif match and (match[1] or match[2]):
            first, last = int(match[1] or 0), top if match[2] is None else int(match[2])
        else:
            shown = f"`{item}`" if isinstance(item, str) else kind(item)
            reader.error("periods", f"{shown} is not a range of periods", place, help)
            continue
        if first > last and first <= top:
            reader.error("periods", f"`{item}` ends before it begins", place, help)
        elif not 0 <= first <= last <= top:
            reader.error("periods", f"`{item}` is not within the periods 0 to {top}", place, "periods count from 0")
        else:
            out.append((first, last))
    return tuple(out) if reader.collector.count == before else ()


def read_pairs(
    reader: Reader, path: Path, mapping: Mapping, source: tuple[End, str], target: tuple[End, str]
) -> tuple[tuple[str, str], ...]:
    """(post-state, arrival state) pairs: those written, then equal names.

    **Arguments:** `source`: an end and its perch; `target`: an end and its name.
    """
    (left, perch), (entered, name_of_target) = source, target
    supplied, needed, whose = left.dimensions(perch), entered.dimensions("arvl"), f"{left.scope.name}.{perch}"
    written = {str(n): str(to) for n, to in mapping.items() if isinstance(to, str)}
    constant = {n for n, to in mapping.items() if not isinstance(to, str)}
    constant |= set(reader.mapping((*path, "set"), None, "`set`"))
    reached: set[str] = set()
    for name, to in written.items():
        place = (*path, "mapping", name)
        if name not in supplied:
            if not left.scope.slots.poisoned(name):
                reader.error("mapping", f"`{name}` is not a dimension of {whose} ({', '.join(supplied)})", place,
                             did_you_mean(name, supplied), key=True)  # fmt: skip
        elif to not in needed:
            if not entered.scope.slots.poisoned(to):
                message = f"`{to}` is not a dimension of the arrival of {name_of_target} ({', '.join(needed)})"
                reader.error("mapping", message, place, did_you_mean(to, needed))
        elif to in reached:
            reader.error("mapping", f"two states are mapped to `{to}`", place, "one state, one source")
        elif to in constant:
            reader.error("mapping", f"`{to}` is mapped to and set to a constant", place, "one of them")
        reached.add(to)
    pairs = [(n, written[n]) for n in supplied if n in written]
    pairs += [(n, n) for n in supplied if n not in written and n in needed and n not in reached | constant]
    return tuple(pairs)


def read_constants(
    reader: Reader, scope: StageScope, path: Path, mapping: Mapping, needed: tuple[str, ...]
) -> tuple[tuple[str, Formula], ...]:
    """`set: {H: 0}`, and numbers in `mapping:`, which are read as such."""
    places = [((*path, "set", n), n) for n in reader.mapping((*path, "set"), None, "`set`")]
    for name, value in mapping.items():
        place = (*path, "mapping", name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            reader.note("older", f"`{name}: {value}` is read as `set: {{{name}: {value}}}`", place)
            places.append((place, name))
        elif not isinstance(value, str):
            reader.error("mapping", f"`{name}` is mapped to {kind(value)}, and to no name", place, "mapping: {a_nxt: a}")
    found = []
    for place, name in places:
        if name not in needed:
            reader.error("mapping", f"`{name}` is not a dimension of the arrival ({', '.join(needed)})", place,
                         did_you_mean(str(name), needed), key=True)  # fmt: skip
            continue
        slot = reader.slot(place, scope.slots)
        if slot is not None:
            found.append((str(name), slot))
    return tuple(found)
