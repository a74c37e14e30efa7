"""A circuit board: its graphs, its orders, and what is pulled and pushed through it."""

import dataclasses
import functools
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import networkx as nx
import numpy as np
import pytest

from stagecraft.board.circuit_board import CircuitBoard, pull, push, validate

matplotlib.use("Agg")


class Discount(eqx.Module):
    beta: float

    def __call__(self, sol):
        return self.beta * sol


def mean(sol):
    return sol.mean()


def move(matrix, dist, sol):
    del sol  # No policy in a linear circuit.
    return dist @ matrix


def expect(matrix, sol):
    return matrix @ sol


def stage(beta=0.9):
    return CircuitBoard(
        ["arvl", "dcsn", "cntn"],
        forward=[("arvl", "dcsn"), ("dcsn", "cntn")],
        backward=[("cntn", "dcsn", Discount(beta)), ("dcsn", "arvl", mean)],
    )


def linear(seed, n=7):
    """A random acyclic circuit of stochastic matrices, every backward mover the transpose of a forward one."""
    rng = np.random.default_rng(seed)
    names = [f"p{i}" for i in rng.permutation(n)]
    pairs = [(names[i], names[j]) for i in range(n) for j in range(i + 1, n) if j == i + 1 or rng.random() < 0.3]
    matrices = {pair: rng.dirichlet(np.ones(3), 3) for pair in pairs}
    return CircuitBoard(
        sorted(names),
        forward=[(s, t, functools.partial(move, matrices[s, t])) for s, t in pairs],
        backward=[(t, s, functools.partial(expect, matrices[s, t])) for s, t in pairs],
        joins={name: lambda *sols: sum(sols) for name in names[:-1]},
    )


def test_a_stage_is_eulerian():
    board = stage()
    assert board.is_eulerian
    assert nx.is_eulerian(board.combined_graph)
    assert not CircuitBoard(board.perches, forward=board.forward).is_eulerian


def test_an_isolated_perch_is_on_no_closed_walk():
    board = CircuitBoard(["a", "b", "alone"], forward=[("a", "b")], backward=[("b", "a")])
    assert not board.is_eulerian


def test_the_backward_graph_of_a_stage_is_the_transpose_of_its_forward_graph():
    board = stage()
    assert isinstance(board.forward_graph, nx.DiGraph)
    assert set(board.backward_graph.edges) == set(board.forward_graph.reverse().edges)
    assert set(board.combined_graph.edges) == set(board.forward_graph.edges) | set(board.backward_graph.edges)
    assert board.forward_graph.edges["arvl", "dcsn"] == {"forward": "arvl_to_dcsn"}
    assert (board.forward_order, board.backward_order) == (("arvl", "dcsn", "cntn"), ("cntn", "dcsn", "arvl"))


@pytest.mark.parametrize("seed", range(5))
def test_orders_are_topological(seed):
    board = linear(seed)
    for graph, order in ((board.forward_graph, board.forward_order), (board.backward_graph, board.backward_order)):
        rank = {name: i for i, name in enumerate(order)}
        assert sorted(order) == sorted(board.perches)
        assert all(rank[source] < rank[target] for source, target in graph.edges)


def test_all_faults_of_a_graph_are_told_at_once():
    with pytest.raises(ValueError) as caught:
        CircuitBoard(
            ["arvl", "dcsn", "cntn", "cntn"],
            forward=[("arvl", "dcns"), ("arvl", "dcsn"), ("arvl", "dcsn"), ("dcsn", "arvl")],
            backward=[("arvl", "dcsn")],
            joins={"nowhere": max},
        )
    message = str(caught.value)
    for fault in (
        "perch `cntn` is declared twice",
        "forward mover `arvl_to_dcns`: `dcns` is not a perch; did you mean `dcsn`?",
        "forward mover arvl -> dcsn is declared twice",
        "several movers are called `arvl_to_dcsn`",
        "`joins`: `nowhere` is not a perch",
        "forward cycle: arvl -> dcsn -> arvl",
    ):
        assert fault in message


def test_cycles_and_orphans_are_named():
    board = CircuitBoard(["a", "b", "c", "alone"], forward=[("b", "c"), ("c", "a"), ("a", "b")], backward=[("c", "c")])
    with pytest.raises(ValueError, match=r"(?s)forward cycle: a -> b -> c -> a\..*backward cycle: c -> c.*`alone` is an"):
        validate(board)
    with pytest.raises(ValueError, match="no forward order.*\n.*a -> b -> c -> a"):
        _ = board.forward_order
    assert validate(stage()) is not None


def test_a_board_without_perches_is_refused():
    with pytest.raises(ValueError, match="it has no perch"):
        CircuitBoard([])


