"""Kinds of period: which stages are reached when, in which order, and what lies downstream of each."""

import graphlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from heptapod.circuit.connections import Link
from heptapod.parsing.reader import Path, Reader


@dataclass(frozen=True)
class Block:
    """Consecutive periods of one kind.

    **Attributes:** `first`, `last`; `stages`: names in forward order; `links`: those that hold, inside and onward.
    """

    first: int
    last: int
    stages: tuple[str, ...]
    links: tuple[Link, ...]

    def following(self, stage: str, branch: str) -> Link:
        """The connection that leaves a continuation."""
        return next(link for link in self.links if (link.source, link.branch) == (stage, branch))

    @property
    def entries(self) -> tuple[str, ...]:
        """Stages at which a period of this kind may begin: none inside leads there, or one from the period before does."""
        inner = {link.target for link in self.links if not link.crosses}
        onward = {link.target for link in self.links if link.crosses}
        return tuple(name for name in self.stages if name not in inner or name in onward)

    @property
    def backward(self) -> tuple[str, ...]:
        """The names, each after those that it leads to; where that leaves a choice the alphabet decides, and not the file."""
        sorter, order = graphlib.TopologicalSorter(dict.fromkeys(self.stages, ())), []
        for link in self.links:
            if not link.crosses:
                sorter.add(link.source, link.target)
        sorter.prepare()
        while sorter.is_active():
            ready = sorted(sorter.get_ready())
            order += ready
            sorter.done(*ready)
        return tuple(order)


