"""What `solve` promises: gradients, one compilation for many calibrations, and transformations of every kind."""

import logging
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))
from models import BUFFER


@pytest.fixture(scope="module")
def circuit():
    return sc.load(BUFFER)


@pytest.fixture(scope="module")
def probe(circuit):
    """A number that every parameter moves."""

    def probe(parameters):
        solved = sc.solve(circuit.with_parameters(parameters))
        sol = solved[2]["CONS"].dcsn.sol
        return sol.value(m=1.7) + 3 * sol.policy["c"](m=2.9) + solved[1]["CONS"].arvl.sol.marginal["a"](a=0.4)

    return probe


def shifted(parameters, path, h):
    scope, name = path
    value = parameters[scope][name]
    return {**parameters, scope: {**parameters[scope], name: value + h * jnp.ones_like(value)}}


PATHS = [("main", "beta"), ("main", "R"), ("CONS", "gamma"), ("CONS", "sigma_y"), ("CONS", "G"), ("CONS", "floor")]


@pytest.fixture(scope="module")
def gradient(circuit, probe):
    return jax.jit(jax.grad(probe))(circuit.parameters)


@pytest.fixture(scope="module")
def compiled(probe):
    return jax.jit(probe)


@pytest.mark.parametrize("path", PATHS, ids=lambda p: ".".join(p))
def test_the_gradient_is_the_central_difference(circuit, compiled, gradient, path):
    gaps = []
    for h in (1e-4, 1e-5):
        up, down = (compiled(shifted(circuit.parameters, path, s * h)) for s in (1, -1))
        exact = float(jnp.sum(gradient[path[0]][path[1]]))
        gaps.append(abs((float(up) - float(down)) / (2 * h) / exact - 1))
    assert abs(exact) > 1e-3 and min(gaps) < 1e-6


def test_one_age_alone_has_its_own_derivative(circuit, compiled, gradient):
    h, value = 1e-5, circuit.parameters["CONS"]["G"]
    for t in (3, 9):
        step = jnp.zeros_like(value).at[t].set(h)
        moved = [
            compiled({**circuit.parameters, "CONS": {**circuit.parameters["CONS"], "G": value + s * step}}) for s in (1, -1)
        ]
        np.testing.assert_allclose(
            gradient["CONS"]["G"][t], (float(moved[0]) - float(moved[1])) / (2 * h), rtol=1e-6, atol=1e-9
        )


def test_forward_mode_agrees_with_reverse_mode(circuit, probe, gradient):
    rng = np.random.default_rng(0)
    tangent = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), circuit.parameters)
    _, forward = jax.jvp(jax.jit(probe), (circuit.parameters,), (tangent,))
    reverse = sum(jnp.sum(g * t) for g, t in zip(jax.tree.leaves(gradient), jax.tree.leaves(tangent), strict=True))
    np.testing.assert_allclose(forward, reverse, rtol=1e-10)


def test_vmap_agrees_with_a_loop(circuit, compiled):
    betas = jnp.array([0.9, 0.93, 0.96])
    many = lambda b: compiled({**circuit.parameters, "main": {**circuit.parameters["main"], "beta": b}})
    np.testing.assert_allclose(jax.jit(jax.vmap(many))(betas), [many(b) for b in betas], rtol=1e-12)


def test_plain_jit_takes_and_returns_a_circuit(circuit):
    inside, outside = jax.jit(sc.solve)(circuit), sc.solve(circuit)
    for a, b in zip(jax.tree.leaves(inside.stored), jax.tree.leaves(outside.stored), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(outside))


def compilations(caplog, work) -> list[str]:
    """What JAX compiles during `work`, by its own log."""
    caplog.clear()
    with jax.log_compiles(), caplog.at_level(logging.DEBUG, logger="jax"):
        work()
    return [r.getMessage() for r in caplog.records if "ompiling" in r.getMessage()]


