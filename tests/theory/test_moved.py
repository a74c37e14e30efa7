"""Derivatives of values and policies against central differences, for the kinds of models whose own pages do not ask for them."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))

from test_edges import COSTS, GROWTH, TECHNOLOGIES
from test_edges import FIRM as SELLER
from test_straight_on import ENTRY, FIRM
from test_survival import BY_HEALTH

CAPITAL = jnp.array([0.6, 2.0, 7.0])


def growth(where, words):
    functions, most, state, _ = TECHNOLOGIES[where]
    text = GROWTH.format(horizon=words, functions=functions, most=most, state=state).replace("n: 60", "n: 40")
    return text, "P", {state: jnp.array([0.2, 0.6, 0.9])}


def seller(words):
    cost, phi, kind, low, _ = COSTS["mild, by capital"]
    text = SELLER.format(horizon=words, phi=phi, type=kind, low=low, cost=cost).replace("n: 60", "n: 40")
    return text, "INVEST", {"k": CAPITAL, "z": jnp.full(3, 0.8)}


# Text, the stage that is asked, its states, and the parameters that move.
KINDS = {
    "infinitely productive at zero, on arrival": (*growth("on arrival", "3\n  terminal: 0"), ("beta", "alpha")),
    "infinitely productive at zero, at the decision": (*growth("at the decision", "3\n  terminal: 0"), ("beta", "alpha")),
    "infinitely productive at zero, for ever": (*growth("on arrival", "infinite"), ("beta", "alpha")),
    "marginal values too small for any state": (*seller("3\n  terminal: 0"), ("beta", "phi", "delta")),
    "the same for ever": (*seller("infinite"), ("beta", "phi")),
    "entry and exit for ever": (ENTRY.format(horizon="infinite", choice="{by: agent}"), "IN", {"z": jnp.array([0.6, 1.0, 1.7])},
                                ("beta", "cost", "enter", "scrap")),
    "straight on, a fixed cost": (FIRM.format(horizon="4\n  terminal: 0").replace("n: 60", "n: 40"), "FIRM",
                                  {"k": CAPITAL, "z": jnp.full(3, 1.2)}, ("beta", "F", "delta")),
    "mortality by health": (BY_HEALTH, "C", {"m": jnp.array([1.2, 2.5, 6.0]), "h": jnp.zeros(3)}, ("beta", "frail", "heal")),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_of_every_kind_are_central_differences(kind):
    text, stage, states, names = KINDS[kind]
    circuit = sc.load(text)

    @jax.jit
    def told(moved):
        answer = sc.solve(circuit.with_parameters(moved), throw=False)[0][stage].dcsn.sol.at(**states)
        smooth = {n: x for n, x in answer.policy.items() if jnp.issubdtype(x.dtype, jnp.floating)}
        return jnp.stack([answer.value, *smooth.values()])

    # What is stored may be a number, or a formula of one; the parameters that are moved are numbers.
    at = {f"main.{n}": circuit.parameters["main"][n] for n in names}
    exact = jax.jit(jax.jacfwd(told))(at)
    for name, value in at.items():
        step = 1e-5 * max(1.0, abs(float(value)))
        difference = (told({**at, name: value + step}) - told({**at, name: value - step})) / (2 * step)
        assert np.isfinite(difference).all() and np.abs(difference).max() > 1e-3
        np.testing.assert_allclose(exact[name], difference, rtol=2e-4, atol=2e-5 * np.abs(difference).max(), err_msg=name)