@pytest.mark.parametrize("item", ["ab", ("a",), ("a", "b", None, "name", 5), 3])
def test_what_is_not_a_mover_is_refused(item):
    with pytest.raises(ValueError, match=r"A mover is `\(source, target"):
        CircuitBoard(["a", "b"], forward=[item])


def test_operators_must_be_callable_and_hashable():
    with pytest.raises(ValueError, match="mover `a_to_b`: expected a callable"):
        CircuitBoard(["a", "b"], forward=[("a", "b", 3.0)])

    @dataclasses.dataclass
    class Mutable:
        size: int

        def __call__(self, sol):
            return sol

    with pytest.raises(ValueError, match="mover `b_to_a`: unhashable type.*must be hashable"):
        CircuitBoard(["a", "b"], backward=[("b", "a", Mutable(1))])


def test_perches_and_movers_may_be_objects():
    perches = [SimpleNamespace(name="b", sol=3.0, dist=None), SimpleNamespace(name="a", sol=None, dist=None, group="A")]
    board = CircuitBoard(perches, backward=[SimpleNamespace(source="b", target="a", operator=Discount(0.5), name="fall")])
    assert (board.groups, board.backward[0].name) == ((None, "A"), "fall")
    assert pull(board).sol["a"] == 1.5


def test_values_are_discounted_and_averaged():
    solved = pull(stage(0.9), {"cntn": jnp.array([1.0, 3.0])})
    assert jnp.allclose(solved.sol["dcsn"], jnp.array([0.9, 2.7]))
    assert jnp.allclose(solved.sol["arvl"], 1.8)


def test_a_board_is_not_changed_by_its_verbs():
    board = stage()
    pull(board, {"cntn": 1.0})
    assert board.sol == {} and board.dist == {}


def test_two_branches_join_by_the_maximum_in_the_order_listed():
    branches = [("work", "dcsn", Discount(1.0)), ("retire", "dcsn", Discount(0.5))]
    ends = {"work": jnp.array([1.0, 2.0]), "retire": jnp.array([3.0, 3.0])}
    joined = CircuitBoard(["dcsn", "work", "retire"], backward=branches, joins={"dcsn": jnp.maximum})
    assert jnp.array_equal(pull(joined, ends).sol["dcsn"], jnp.array([1.5, 2.0]))
    listed = CircuitBoard(["dcsn", "work", "retire"], backward=branches, joins={"dcsn": lambda w, r: w - r})
    assert jnp.array_equal(pull(listed, ends).sol["dcsn"], jnp.array([-0.5, 0.5]))


def test_masses_add_up_where_they_meet_unless_a_merge_says_otherwise():
    movers = [(source, "end", functools.partial(move, jnp.eye(2))) for source in ("a", "b")]
    given = {"a": jnp.array([0.2, 0.1]), "b": jnp.array([0.3, 0.4])}
    assert jnp.allclose(push(CircuitBoard(["a", "b", "end"], forward=movers), given).dist["end"], 0.5)
    stacked = CircuitBoard(["a", "b", "end"], forward=movers, merges={"end": lambda *dists: jnp.stack(dists)})
    assert push(stacked, given).dist["end"].shape == (2, 2)
    with pytest.raises(ValueError, match=r"arrive at `end` are not arrays of one shape.*merges="):
        push(CircuitBoard(["a", "b", "end"], forward=[(s, "end", lambda d, _: (d,)) for s in "ab"]), given)


def test_everything_missing_for_a_run_is_told_at_once():
    board = CircuitBoard(
        ["start", "one", "two", "end"],
        backward=[("end", "one"), ("end", "two", mean), ("one", "start", mean), ("two", "start", mean)],
    )
    with pytest.raises(ValueError) as caught:
        pull(board, {"one": 1.0})
    for fault in (
        "no mover brings a sol to `end`; give it, pull(board, {'end': ...})",
        "`one` is given a sol that `end_to_one` would overwrite",
        "mover `end_to_one` has no operator",
        "`one_to_start`, `two_to_start` all bring a sol to `start`; say how they join",
    ):
        assert fault in str(caught.value)
    with pytest.raises(ValueError, match="`ende` is not a perch; did you mean `end`?"):
        pull(board, {"ende": 1.0})
    with pytest.raises(ValueError, match="sol of `end`: 'text' is not an array"):
        pull(board, {"end": "text"})


def test_an_error_in_an_operator_names_its_mover():
    with pytest.raises(TypeError) as caught:
        pull(CircuitBoard(["a", "b"], backward=[("b", "a", lambda sol: sol + None)]), {"b": 1.0})
    assert caught.value.__notes__ == ["in the mover `b_to_a` (b -> a)"]
    with pytest.raises(ValueError, match="mover `b_to_a` .* returned nothing"):
        pull(CircuitBoard(["a", "b"], backward=[("b", "a", lambda sol: None)]), {"b": 1.0})


