"""Observations filled up to the sizes of others, so that one program serves both."""

import jax.numpy as jnp
import numpy as np

from dynx_runner.estimation.arrays import Data, StageArrays

_ROOM = 1.03  # What has grown is given some room, so that it does not grow again with the next sample.


def padded(data: Data, like: Data) -> Data:
    """The same observations with as many rows of each stage as `like` has, or some more than they have themselves.

    Rows beside them are copies of the first one that belong to no unit.
    """
    if len(data.weights) != len(like.weights):
        return data
    stages = tuple(_stage(x, y, len(data.weights)) for x, y in zip(data.stages, like.stages, strict=True))
    if data.sequence is None or like.sequence is None:
        return data._replace(stages=stages)
    # Rows are counted over all stages.
    ends = np.cumsum([len(x.t) for x in data.stages])
    shift = np.cumsum([0, *[len(new.t) - len(old.t) for old, new in zip(data.stages, stages, strict=True)]])
    place = np.asarray(data.sequence)
    moved = np.where(place >= 0, place + shift[np.searchsorted(ends, place, side="right")], -1)
    more = max(like.sequence.shape[1] - moved.shape[1], 0)
    sequence = np.pad(moved, ((0, 0), (0, more)), constant_values=-1)
    return data._replace(stages=stages, sequence=jnp.asarray(sequence))


def _size(own: int, other: int) -> int:
    return other if own <= other else int(np.ceil(_ROOM * own))


def _stage(rows: StageArrays, like: StageArrays, units: int) -> StageArrays:
    count = _size(len(rows.t), len(like.t))
    more = count - len(rows.t)
    copies = lambda x: jnp.concatenate([x, jnp.broadcast_to(x[:1], (more,))])
    fill = lambda x, value: jnp.concatenate([x, jnp.full((more,), value, x.dtype)])
    tables = tuple(_table(x, y, len(rows.t), count) for x, y in zip(rows.tables, like.tables, strict=True))
    values = {name: copies(x) for name, x in rows.values.items()}
    return StageArrays(copies(rows.t), fill(rows.unit, units), fill(rows.via, -1), fill(rows.before, 0), values, tables)


def _table(own, like, old: int, count: int):
    """Periods and their rows, `count` in place of `old` where there is none; with the periods that only the other has."""
    (periods, table), (others, wide) = ((np.asarray(x) for x in pair) for pair in (own, like))
    periods, place = (others, np.searchsorted(others, periods)) if np.isin(periods, others).all() else (periods, slice(None))
    found = np.full((len(periods), _size(table.shape[1], wide.shape[1])), count)
    found[place, : table.shape[1]] = np.where(table < old, table, count)
    return jnp.asarray(periods), jnp.asarray(found)
