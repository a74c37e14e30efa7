"""What stands on every perch of a board once every mover of one of its graphs has run."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from stagecraft.board.graph import cycles, refuse
from stagecraft.board.user_function import UserFunction


def run(board, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """By perch its `sol`, or its `dist`; a `ValueError` lists what is missing, or one too many."""
    pulled = kind == "sol"
    edges, user = (board.backward, board._joins) if pulled else (board.forward, board._merges)
    arrivals = {perch: [edge for edge in edges if edge.target == perch] for perch in board.perches}
    refuse(f"The board cannot be {'pulled' if pulled else 'pushed'}", _gaps(board, kind, edges, arrivals, given))
    filled = dict(getattr(board, kind))
    for perch in board.backward_order if pulled else board.forward_order:
        arrived = []
        for edge in arrivals[perch]:
            policy = () if pulled else (board.sol.get(edge.source),)
            operator = board._operators[edge.name]
            arrived.append(_call_user(operator, f"mover `{edge.name}` ({edge})", filled[edge.source], *policy))
        if arrived and perch in user:
            filled[perch] = _call_user(user[perch], f"{'join' if pulled else 'merge'} of `{perch}`", *arrived)
        elif arrived:
            filled[perch] = arrived[0] if pulled else _sum_of(perch, arrived)
    return filled


def _gaps(board, kind: str, edges: tuple, arrivals: Mapping[str, list], given: Iterable[str]) -> list[str]:
    """What is missing, or one too many, for a run."""
    verb = "pull" if kind == "sol" else "push"
    bare = dict.fromkeys(e.source for e in edges if not arrivals[e.source] and e.source not in getattr(board, kind))
    faults = [f"no mover brings a {kind} to `{perch}`; give it, {verb}(board, {{'{perch}': ...}})." for perch in bare]
    faults += [f"`{p}` is given a {kind} that `{arrivals[p][0].name}` would overwrite." for p in given if arrivals[p]]
    faults += [f"mover `{edge.name}` has no operator." for edge in edges if edge.name not in board._operators]
    faults += cycles(board, "backward" if kind == "sol" else "forward")
    for perch, into in arrivals.items():
        if kind == "sol" and len(into) > 1 and perch not in board._joins:
            names = ", ".join(f"`{edge.name}`" for edge in into)
            faults.append(f"{names} all bring a sol to `{perch}`; say how they join: joins={{'{perch}': jnp.maximum}}.")
    return faults


def _call_user(user: UserFunction, place: str, *carried: Any) -> Any:
    try:
        result = user.function(*carried)
    except Exception as error:
        # An error in the user's own function keeps its type and gains its place.
        error.add_note(f"in the {place}")
        raise
    if result is None:
        raise ValueError(f"The {place} returned nothing; it must return what the perch is to hold.")
    return result


def _sum_of(perch: str, dists: list) -> Any:
    alike = all(eqx.is_array_like(dist) and jnp.shape(dist) == jnp.shape(dists[0]) for dist in dists)
    if len(dists) > 1 and not alike:
        raise ValueError(
            f"The distributions that arrive at `{perch}` are not arrays of one shape, so they do not add up by "
            f"themselves; give merges={{'{perch}': ...}}."
        )
    return functools.reduce(jnp.add, dists) if alike else dists[0]