@pytest.mark.parametrize("seed", range(5))
def test_pulling_is_the_adjoint_of_pushing(seed):
    board = linear(seed)
    rng = np.random.default_rng(seed)
    origins = [name for name, degree in board.forward_graph.in_degree if degree == 0]
    ends = [name for name, degree in board.forward_graph.out_degree if degree == 0]
    mu, v = ({name: rng.random(3) for name in names} for names in (origins, ends))
    pulled, pushed = pull(board, v).sol, push(board, mu).dist
    assert jnp.allclose(sum(pulled[n] @ mu[n] for n in origins), sum(v[n] @ pushed[n] for n in ends), rtol=1e-13)


def test_a_forward_mover_reads_the_policy_where_it_starts():
    board = CircuitBoard(["dcsn", "cntn"], forward=[("dcsn", "cntn", lambda dist, sol: dist * sol["share"])])
    assert push(board.with_sol({"dcsn": {"share": 0.25}}), {"dcsn": 2.0}).dist["cntn"] == 0.5


def test_gradients_in_operators_and_terminal_values_equal_central_differences():
    def value(beta, end):
        return pull(stage(beta), {"cntn": jnp.array([end, end**2])}).sol["arvl"]

    h = 1e-6
    by_beta, by_end = jax.grad(value, argnums=(0, 1))(0.9, 1.7)
    assert jnp.allclose(by_beta, (value(0.9 + h, 1.7) - value(0.9 - h, 1.7)) / (2 * h), rtol=1e-8)
    assert jnp.allclose(by_end, (value(0.9, 1.7 + h) - value(0.9, 1.7 - h)) / (2 * h), rtol=1e-8)


def test_the_gradient_of_a_board_is_a_board():
    board = CircuitBoard(
        ["a", "b", "c"],
        backward=[("b", "a", Discount(0.5)), ("c", "a", Discount(2.0))],
        joins={"a": functools.partial(lambda weight, x, y: weight * x + (1 - weight) * y, 0.25)},
    )
    gradient = jax.grad(lambda b: pull(b, {"b": 4.0, "c": 1.0}).sol["a"])(board)
    assert jnp.allclose(gradient.operators["b_to_a"].beta, 0.25 * 4.0)
    assert jnp.allclose(gradient.joins["a"].args[0], 0.5 * 4.0 - 2.0 * 1.0)


def test_new_values_reuse_one_trace_and_a_fresh_lambda_does_not():
    traces = []

    @jax.jit
    def solve(board, end):
        traces.append(1)
        return pull(board, {"cntn": end}).sol["arvl"]

    for beta in (0.9, 0.8, jnp.asarray(0.7), np.float64(0.6)):
        assert jnp.allclose(solve(stage(beta), jnp.ones(2)), beta)
    assert len(traces) == 1
    assert hash(jax.tree.structure(stage(0.9))) == hash(jax.tree.structure(stage(0.8)))
    for _ in range(2):
        solve(CircuitBoard(["cntn", "arvl"], backward=[("cntn", "arvl", lambda sol: sol.sum())]), jnp.ones(2))
    assert len(traces) == 3


def test_a_batch_of_circuits_equals_a_loop():
    ends, betas = jnp.arange(6.0).reshape(3, 2), jnp.array([0.9, 0.8, 0.7])
    batch = jax.jit(jax.vmap(lambda beta, end: pull(stage(beta), {"cntn": end}).sol["arvl"]))(betas, ends)
    one_by_one = [pull(stage(beta), {"cntn": end}).sol["arvl"] for beta, end in zip(betas, ends, strict=True)]
    assert jnp.allclose(batch, jnp.stack(one_by_one))
    boards = jax.vmap(pull, in_axes=(None, 0))(stage(), {"cntn": ends})
    assert boards.sol["dcsn"].shape == (3, 2)


def test_a_board_fits_a_screen():
    text = repr(linear(0, n=30))
    assert "(30 in all)" in text and len(text.splitlines()) == 6


def test_the_example_solves_both_ways_and_its_gradients_are_right():
    path = Path(__file__).parents[2] / "examples" / "circuitCraft" / "main.py"
    spec = importlib.util.spec_from_file_location("circuit_craft", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.main()
    for name, derivative in found["gradient"].items():
        assert jnp.allclose(derivative, found["difference"][name], rtol=1e-6), name
    assert jnp.allclose(*found["duality"], rtol=1e-13)
    assert found["board"].is_eulerian
    assert jnp.allclose(sum(found["board"].dist[end].sum() for end in ("work", "retire")), 1.0, rtol=1e-13)
    assert (path.parent / "output" / "circuit.png").stat().st_size > 10_000