@dataclass(frozen=True)
class Graph:
    """All connections of a model, and where households begin.

    **Attributes:** `branches`: of every stage; `links` with their `places`; `periods`: `None` for an infinite horizon;
    `start`: the stages named by `start:`.
    """

    reader: Reader
    branches: Mapping[str, tuple[str, ...]]
    links: tuple[Link, ...]
    places: tuple[Path, ...]
    periods: int | None
    start: tuple[str, ...]

    def blocks(self) -> tuple[Block, ...]:
        """The kinds of period in order; mistakes are collected."""
        if not self._acyclic():
            return ()
        found, reached, t = [], set(self.starts()), 0
        last = (self.periods or 1) - 1
        while t <= last:
            links = [link for link in self.links if link.holds(t)]
            stages, onward = self._walk(reached, links)
            block = Block(t, t, stages, tuple(link for link in links if link.source in stages))
            if not self._complete(block):
                return ()  # Every later period would tell the same.
            if found and (found[-1].stages, found[-1].links) == (block.stages, block.links):
                block = Block(found.pop().first, t, block.stages, block.links)
            # Nothing changes before the next range of periods begins or ends, once the entries repeat themselves.
            stop = min((edge for edge in self._edges() if edge > t), default=last + 1) - 1 if onward == reached else t
            found.append(Block(block.first, max(t, stop), block.stages, block.links))
            t, reached = max(t, stop) + 1, onward
            if self.periods is None and not onward <= set(stages):
                reached, t, found = set(stages) | onward, 0, []
        self._all_reached(found)
        return tuple(found) if self._one_start() else ()

    def starts(self) -> tuple[str, ...]:
        """Where households begin: the stage named, or those that nothing inside the first period leads to."""
        if self.start:
            return self.start
        now = [link for link in self.links if link.holds(0)]
        inner, leaving = {link.target for link in now if not link.crosses}, {link.source for link in now}
        roots = tuple(name for name in self.branches if name not in inner and name in leaving)
        return roots or tuple(self.branches)[:1]

    def downstream(self, stage: str) -> frozenset[str]:
        """Every stage that some household may pass after this one, itself among them where it comes round again."""
        arrows = [(link.source, link.target) for link in self.links]
        return frozenset(_reached({target for source, target in arrows if source == stage}, arrows))

    def _edges(self) -> Iterable[int]:
        return {edge for link in self.links for first, last in link.periods or () for edge in (first, last + 1)}

    def _walk(self, reached, links):
        """Stages of a period in forward order, and the entries of the next one."""
        arrows = [(link.source, link.target) for link in links if not link.crosses]
        stages, order = _reached(reached, arrows), []
        sorter = graphlib.TopologicalSorter(dict.fromkeys(stages, ()))
        for source, target in arrows:
            if source in stages:
                sorter.add(target, source)
        sorter.prepare()
        while sorter.is_active():
            ready = sorter.get_ready()
            order += [name for name in self.branches if name in ready]
            sorter.done(*ready)
        return tuple(order), {link.target for link in links if link.crosses and link.source in stages}

    def _acyclic(self):
        """No stage follows itself within a period."""
        places = {(link.source, link.target): place for link, place in zip(self.links, self.places, strict=True)
                  if not link.crosses}  # fmt: skip
        sorter = graphlib.TopologicalSorter()
        for source, target in places:
            sorter.add(target, source)
        try:
            sorter.prepare()
        except graphlib.CycleError as error:
            ring = error.args[1]
            first = next(i for i, pair in enumerate(places) if pair in itertools.pairwise(ring))
            source, target = list(places)[first]
            i = ring.index(source)
            shown = " -> ".join([*ring[i:-1], *ring[:i], source])
            self.reader.error("cycle", f"within a period {shown}", places[source, target],
                              "one of these connections leads to the next period", key=True)  # fmt: skip
            return False
        return True

    def _one_start(self):
        """Several stages that nothing leads to in the first period, and none named: a stage forgotten looks the same."""
        if len(self.starts()) == 1 or self.start:
            return True
        names = ", ".join(self.starts())
        self.reader.error("start", f"nothing in the first period leads to {names}; which of them is the start?", ("model",),
                          f"start: {self.starts()[0]}, or a list of several", key=True)  # fmt: skip
        return False

    def _complete(self, block):
        """Every continuation that is reached leads to exactly one place."""
        lost, good = [], True
        for name in block.stages:
            for branch in self.branches[name] or ("",):
                out = [link for link in block.links if (link.source, link.branch) == (name, branch)]
                if not out:
                    lost.append((name, branch))
                elif len(out) > 1:
                    good = self._forked(out, block.first)
        return self._nowhere(lost, block.first) if lost else good

    def _forked(self, out, t):
        """One continuation, several connections."""
        targets, place = " and to ".join(link.target for link in out), self.places[self.links.index(out[1])]
        message = f"{out[0].end} leads to {targets}{self._when(t)}"
        return bool(self.reader.error("connection", message, place, "one continuation leads to one place"))

    def _nowhere(self, lost, t):
        """Continuations without a connection; a range of periods that ends too early is the place, where there is one."""
        ends = [f"{name}.{branch}" if branch else name for name, branch in lost]
        pairs = zip(self.links, self.places, strict=True)
        ranges = [place for link, place in pairs if (link.source, link.branch) in lost and link.periods is not None]
        place = (*ranges[-1], "periods") if ranges else ("model", "connections")
        help = "ranges that leave no period out" if ranges else f"- {{source: {ends[0]}, target: ...}}"
        message = f"{', '.join(ends)} lead{'s' * (len(ends) == 1)} nowhere{self._when(t)}"
        return bool(self.reader.error("connection", message, place, help, key=not ranges))

    def _when(self, t):
        return "" if self.periods is None else f" in period {t}"

    def _all_reached(self, blocks):
        """Every stage is reached in some period; of those that only hang on another such stage nothing is said."""
        reached = {name for block in blocks for name in block.stages}
        lost = [name for name in self.branches if blocks and name not in reached]
        inner = {link.target for link in self.links if link.source in lost and link.source != link.target}
        start = " or ".join(self.starts())
        for name in [n for n in lost if n not in inner] or lost[:1]:
            pairs = zip(self.links, self.places, strict=True)
            place = next((place for link, place in pairs if name in (link.source, link.target)), None)
            where = ("stages", name) if place is None else place
            self.reader.error("unreachable", f"stage {name} is never reached from {start}", where, "connect it, or drop it",
                              key=place is None)  # fmt: skip


def _reached(start: Iterable[str], arrows: Iterable[tuple[str, str]]) -> set[str]:
    """Some stages, and all to which arrows lead from them."""
    found, new = set(), set(start)
    while new:
        found |= new
        new = {target for source, target in arrows if source in new} - found
    return found
