"""Any graph of perches and movers: values are pulled backward through it, distributions are pushed forward.

A mover is written `(source, target)`, `(source, target, operator)` or `(source, target, operator, name)` and belongs to
one of two graphs. A backward operator turns the `sol` of its source into that of its target, `operator(sol) -> sol`; a
forward one turns a `dist` into a `dist` and may read the policy kept where it starts, `operator(dist, sol) -> dist`.

**What compiles again.** Arrays and Python floats inside operators (fields of an `equinox.Module`, arguments of a
`functools.partial`) are leaves: new values reuse a compilation and have gradients. All else is static, and a plain
function is compared by identity, so a board handed to a jitted function compiles anew for every fresh lambda. Define
functions once, at module level, or build the board inside the jitted function.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax

from stagecraft.board.graph import Edge, digraph, faults, misnamed, ordered, refuse, strangers
from stagecraft.board.run import run
from stagecraft.board.user_function import UserFunction, as_array

if TYPE_CHECKING:
    import networkx as nx


class CircuitBoard(eqx.Module):
    """A graph of perches and movers with what stands on it: `sol` and `dist` by perch, an operator by mover.

    Immutable and a pytree: `jit`, `grad` and `vmap` pass through `pull` and `push`. Cycles and orphans are legal until
    an order is needed (the picture of an infinite horizon has a cycle); `validate` names them.

    **Arguments:**

    - `perches`: names, or objects with a `name` and perhaps `sol`, `dist` and `group`.
    - `forward`, `backward`: the movers of each graph: tuples as above, or objects with `source`, `target` and
      perhaps `operator` and `name`. The default name is `"{source}_to_{target}"`. Without operator: drawn, not run.
    - `joins`: `{perch: join}`, `join(*sols) -> sol` of what backward movers bring, in the order they are listed
      (`jnp.maximum`, a log-sum). No default where several arrive: the values of two branches do not add up.
    - `merges`: `{perch: merge}`, `merge(*dists) -> dist` of what forward movers bring. By default distributions that
      are arrays of one shape (masses on the same cells) add up; anything richer needs a merge.
    - `groups`: `{perch: group}`, such as the stage it belongs to; drawn as a box.

    **Raises:** `ValueError` that lists every unknown perch and every duplicate.
    """

    perches: tuple[str, ...] = eqx.field(static=True)
    forward: tuple[Edge, ...] = eqx.field(static=True)
    backward: tuple[Edge, ...] = eqx.field(static=True)
    groups: tuple[str | None, ...] = eqx.field(static=True)
    sol: dict[str, Any]
    dist: dict[str, Any]
    _operators: dict[str, UserFunction]
    _joins: dict[str, UserFunction]
    _merges: dict[str, UserFunction]

    def __init__(
        self,
        perches: Iterable,
        *,
        forward: Iterable = (),
        backward: Iterable = (),
        joins: Mapping[str, Callable] | None = None,
        merges: Mapping[str, Callable] | None = None,
        groups: Mapping[str, str] | None = None,
    ):
        perches, forward, backward = list(perches), [_mover(m) for m in forward], [_mover(m) for m in backward]
        joins, merges, groups = joins or {}, merges or {}, groups or {}
        self.perches = tuple(perch if isinstance(perch, str) else perch.name for perch in perches)
        self.forward, self.backward = (tuple(edge for edge, _ in movers) for movers in (forward, backward))
        named = {"joins": joins, "merges": merges, "groups": groups}
        unknown = strangers(self, [(name, f"`{kind}`") for kind, names in named.items() for name in names])
        wrong = misnamed(self) + unknown
        refuse("The board is not a graph", wrong and wrong + faults(self))
        given = dict(zip(self.perches, perches, strict=True))
        self.groups = tuple(groups.get(name, getattr(perch, "group", None)) for name, perch in given.items())
        self.sol = _by_perch(self, "sol", {name: getattr(perch, "sol", None) for name, perch in given.items()})
        self.dist = _by_perch(self, "dist", {name: getattr(perch, "dist", None) for name, perch in given.items()})
        operators = {edge.name: operator for edge, operator in forward + backward if operator is not None}
        self._operators = {name: UserFunction(operator, f"mover `{name}`") for name, operator in operators.items()}
        self._joins = {perch: UserFunction(join, f"join of `{perch}`") for perch, join in joins.items()}
        self._merges = {perch: UserFunction(merge, f"merge of `{perch}`") for perch, merge in merges.items()}

    @property
    def operators(self) -> dict[str, Callable]:
        """The operators by mover; on a board of gradients, the gradients stand in their fields."""
        return {name: held.function for name, held in self._operators.items()}

    @property
    def joins(self) -> dict[str, Callable]:
        """The joins by perch; on a board of gradients, the gradients stand in their fields."""
        return {perch: held.function for perch, held in self._joins.items()}

    def with_sol(self, sol: Mapping[str, Any]) -> "CircuitBoard":
        """The board with `sol` put on the perches named; numbers become arrays, `None` takes a `sol` away."""
        return eqx.tree_at(lambda b: b.sol, self, _by_perch(self, "sol", {**self.sol, **sol}), is_leaf=_is_dict)

    def with_dist(self, dist: Mapping[str, Any]) -> "CircuitBoard":
        """The board with `dist` put on the perches named; numbers become arrays, `None` takes a `dist` away."""
        return eqx.tree_at(lambda b: b.dist, self, _by_perch(self, "dist", {**self.dist, **dist}), is_leaf=_is_dict)

    @property
    def forward_order(self) -> tuple[str, ...]:
        """Perches in the order in which distributions reach them, ties as declared; `ValueError` names the cycles."""
        return ordered(self, "forward")

    @property
    def backward_order(self) -> tuple[str, ...]:
        """Perches in the order in which values reach them, ties as declared; `ValueError` names the cycles."""
        return ordered(self, "backward")

    @property
    def forward_graph(self) -> "nx.DiGraph":
        """A new networkx graph of the forward movers: nodes carry `group`, edges `forward`, the mover's name."""
        return digraph(self, "forward")

    @property
    def backward_graph(self) -> "nx.DiGraph":
        """A new networkx graph of the backward movers: nodes carry `group`, edges `backward`, the mover's name."""
        return digraph(self, "backward")

    @property
    def combined_graph(self) -> "nx.DiGraph":
        """Both graphs in one; an edge along which a forward and a backward mover run has both names."""
        return digraph(self, "forward", "backward")

    @property
    def is_eulerian(self) -> bool:
        """Whether one closed walk crosses every mover exactly once and meets every perch.

        Euler's condition: all perches hang together, and as many movers leave each as reach it. A stage is the smallest
        example, arvl -> dcsn -> cntn -> dcsn -> arvl; so is any connected board whose backward movers are the
        transposes of its forward ones. Two movers that run side by side count as two.
        """
        import networkx as nx

        graph = nx.MultiDiGraph([edge[1:] for edge in self.forward + self.backward])
        graph.add_nodes_from(self.perches)
        return nx.is_eulerian(graph)

    def __repr__(self) -> str:
        def row(kind: str) -> str:
            words = [str(word) for word in getattr(self, kind)]
            more = f", … ({len(words)} in all)" if len(words) > 8 else ""
            return f"  {kind:<9}{', '.join(words[:8]) or 'none'}{more}"

        return "\n".join(["CircuitBoard", *map(row, ("perches", "forward", "backward", "sol", "dist"))])


