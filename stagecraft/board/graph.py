"""Bare graphs of names: orders, cycles, orphans and what else is wrong with them.

A board is anything with `perches`, `groups`, and `forward` and `backward` tuples of `Edge`.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import networkx as nx


class Edge(NamedTuple):
    """A mover as the graph sees it: its name, and the perches it leads from and to."""

    name: str
    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"


def refuse(summary: str, faults: list[str]) -> None:
    if faults:
        raise ValueError(f"{summary}:\n" + "\n".join(f"  - {fault}" for fault in faults))


def strangers(board: Any, names: Iterable[tuple[str, str]]) -> list[str]:
    """What to say of every (name, place) that names no perch of the board."""
    # heptapod brings sympy, which whoever builds a board by hand need not import.
    from heptapod.errors import did_you_mean

    others = f"the perches are {', '.join(board.perches)}."
    return [
        f"{place}: `{name}` is not a perch; {did_you_mean(str(name), board.perches) or others}"
        for name, place in names
        if name not in board.perches
    ]


def misnamed(board: Any) -> list[str]:
    """Endpoints that do not exist, and whatever is declared twice."""
    found = [] if board.perches else ["it has no perch."]
    found += [f"perch `{name}` is declared twice." for name, times in Counter(board.perches).items() if times > 1]
    kinds = {"forward": board.forward, "backward": board.backward}
    ends = [(end, f"{kind} mover `{edge.name}`") for kind in kinds for edge in kinds[kind] for end in edge[1:]]
    pairs = Counter((kind, edge[1:]) for kind in kinds for edge in kinds[kind])
    twice = [f"{kind} mover {' -> '.join(pair)} is declared twice." for (kind, pair), times in pairs.items() if times > 1]
    names = Counter(edge.name for _, edge in dict.fromkeys((kind, edge) for kind in kinds for edge in kinds[kind]))
    shared = [f"several movers are called `{name}`; give names." for name, times in names.items() if times > 1]
    return found + strangers(board, ends) + twice + shared


def faults(board: Any) -> list[str]:
    """Cycles and orphans."""
    touched = {end for edge in board.forward + board.backward for end in edge[1:]}
    orphans = [f"perch `{name}` is an orphan: no mover touches it." for name in board.perches if name not in touched]
    return cycles(board, "forward") + cycles(board, "backward") + orphans


def in_order(names: Iterable[str], pairs: Iterable[tuple[str, str]]) -> tuple[list[str], bool]:
    """Names so that every pair points onward, ties as declared, and whether that was possible.

    Where only cycles are left the first name goes next; there the drawing of a cycle begins.
    """
    before = {name: {source for source, target in pairs if target == name} for name in names}
    order, acyclic = [], True
    while before:
        ready = [name for name, sources in before.items() if not sources & before.keys()]
        acyclic = acyclic and bool(ready)
        for name in ready or list(before)[:1]:
            order.append(name)
            del before[name]
    return order, acyclic


def ordered(board: Any, kind: str) -> tuple[str, ...]:
    refuse(f"There is no {kind} order", cycles(board, kind))
    return tuple(in_order(board.perches, [edge[1:] for edge in getattr(board, kind)])[0])


def cycles(board: Any, kind: str) -> list[str]:
    pairs = [edge[1:] for edge in getattr(board, kind)]
    if in_order(board.perches, pairs)[1]:
        return []
    import networkx as nx

    rank = {name: i for i, name in enumerate(board.perches)}
    rings = islice(nx.simple_cycles(nx.DiGraph(pairs)), 8)
    firsts = [(cycle, cycle.index(min(cycle, key=lambda name: rank.get(name, 0)))) for cycle in rings]
    return [f"{kind} cycle: {' -> '.join(cycle[i:] + cycle[: i + 1])}." for cycle, i in firsts]


def digraph(board: Any, *kinds: str) -> "nx.DiGraph":
    import networkx as nx

    graph = nx.DiGraph()
    for perch, group in zip(board.perches, board.groups, strict=True):
        graph.add_node(perch, group=group)
    for kind in kinds:
        for edge in getattr(board, kind):
            graph.add_edge(edge.source, edge.target, **{kind: edge.name})
    return graph