@pytest.mark.filterwarnings("ignore")
def test_new_values_compile_nothing(caplog):
    """Nor does another load of the same text, or of one with other default values."""
    other = BUFFER.replace("beta: 0.95", "beta: 0.91").replace("value: 2.0", "value: 3.5").replace("30: 1.02", "30: 1.05")
    other = other.replace("top: 20.0", "top: 25.0")

    def work(text=BUFFER, **parameters):
        circuit = sc.load(text).with_parameters(parameters)
        solved = sc.solve(circuit)
        solved[3]["CONS"].dcsn.sol.value(m=jnp.array([1.0, 2.0]))
        solved[11]["CONS"].cntn.sol.value(a_nxt=0.5)
        sc.euler_errors(solved, sc.simulate(solved, {"a": 0.0}, agents=50, key=jax.random.key(0)))

    jax.clear_caches()
    assert compilations(caplog, work)
    assert not compilations(caplog, work)
    assert not compilations(caplog, lambda: work(**{"main.beta": 0.9, "CONS.G": np.ones(12)}))
    assert not compilations(caplog, lambda: work(other))


def test_programs_do_not_grow_with_the_horizon():
    def lines(horizon):
        circuit = sc.load(BUFFER.replace("horizon: 12", f"horizon: {horizon}"))
        return jax.jit(sc.solve).lower(circuit).as_text().count("\n")

    assert lines(60) == lines(600)


def test_a_solution_is_asked_by_name(circuit):
    sol = sc.solve(circuit)[0]["CONS"].dcsn.sol
    m = jnp.linspace(0.5, 3, 6).reshape(2, 3)
    assert sol.policy["c"](m=m).shape == sol.value(m=m).shape == (2, 3)
    with pytest.raises(ValueError, match="called with m; x given"):
        sol.value(x=1.0)
    with pytest.raises(KeyError, match="there are c"):
        sol.policy["k"]


def test_periods_and_stages_outside_the_circuit_are_refused(circuit):
    assert circuit[-1].t == 11 and len(circuit) == 12
    with pytest.raises(IndexError, match="period 12 of a circuit with periods 0 to 11"):
        circuit[12]
    with pytest.raises(KeyError, match="there are CONS"):
        circuit[0]["COST"]


def test_the_seven_parts_of_a_stage(circuit):
    stage = circuit[0]["CONS"]
    assert [p.name for p in (stage.arvl, stage.dcsn, stage.cntn)] == ["arvl", "dcsn", "cntn"]
    assert (stage.arvl.dimensions, stage.dcsn.dimensions, stage.cntn.dimensions) == (("a",), ("m",), ("a_nxt",))
    movers = (stage.arvl_to_dcsn, stage.dcsn_to_cntn, stage.cntn_to_dcsn, stage.dcsn_to_arvl)
    assert [m.name for m in movers] == ["arvl_to_dcsn", "dcsn_to_cntn", "cntn_to_dcsn", "dcsn_to_arvl"]
    assert not stage.dcsn.sol


def test_a_mover_solves_a_stage_from_its_continuation(circuit):
    stage = sc.solve(circuit)[4]["CONS"]
    decision = stage.cntn_to_dcsn(stage.cntn.sol)
    m = jnp.array([0.7, 1.4, 6.0])
    np.testing.assert_allclose(decision.value(m=m), stage.dcsn.sol.value(m=m), rtol=1e-12)
    np.testing.assert_allclose(stage.dcsn_to_arvl(decision).value(a=m), stage.arvl.sol.value(a=m), rtol=1e-12)


def test_a_period_is_built_once_however_often_one_looks(circuit):
    solved, other = sc.solve(circuit), sc.solve(circuit.with_parameters({"main.beta": 0.9}))
    assert solved[2] is solved[2] and solved[-10] is solved[2]
    assert other[2] is not solved[2]
    assert float(other[2]["CONS"].dcsn.sol.policy["c"](m=2.0)) > float(solved[2]["CONS"].dcsn.sol.policy["c"](m=2.0))
    # What is looked at while something is traced is of no use to anybody else.
    jax.jit(lambda x: x * solved[4]["CONS"].dcsn.sol.value(m=2.0))(1.0)
    assert np.isfinite(float(solved[4]["CONS"].dcsn.sol.value(m=2.0)))


def test_tracing_never_writes_the_text_of_a_circuit(monkeypatch):
    """JAX writes the text of the functions that it scans; that of a circuit is long and costs at every trace."""

    def text(self):
        raise AssertionError("the text of a circuit was written while it was traced")

    monkeypatch.setattr(sc.ModelCircuit, "__repr__", text)
    initial, key = {"a": 0.5}, jax.random.key(0)

    def work(circuit):
        solved = sc.solve(circuit)
        return sc.push_forward(solved, initial).dists, sc.simulate(solved, initial, agents=3, key=key)

    jax.eval_shape(work, sc.load(BUFFER.replace("horizon: 12", "horizon: 7")))