def pull(board: CircuitBoard, sol: Mapping[str, Any] | None = None) -> CircuitBoard:
    """Pull values backward: from the terminal perches, every mover fills the perch it reaches.

    **Arguments:**

    - `board`: operators on all backward movers, a join wherever several arrive.
    - `sol`: `{perch: pytree of arrays}` for the terminals, the perches that backward movers only leave; may be left out
      where the board already carries it.

    **Returns:** the board with `sol` on every perch reached; differentiable in `sol` and in the operators.

    **Raises:** `ValueError` listing cycles, terminals without `sol`, movers without operator, perches without join.
    """
    board = board.with_sol(sol or {})
    return board.with_sol(run(board, "sol", sol or {}))


def push(board: CircuitBoard, dist: Mapping[str, Any] | None = None) -> CircuitBoard:
    """Push distributions forward: from the origins, every mover carries its part on.

    A forward operator is given the `sol` of the perch it leaves (`None` if there is none): the policy lives there. A
    perch that several forward movers leave hands its whole `dist` to each, and each takes what goes its way.

    **Arguments:**

    - `board`: operators on all forward movers; pulled before, if they read policies.
    - `dist`: `{perch: pytree of arrays}` for the origins, the perches that forward movers only leave; may be left out
      where the board already carries it.

    **Returns:** the board with `dist` on every perch reached; differentiable in `dist`, `sol` and the operators.

    **Raises:** `ValueError` listing cycles, origins without `dist`, movers without operator; or naming a perch where
    the distributions that arrive neither add up nor have a merge.
    """
    board = board.with_dist(dist or {})
    return board.with_dist(run(board, "dist", dist or {}))


def validate(board: CircuitBoard) -> CircuitBoard:
    """Return the board if neither graph has a cycle and every perch has a mover.

    **Arguments:** `board`: solved or not.

    **Returns:** the same board, so that it can be handed on.

    **Raises:** `ValueError` naming every orphan, and the cycles as `a -> b -> a` (at most eight of each graph).
    """
    refuse("The board is not a circuit", faults(board))
    return board


def _mover(item: Any) -> tuple[Edge, Callable | None]:
    if hasattr(item, "source") and hasattr(item, "target"):
        item = (item.source, item.target, getattr(item, "operator", None), getattr(item, "name", None))
    if not isinstance(item, tuple | list) or not 2 <= len(item) <= 4:
        raise ValueError(f"A mover is `(source, target, operator, name)`, the last two if need be; found {item!r}.")
    source, target = item[:2]
    operator, name = (*item[2:], None, None)[:2]
    return Edge(name or f"{source}_to_{target}", source, target), operator


def _by_perch(board: CircuitBoard, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    refuse(f"No such perch for {kind}", strangers(board, [(name, f"`{kind}`") for name in data]))
    strange = {name: [x for x in jax.tree.leaves(tree) if not eqx.is_array_like(x)] for name, tree in data.items()}
    faults = [f"{kind} of `{name}`: {leaves[0]!r} is not an array." for name, leaves in strange.items() if leaves]
    refuse("Perches hold pytrees of arrays", faults)
    return {name: jax.tree.map(as_array, tree) for name, tree in data.items() if tree is not None}


def _is_dict(node: Any) -> bool:
    return isinstance(node, dict)
