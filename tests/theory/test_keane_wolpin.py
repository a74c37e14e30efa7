"""Careers over few years: values, what nobody can have done, and derivatives, against recursion by hand in NumPy."""

import functools
import importlib.util
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc
from stagecraft.backward import tabulate

EXAMPLE = Path(__file__).parents[2] / "examples" / "keane_wolpin" / "main.py"
NODES = 3
BEGIN = (10, 0, 0, 1)


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("keane_wolpin", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_hand(p: dict, horizon: int):
    """The expected maximum at (t, s, x1, x2, enrolled), a recursion over what can follow."""
    x, w = np.polynomial.hermite_e.hermegauss(NODES)
    z = np.array(list(itertools.product(x, repeat=4))).T
    weights = np.prod(np.array(list(itertools.product(w / w.sum(), repeat=4))), axis=1)
    mixed = lambda rho, a, b: rho * a + np.sqrt(1 - rho**2) * b
    e1, e2 = p["sd_one"] * z[0], p["sd_two"] * mixed(p["rho_wages"], z[0], z[1])
    e3, e4 = p["sd_school"] * z[2], p["sd_home"] * mixed(p["rho_tastes"], z[2], z[3])

    @functools.cache
    def value(t, s, x1, x2, enrolled):
        if t == horizon:
            return 0.0
        log1 = (
            p["one0"]
            + p["one_s"] * s
            + p["one_own"] * x1
            + p["one_own2"] * x1**2
            + p["one_other"] * x2
            + p["one_other2"] * x2**2
        )
        log2 = (
            p["two0"]
            + p["two_s"] * s
            + p["two_own"] * x2
            + p["two_own2"] * x2**2
            + p["two_other"] * x1
            + p["two_other2"] * x1**2
        )
        after = lambda *state: p["beta"] * value(t + 1, *state)
        worth = [
            np.exp(log1 + e1) + after(s, x1 + 1, x2, 0),
            np.exp(log2 + e2) + after(s, x1, x2 + 1, 0),
            p["home"] + e4 + after(s, x1, x2, 0),
        ]
        if s < 20:
            school = p["school"] + p["college"] * (s >= 12) + p["back"] * (1 - enrolled)
            worth.append(school + e3 + after(s + 1, x1, x2, 1))
        return float(weights @ np.max(worth, axis=0))

    return value


def numbers(circuit) -> dict[str, float]:
    return {name: float(x) for name, x in circuit.parameters["main"].items()}


def hold_by_hand(circuit, horizon):
    """Every state that somebody can have reached has the value that a recursion finds, and no other is feasible."""
    solved, exact = sc.solve(circuit), by_hand(numbers(circuit), horizon)
    for t in range(horizon):
        states = np.array(list(itertools.product(range(10, 21), range(horizon), range(horizon), (0, 1))), float)
        answer = solved[t]["CAREER"].arvl.sol.at(**dict(zip(("s", "x1", "x2", "enrolled"), states.T, strict=True)))
        lived = states[:, 0] - 10 + states[:, 1] + states[:, 2] <= t
        np.testing.assert_array_equal(answer.feasible, lived)
        found = [exact(t, *map(int, state)) for state in states[lived]]
        np.testing.assert_allclose(np.asarray(answer.value)[lived], found, rtol=1e-12)


def test_values_are_those_of_a_recursion_by_hand(example):
    hold_by_hand(example.load(2, (NODES, NODES), 3), 3)


@pytest.mark.slow
def test_in_blocks_values_are_the_same_and_have_derivatives(example, monkeypatch):
    """Blocks of states with all their draws, of which those that nobody has reached are passed over."""
    monkeypatch.setattr(tabulate, "WHOLE", 0)
    monkeypatch.setitem(tabulate.BLOCK, "cpu", 4 * NODES**4 * 2)
    circuit = example.load(3, (NODES, NODES), 4)
    hold_by_hand(circuit, 4)

    def begin(parameters):
        solved = sc.solve(circuit.with_parameters({"main": parameters}))
        return solved[0]["CAREER"].arvl.sol.value(**dict(zip(("s", "x1", "x2", "enrolled"), map(float, BEGIN), strict=True)))

    own = numbers(circuit)
    slopes = jax.jit(jax.grad(begin))(circuit.parameters["main"])
    for name, x in own.items():
        step = 1e-6 * max(abs(x), 1e-2)
        up, down = (by_hand({**own, name: x + h}, 4)(0, *BEGIN) for h in (step, -step))
        assert float(slopes[name]) == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-5), name


@pytest.mark.slow
def test_smoothed_shares_have_the_derivatives_of_differences(example, monkeypatch):
    hard, soft = "choice: {by: agent}", "choice: {by: agent, taste_shock: gumbel, scale: 2000}"
    assert hard in example.MODEL
    monkeypatch.setattr(example, "MODEL", example.MODEL.replace(hard, soft))
    circuit = example.load(2, (2, 2), 3)

    def shares(parameters):
        pushed = sc.push_forward(sc.solve(circuit.with_parameters({"main": parameters})), example.BEGIN)
        last = pushed[2]["CAREER"]
        return jnp.stack([last.cntn[name].dist.mass for name in example.CHOICES])

    shares, own = jax.jit(shares), circuit.parameters["main"]
    assert np.asarray(shares(own)).sum() == pytest.approx(1.0)
    slopes = jax.jit(jax.jacfwd(shares))(own)
    for name, x in own.items():
        step = 1e-5 * max(abs(float(x)), 1e-2)
        up, down = (np.asarray(shares({**own, name: x + h})) for h in (step, -step))
        exact = (up - down) / (2 * step)
        np.testing.assert_allclose(slopes[name], exact, atol=1e-5 * max(np.abs(exact).max(), 1e-12), rtol=1e-5, err_msg=name)
