"""Hours, spending and the like beside consumption: each solves its own condition, and the constrained branch is a curve."""

import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heptapod
import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))

from labour import KINDS, PARAMETERS, by_search, text

CASES = Path(__file__).parents[1] / "cases"
ASSETS = np.array([0.0, 0.02, 0.1, 0.3, 0.6, 1.0, 2.0, 4.0, 7.0, 10.0])
# Consumption and the other control; the search itself is as exact as the flat top of its objective lets it be.
NEAR = 1e-3
QUICK = ("log leisure", "saving")


def at(kind):
    """The decision's state at some assets."""
    m = PARAMETERS["R"] * ASSETS + (PARAMETERS["w"] if kind.startswith("spending") else 0.0)
    return {"a": ASSETS} if kind == "no g_av" else {"m": m}


def other_of(kind):
    return "x" if kind.startswith("spending") else "n"


@pytest.mark.parametrize("kind", [k if k in QUICK else pytest.param(k, marks=pytest.mark.slow) for k in KINDS])
def test_a_search_in_numpy_chooses_the_same(kind):
    circuit = sc.load(text(kind))
    assert circuit[0]["HH"].num.method == "egm"
    sol = sc.solve(circuit)[0]["HH"].dcsn.sol
    value, eaten, other, saved = by_search(kind, ASSETS)
    found = sol.at(**at(kind))
    np.testing.assert_allclose(found.value, value, atol=1e-5)
    np.testing.assert_allclose(found.policy[other_of(kind)], other, atol=NEAR)
    first, wanted = ("s", saved) if kind == "saving" else ("c", eaten)
    np.testing.assert_allclose(found.policy[first], wanted, atol=NEAR)
    if kind == "log leisure":  # The rich do not work at all, the poor do.
        assert found.policy["n"][-1] == 0 and found.policy["n"][0] > 0.3


def test_hours_reach_their_upper_bound_and_the_borrowing_limit_is_exact():
    """Where little is left all work as much as they may, and what is not saved is the budget to the last digit."""
    circuit = sc.load(text("isoelastic", values=PARAMETERS | {"psi": 0.8}))
    sol = sc.solve(circuit)[0]["HH"].dcsn.sol
    assert max(len(repr(x).splitlines()) for x in (sol, sol.rows, circuit.structure)) <= 12
    found = sol.at(m=jnp.linspace(-0.6, 3.0, 40))
    hours, p = found.policy["n"], PARAMETERS
    assert np.any(hours == 1.0) and np.any((hours > 0.5) & (hours < 1.0))
    left = jnp.linspace(-0.6, 3.0, 40) + p["lam"] * hours ** (1 - p["tau"]) - found.policy["c"]
    assert np.sum(np.abs(left) < 1e-14) > 3 and np.all(left > -1e-14)
    # The static condition: what an hour costs is what it earns, in consumption.
    inside = hours < 1.0
    gain = found.policy["c"] ** -p["gamma"] * p["lam"] * (1 - p["tau"]) * hours ** -p["tau"]
    np.testing.assert_allclose(gain[inside], 0.8 * hours[inside] ** p["phi"], rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["isoelastic", "cobb-douglas", "ghh", "saving", "spending"])
def test_gradients_are_central_differences(kind):
    """Of value and policies, on the constrained branch, inside, and in every parameter."""
    circuit, where = sc.load(text(kind, T=2, points=30)), {n: x[[0, 1, 4, 7]] for n, x in at(kind).items()}

    def told(parameters):
        found = sc.solve(circuit.with_parameters(parameters), throw=False)[0]["HH"].dcsn.sol.at(**where)
        return jnp.concatenate([found.value, *found.policy.values()])

    told = jax.jit(told)
    exact = jax.jit(jax.jacrev(told))(circuit.parameters)["main"]
    for name, value in circuit.parameters["main"].items():
        step = 1e-5 * max(1.0, abs(float(value)))
        moved = lambda s, name=name, value=value, step=step: told(
            {"main": {**circuit.parameters["main"], name: value + s * step}}
        )
        np.testing.assert_allclose(exact[name], (moved(1) - moved(-1)) / (2 * step), rtol=2e-4, atol=2e-4, err_msg=name)


@pytest.mark.slow
def test_one_stage_and_two_choose_the_same_for_ever():
    """The right values of hours and consumption, in one stage and with hours in a stage of their own."""
    one, two = ((CASES / f"{name}.yml").read_text() for name in ("13-labour-supply", "12-method-by-stopwatch"))
    assert not re.search(r"solution:", one + two)
    one, two = (t.replace("n_a: 200", "n_a: 500") for t in (one, two))
    solved = {name: sc.solve(sc.load(t)) for name, t in (("one", one), ("two", two))}
    assert [num.method for num in solved["two"].structure.stages] == ["egm", "egm"]
    assets = np.concatenate([[0.0], np.geomspace(0.02, 40.0, 40)])
    for z in solved["two"][0]["CONS"].dcsn.sol.axes[0].values:
        hours = solved["one"][0]["HH"].dcsn.sol.policy["n"](m=1.03 * assets, z=z)
        np.testing.assert_allclose(solved["two"][0]["WORK"].dcsn.sol.policy["n"](a=assets, z=z), hours, atol=2e-4)


def test_what_cannot_be_solved_beside_is_told_with_what_can():
    """A search does not take a bound that names another control; the message says which method does, and why not here."""
    with pytest.raises(heptapod.ModelError, match=r"names the control `n`, which a search \(vfi\) cannot take; `egm` takes it"):
        heptapod.load(text("isoelastic", method="vfi"))
    flat = text("isoelastic").replace("psi*n^(1+phi)/(1+phi)", "psi*n").replace("lam*(w*n)^(1-tau)", "w*n")
    with pytest.raises(heptapod.ModelError, match="first-order condition of n does not involve it"):
        heptapod.load(flat)


def test_explain_says_in_which_order_conditions_are_solved():
    told = heptapod.explain(text("isoelastic"), width=None)
    assert "n enters reward and budget only; solved in turn: c, then n" in told
    assert "turn: n, then c" in heptapod.explain(text("ghh"), width=None)
    assert "c and n together" in heptapod.explain(text("cobb-douglas"), width=None)
