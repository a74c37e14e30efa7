"""The package dcegm 0.1.3 on its own toy model; `benchmarks/dcegm_toy.py` made the fixture."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import stagecraft as sc

FIXTURES = Path(__file__).parent / "fixtures"
PERIODS = (0, 5, 12, 20, 23)


@pytest.fixture(scope="module")
def solved():
    return sc.solve(sc.load(FIXTURES / "dcegm_toy.yml"))


@pytest.fixture(scope="module")
def dcegm():
    return json.loads((FIXTURES / "dcegm_toy.json").read_text())


@pytest.mark.parametrize("t", PERIODS)
def test_workers_agree_with_dcegm(solved, dcegm, t):
    """On the same knots and nodes, from a crumb on; what dcegm calls the value of work has this period's toil in it."""
    sol, m, theirs = solved[t]["WORK"].dcsn.sol, np.array(dcegm["m"]), dcegm[f"WORK {t}"]
    np.testing.assert_allclose(sol.policy["c"](m=m), theirs["c"], atol=1e-9)
    np.testing.assert_allclose(np.asarray(sol.value(m=m)) - 0.35, theirs["value"], atol=1e-9)


@pytest.mark.parametrize("t", PERIODS)
def test_retirees_agree_with_dcegm_but_for_the_poorest(solved, dcegm, t):
    """Below, one cell holds the kink of the consumption floor, which dcegm does not see, and linear values carry it upward."""
    m = np.array(dcegm["m"])
    keep, theirs = m >= 3, dcegm[f"RETD {t}"]
    sol = solved[t]["RETD"].dcsn.sol
    np.testing.assert_allclose(sol.policy["c"](m=m[keep]), np.array(theirs["c"])[keep], atol=1e-9)
    np.testing.assert_allclose(sol.value(m=m[keep]), np.array(theirs["value"])[keep], atol=1e-5)


@pytest.mark.parametrize("t", PERIODS)
def test_who_works_agrees_with_dcegm(solved, dcegm, t):
    m = np.array(dcegm["m"])
    chance = solved[t]["LABR"].dcsn.sol.probability["work"](m=m)
    np.testing.assert_allclose(chance, dcegm[f"LABR {t}"]["work"], atol=1e-9)


@pytest.mark.parametrize("t", PERIODS[:-1])
def test_a_floor_that_never_binds_again_does_not_distort_what_the_poor_eat(solved, t):
    """A retiree with beta*(1+r) = 1 and more than crumbs eats the same every period, far above the floor."""
    m = np.array([0.3, 0.5, 1.0, 2.0])
    exact = m / (1.05 ** -np.arange(25 - t)).sum()
    np.testing.assert_allclose(solved[t]["RETD"].dcsn.sol.policy["c"](m=m), exact, rtol=2e-2)


@pytest.mark.slow
def test_every_parameter_has_a_derivative(solved):
    """dcegm's own reverse mode gives NaN for all of them. Of poor retirees too, whose floor makes saving worthless."""

    def value(parameters):
        period = sc.solve(solved.with_parameters(parameters))[5]
        return period["WORK"].dcsn.sol.value(m=10.0) + 0.1 * period["RETD"].dcsn.sol.value(m=3.0)

    gradient = jax.jit(jax.grad(value))(solved.parameters)
    for scope, names in gradient.items():
        for name, derivative in names.items():
            at = float(solved.parameters[scope][name])
            h = 1e-5 * max(abs(at), 0.01)
            up, down = (
                float(value({**solved.parameters, scope: {**solved.parameters[scope], name: at + s * h}})) for s in (1, -1)
            )
            np.testing.assert_allclose(derivative, (up - down) / (2 * h), rtol=1e-5, atol=1e-7, err_msg=f"{scope}.{name}")
