"""Observations as arrays that a compiled likelihood takes, and the static plan of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dynx_runner.estimation import adapter
from dynx_runner.estimation.frame import Frame, Rows
from dynx_runner.estimation.plan import Seen, inverted_states


@dataclass(frozen=True)
class Chain:
    """A connection by which a row follows an earlier one: the position of that row's stage, its branch, and the link."""

    source: int
    branch: int
    link: Any


@dataclass(frozen=True)
class Plan:
    """What a likelihood is made of; static, so that estimators of one plan share their programs.

    **Attributes:** `stages`; `chains`: of each stage; `groups`: of each stage, the first period of every kind in which it is
    seen; `inverted`: of each stage the draws that are told from states, and these; `types`: how many there are, 0 without;
    `long`: whether a unit has several rows that hidden states connect.
    """

    stages: tuple[Seen, ...]
    chains: tuple[tuple[Chain, ...], ...]
    groups: tuple[tuple[int, ...], ...]
    inverted: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    types: int
    long: bool


class StageArrays(NamedTuple):
    """Rows of one stage: `via`: the position of the chain by which each follows row `before`, -1 for none; `tables`: of each
    group its periods, and the rows in each, as many as there are for none.
    """

    t: Int[Array, " rows"]
    unit: Int[Array, " rows"]
    via: Int[Array, " rows"]
    before: Int[Array, " rows"]
    values: dict[str, Float[Array, " rows"]]
    tables: tuple[tuple[Int[Array, " periods"], Int[Array, "periods width"]], ...]


class Data(NamedTuple):
    """All of it; `sequence`: the rows of each unit in order, counted over all stages, -1 for none."""

    stages: tuple[StageArrays, ...]
    weights: Float[Array, " units"]
    kinds: Int[Array, " units"] | None
    sequence: Int[Array, "units steps"] | None


def arranged(circuit, seen: tuple[Seen, ...], frame: Frame, transitions: bool) -> tuple[Plan, Data]:
    """The plan and the arrays of a frame."""
    dtype = next(iter(adapter.values(circuit).values())).dtype
    chained = frame.ordered and transitions
    chains, found = [], []
    for s in seen:
        rows = frame.rows[s.name]
        linked = s.law and not s.arrives and chained
        chains.append(_chains(circuit, seen, s, rows) if linked else ())
        found.append(_before(circuit, seen, chains[-1], rows, frame))
    inverted = tuple(inverted_states(circuit, s) if s.law else ((), ()) for s in seen)
    groups, tables = zip(*[_grouped(circuit, frame.rows[s.name]) for s in seen], strict=True)
    parts = []
    for s, (via, before), table in zip(seen, found, tables, strict=True):
        rows = frame.rows[s.name]
        values = {name: jnp.asarray(x, dtype) for name, x in rows.values.items()}
        parts.append(
            StageArrays(jnp.asarray(rows.t), jnp.asarray(rows.unit), jnp.asarray(via), jnp.asarray(before), values, table)
        )
    long = any(s.hidden for s in seen) and frame.ordered
    types = 0 if circuit.types is None else len(circuit.types)
    plan = Plan(seen, tuple(chains), groups, inverted, types, long)
    kinds = None if frame.kinds is None else jnp.asarray(frame.kinds)
    sequence = jnp.asarray(_sequence(seen, frame)) if long else None
    return plan, Data(tuple(parts), jnp.asarray(frame.weights, dtype), kinds, sequence)


def _chains(circuit, seen, stage: Seen, rows: Rows) -> tuple[Chain, ...]:
    """The connections that lead to a stage from others that are seen to decide."""
    times = np.unique(rows.t) if circuit.structure.horizon else [0]
    links = dict.fromkeys(link for t in times for link in adapter.links_to(circuit, stage.name, int(t)))
    found = []
    for link in links:
        for i, s in enumerate(seen):
            if s.name == link.source and s.decides and not (s.branches and not s.branch_seen):
                found.append(Chain(i, s.branches.index(link.branch) if s.branches else 0, link))
    return tuple(found)


def _before(circuit, seen, chains, rows: Rows, frame: Frame):
    """Of each row the chain by which it follows another, and that row; -1 where it follows none."""
    via, before = np.full(rows.t.shape, -1), np.zeros(rows.t.shape, int)
    for c, chain in enumerate(chains):
        source = seen[chain.source]
        earlier = frame.rows[source.name]
        known = np.ones(earlier.t.shape, bool)
        for name in source.of("option", "state"):
            known &= np.isfinite(earlier.values[name]) | (name in source.hidden)
        if source.branches:
            known &= earlier.values["branch"] == chain.branch
        holds = [chain.link.holds(int(t)) for t in earlier.t]
        step = int(chain.link.crosses)
        place = {
            (u, t + step): i
            for i, (u, t, k, h) in enumerate(zip(earlier.unit, earlier.t, known, holds, strict=True))
            if k and h
        }
        at = np.array([place.get(pair, -1) for pair in zip(rows.unit, rows.t, strict=True)], int)
        via[at >= 0], before[at >= 0] = c, at[at >= 0]
    del circuit
    return via, before


def _grouped(circuit, rows: Rows):
    """Periods of one kind together, with their rows."""
    times = rows.t if circuit.structure.horizon else np.zeros_like(rows.t)
    kinds: dict = {}
    for t in np.unique(times):
        kinds.setdefault(adapter.period_of(circuit, int(t)), []).append(int(t))
    groups, tables = [], []
    for kind, periods in kinds.items():
        inside = [np.flatnonzero(times == t) for t in periods]
        width = max(len(x) for x in inside)
        table = np.stack([np.pad(x, (0, width - len(x)), constant_values=len(times)) for x in inside])
        groups.append(adapter.first_of(circuit, kind))
        tables.append((jnp.asarray(periods), jnp.asarray(table)))
    return tuple(groups), tuple(tables)


def _sequence(seen, frame: Frame) -> np.ndarray:
    """The rows of each unit in the order of periods and stages."""
    unit = np.concatenate([frame.rows[s.name].unit for s in seen])
    t = np.concatenate([frame.rows[s.name].t for s in seen])
    stage = np.concatenate([np.full(frame.rows[s.name].t.shape, i) for i, s in enumerate(seen)])
    order = np.lexsort((stage, t, unit))
    place = np.arange(len(unit)) - np.searchsorted(unit[order], unit[order])
    table = np.full((len(frame.units), int(place.max()) + 1), -1)
    table[unit[order], place] = order
    return table


def missing_of(frame: Frame, stage: str) -> set[str]:
    """The variables of a stage that are not seen in some of its rows."""
    return {name for name, x in frame.rows[stage].values.items() if not np.isfinite(x).all()}


def check_mapping(what: str, given: Any) -> dict[str, tuple[str, ...]]:
    """`{"BUS": ["s", "d"]}` as tuples; `ValueError` for anything else."""
    if not isinstance(given, Mapping) or not given or any(isinstance(x, str) or not len(x) for x in given.values()):
        raise ValueError(f'{what} is {{"STAGE": ["s", "d"]}}: the variables that are seen, by stage; found {given!r}')
    return {stage: tuple(names) for stage, names in given.items()}
