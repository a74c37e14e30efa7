"""Where values must be stored: on the way from one period into the next and straight on into the one after it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from heptapod.circuit.connections import Link
from heptapod.circuit.nodes import Nodes
from heptapod.circuit.periods import Block, Graph
from heptapod.parsing.reader import Path, Reader
from heptapod.problem.numeric_problem import NumericProblem
from heptapod.stage.homes import homes


class _Parts(NamedTuple):
    """What of a model says where its states live."""

    stages: tuple[NumericProblem, ...]
    links: tuple[Link, ...]
    borrowed: tuple[tuple[str, str, int, str], ...]


def stored_where_needed(
    reader: Reader,
    nums: Mapping[str, NumericProblem],
    graph: Graph,
    blocks: tuple[Block, ...],
    nodes: Nodes,
    places: Mapping[str, Path],
) -> dict[str, NumericProblem]:
    """The stages, those that must keep their values on arrival made to do so; one that has no grid for them is an error.

    A stage without a continuous control is composed where it is asked. Where a chain of such stages leads from the beginning
    of a period to its end nothing would ever be stored, and one of them keeps its values: the first whose states all have
    values from finite sets, since nothing is lost there, else the first with grids of its own, or grids of states that are
    the same.

    **Arguments:** `blocks`: none after an error; `places`: of the stages' `math:`.
    """
    nums = dict(nums)
    while (chain := next(_open(nums, blocks), None)) is not None:
        found = homes(_Parts(tuple(nums.values()), graph.links, nodes.borrowed()))
        fit = [name for name in chain if None not in found[name].values()]
        if not fit:
            _nowhere(reader, chain, found[chain[0]], places[chain[0]])
            break
        name = min(fit, key=lambda name: (_rank(name, found[name]), chain.index(name)))
        nums[name] = replace(
            nums[name], spaces=tuple((p, replace(s, tabulate=s.tabulate or p == "arvl")) for p, s in nums[name].spaces)
        )
    return nums


def _open(nums, blocks) -> Iterator[tuple[str, ...]]:
    """Chains of stages, none of which stores anything, from an arrival that the period before asks to the next period."""
    for block in blocks:
        for entry in dict.fromkeys(link.target for other in blocks for link in other.links if link.crosses):
            if entry in block.stages:
                yield from _chains(nums, block, (entry,))
    if not any(num.stored for num in nums.values()):
        yield from ((name,) for block in blocks[:1] for name in block.stages)


def _chains(nums, block, before):
    name = before[-1]
    if nums[name].stored:
        return
    for link in (block.following(name, branch.name) for branch in nums[name].branches):
        if link.crosses:
            yield before
        else:
            yield from _chains(nums, block, (*before, link.target))


def _rank(name, found):
    """0 where all values are from finite sets, 1 where the stage has grids of its own, 2 where others lend theirs."""
    if all(grid.discrete for _, _, grid in found.values()):
        return 0
    return 1 if all((owner, perch) == (name, "arvl") for owner, perch, _ in found.values()) else 2


def _nowhere(reader, chain, found, place):
    bare = [name for name, home in found.items() if home is None]
    names = " and ".join(f"`{name}`" for name in bare)
    way = " -> ".join((*chain, "the next period"))
    message = f"{way}: no stage on this way keeps its values, so those of {chain[0]} are kept on arrival (arvl), and {names} " \
              f"has no grid there, nor has a post-state that it comes from"  # fmt: skip
    reader.error(
        "grid",
        message,
        (*place, "state_space"),
        f"arvl: {{grid: {{{bare[0]}: {{min: ..., max: ..., points: ...}}}}}}",
        key=True,
    )
