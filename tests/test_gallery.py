"""Every file of the gallery fits a screen, and says of its economics what a closed form, a limit or a search by hand says."""

import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

import heptapod
import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent / "theory"))
sys.path.insert(0, str(Path(__file__).parent / "gallery"))

from referee import fine, lognormal, search_all
from searches import movers

sc.enable_x64()
GALLERY = Path(__file__).parents[1] / "examples" / "gallery"
FILES = sorted(GALLERY.glob("*.yml"))


def read(name: str, *swaps: tuple[str, str]) -> sc.ModelCircuit:
    """A file of the gallery at another size."""
    text = (GALLERY / f"{name}.yml").read_text()
    for old, new in swaps:
        assert old in text, (name, old)
        text = text.replace(old, new)
    return sc.load(text)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_file_fits_a_screen_and_has_nothing_to_say(path):
    assert len(path.read_text().splitlines()) <= 60
    assert heptapod.check(path) == ()


def test_mccall_accepts_from_the_closed_form_reservation_wage_on():
    """w* = b + beta/(1 - beta)*E[max(w - w*, 0)], by bisection; the value of search is w*/(1 - beta) without an offer."""
    circuit = read("mccall")
    p = {name: np.asarray(value) for name, value in circuit.parameters["main"].items()}
    beta, w, probs = float(p["beta"]), p["w_vals"], p["w_probs"]
    for benefit in (0.3, 0.5, 0.9):
        solved = sc.solve(circuit.with_parameters({"main.benefit": benefit}))
        low, high = 0.0, 2.0
        for _ in range(80):
            middle = 0.5 * (low + high)
            excess = benefit + beta / (1 - beta) * probs @ np.maximum(w - middle, 0) - middle
            low, high = (middle, high) if excess > 0 else (low, middle)
        search, best = solved[0]["SEARCH"], np.asarray(w)
        assert not np.isclose(w, low, atol=1e-3).any()
        np.testing.assert_array_equal(search.dcsn.sol.probability["accept"](w=best), w > low)
        np.testing.assert_allclose(search.dcsn.sol.value(w=best), np.maximum(w, low) / (1 - beta), rtol=1e-7)
        np.testing.assert_allclose(solved[0]["WORK"].arvl.sol.value(w=best), w / (1 - beta), rtol=1e-7)


@pytest.fixture(scope="module")
def naive():
    circuit = read("quasi_hyperbolic", ("horizon: 30", "horizon: 12"))
    return circuit, sc.solve(circuit)


def test_a_naive_self_eats_the_share_of_its_own_discounting(naive):
    """log u, no wage: c = m/(1 + beta*(delta + ... + delta^n)), which is the sophisticated share, too (Laibson 1996)."""
    circuit, _ = naive
    solved = sc.solve(circuit.with_parameters({"main.gamma": 1.0, "main.wage": 0.0}))
    m = np.array([0.3, 1.0, 7.0])
    for t in range(12):
        ahead = sum(0.96**k for k in range(1, 12 - t))
        np.testing.assert_allclose(solved[t]["NOW"].dcsn.sol.policy["c"](m=m), m / (1 + 0.7 * ahead), rtol=1e-8)
        np.testing.assert_allclose(solved[t]["PLAN"].dcsn.sol.policy["c"](m=m), m / (1 + ahead), rtol=1e-8)


def test_without_a_bias_plans_are_kept(naive):
    circuit, biased = naive
    m = jnp.linspace(0.2, 12.0, 50)
    solved = sc.solve(circuit.with_parameters({"main.beta": 1.0}))
    for t in (0, 6):
        now, plan = (solved[t][name].dcsn.sol.policy["c"](m=m) for name in ("NOW", "PLAN"))
        np.testing.assert_allclose(now, plan, rtol=1e-12)
        np.testing.assert_allclose(biased[t]["PLAN"].dcsn.sol.policy["c"](m=m), plan, rtol=1e-12)
        assert (biased[t]["NOW"].dcsn.sol.policy["c"](m=m) >= plan).all()


@pytest.mark.slow
def test_the_biased_live_to_save_less_than_they_plan(naive):
    _, believed = naive
    lived = eqx.tree_at(lambda s: s.parameters["main"]["biased"], believed, jnp.asarray(1.0))
    plan, life = (sc.simulate(s, {"a": jnp.full(200, 1.0)}, key=jax.random.key(0)) for s in (believed, lived))
    assert not np.asarray(plan.inside("NOW")).any() and np.asarray(life.inside("NOW")).all()
    planned, saved = (np.asarray(p["SELF"]["a"]).mean(axis=1) for p in (plan, life))
    assert (saved[1:] < planned[1:]).all() and saved[1] > 0
    # The same shocks: those who plan find m as they find it, and eat more of it than they planned to.
    np.testing.assert_allclose(life["NOW"]["m"][0], plan["PLAN"]["m"][0])


@pytest.fixture(scope="module")
def sophisticated():
    return read("sophisticated", ("horizon: 20", "horizon: 4"), ("n_a: 150, n_y: 5", "n_a: 100, n_y: 3"))


@pytest.mark.slow
def test_a_sophisticated_self_eats_the_share_that_its_successors_make_it_eat(sophisticated):
    """No wage: V = A u(m) with A = k^(1-g) + delta (R (1-k))^(1-g) A', and k/(1-k) = (beta delta R^(1-g) A')^(-1/g)."""
    for gamma, beta in ((2.0, 0.7), (0.5, 0.6), (3.0, 1.0)):
        parameters = {"SELF.wage": 0.0, "SELF.gamma": gamma, "SELF.beta": beta}
        solved, m = sc.solve(sophisticated.with_parameters(parameters)), np.array([1e-3, 0.1, 1.0, 20.0])
        share, weight = 1.0, 1.0
        for t in (3, 2, 1, 0):
            sol = solved[t]["SELF"].dcsn.sol
            np.testing.assert_allclose(sol.policy["c"](m=m), share * m, rtol=1e-6)
            np.testing.assert_allclose(sol.marginal["m"](m=m), weight * m**-gamma, rtol=1e-5)
            share = 1 / (1 + (beta * 0.96 * 1.03 ** (1 - gamma) * weight) ** (1 / gamma))
            weight = share ** (1 - gamma) + 0.96 * (1.03 * (1 - share)) ** (1 - gamma) * weight


@pytest.mark.slow
def test_sophisticated_selves_against_backward_induction_by_hand(sophisticated):
    """Each period is searched on a fine grid, and what it is worth to the selves before is kept beside what it maximised."""
    solved, utility, (y, weights) = sc.solve(sophisticated), lambda c: 1 - 1 / c, lognormal(1.0, 0.2, 3)
    naive = read("quasi_hyperbolic", ("horizon: 30", "horizon: 4"), ("n_a: 100, n_y: 5", "n_a: 100, n_y: 3"))
    grid = fine(0, 40)
    m, after = np.array([0.4, 0.7, 1.0, 1.3, 1.8, 2.5, 4.0, 7.0, 15.0]), np.zeros_like(grid)
    for t in (3, 2, 1, 0):
        spline = PchipInterpolator(grid, after)
        later = lambda a, spline=spline: np.where(a >= 0, spline(np.maximum(a, 0)), -np.inf)

        def play(x, later=later):
            choice = search_all(lambda c: utility(c) + 0.7 * 0.96 * later(x.reshape(-1, 1) - c), 0 * x, x)[1]
            return choice, utility(choice) + 0.96 * later(x - choice)

        sol, (choice, value) = solved[t]["SELF"].dcsn.sol, play(m)
        np.testing.assert_allclose(sol.policy["c"](m=m), choice, rtol=2e-3)
        np.testing.assert_allclose(sol.value(m=m), value, atol=5e-4)
        after = play(1.03 * grid[:, None] + y)[1] @ weights
    # Whoever knows the bias of the selves to come does not save as whoever believes them to have none.
    believed = sc.solve(naive)[0]["NOW"].dcsn.sol.policy["c"](m=m)
    assert np.abs(np.asarray(solved[0]["SELF"].dcsn.sol.policy["c"](m=m)) / believed - 1).max() > 5e-3


@pytest.mark.slow
def test_a_value_that_is_recorded_may_be_the_maximum(sophisticated):
    """beta = 1: the saver of EGM, without V; and the biased one is refused by EGM, with the reason."""
    text = (GALLERY / "sophisticated.yml").read_text().replace("horizon: 20", "horizon: 4")
    plain = text.replace("n_a: 150, n_y: 5", "n_a: 100, n_y: 3").replace("      V: crra(c, gamma) + delta*V[>]\n", "")
    one = sc.solve(sc.load(plain).with_parameters({"SELF.beta": 1.0}))[0]["SELF"]
    two, m = sc.solve(sophisticated.with_parameters({"SELF.beta": 1.0}))[0]["SELF"], jnp.linspace(0.4, 15.0, 40)
    assert (one.num.method, two.num.method) == ("egm", "vfi")
    np.testing.assert_allclose(two.dcsn.sol.policy["c"](m=m), one.dcsn.sol.policy["c"](m=m), rtol=2e-3)
    np.testing.assert_allclose(two.dcsn.sol.value(m=m), one.dcsn.sol.value(m=m), atol=1e-4)
    with pytest.raises(heptapod.ModelError, match="`egm` cannot solve stage SELF: V records another value"):
        heptapod.load(text.replace("  name: SELF\n", "  name: SELF\n  methods: {solution: egm}\n"))


HABIT = (("horizon: 8", "horizon: 2"), ("n_a: 60, n_h: 15, n_y: 3, a_max: 20.0", "n_a: 60, n_h: 15, n_y: 3, a_max: 12.0"))


@pytest.fixture(scope="module")
def habit():
    return read("habit", *HABIT)


@pytest.mark.slow
def test_habits_against_a_search_by_hand(habit):
    """Two periods; the last one is searched inside the first."""
    sol = sc.solve(habit)[0]["CONS"].dcsn.sol
    p = {name: float(value) for name, value in habit.parameters["CONS"].items()}
    crra = lambda c: (c ** (1 - p["rho"]) - 1) / (1 - p["rho"])
    reward = lambda c, h: crra(c / h ** p["strength"])
    end = lambda a: np.where(a >= 0, p["theta"] * crra(np.maximum(a, 0) + 1), -np.inf)
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    y, weights = np.exp(p["sigma"] * nodes - p["sigma"] ** 2 / 2), weights / weights.sum()

    def last(m, h):
        m, h = (x.reshape(-1, 1) for x in np.broadcast_arrays(m, h))
        worth = lambda c: reward(c, h) + p["beta"] * end(m - c)
        return search_all(worth, 0 * m[:, 0], m[:, 0], looks=40, zooms=5, starts=1)[0]

    m, h = np.array([0.7, 1.2, 2.0, 3.5, 6.0]), np.array([0.3, 0.9, 1.7, 2.4, 1.1])

    def worth(c):
        a, after = np.maximum(m[:, None] - c, 0.0), (1 - p["lam"]) * h[:, None] + p["lam"] * c
        onward = sum(w * last(p["R"] * a + x, after).reshape(c.shape) for x, w in zip(y, weights, strict=True))
        return reward(c, h[:, None]) + p["beta"] * onward

    best, choice = search_all(worth, 0 * m, m, looks=40, zooms=5, starts=1)
    np.testing.assert_allclose(sol.value(m=m, h=h), best, atol=1e-3)
    np.testing.assert_allclose(sol.policy["c"](m=m, h=h), choice, rtol=1e-2)


@pytest.mark.slow
def test_without_the_strength_of_habits_there_is_a_saver(habit):
    """strength = 0 is a stage of one state by EGM; and nobody asks for the habit."""
    sol = sc.solve(habit.with_parameters({"CONS.strength": 0.0}))[0]["CONS"].dcsn.sol
    saver = read("habit", *HABIT, ("; h_nxt = (1 - lam)*h + lam*c", ""), ("c/h^strength", "c"), (', "h"]', "]"), (", h_nxt: h", ""),
                 (", grid: {h: {type: exp, min: 0.1, max: h_max, points: n_h}}", ""),
                 (", h_nxt: {type: exp, min: 0.1, max: h_max, points: n_h}", ""))  # fmt: skip
    assert saver[0]["CONS"].num.method == "egm"
    one, m = sc.solve(saver)[0]["CONS"].dcsn.sol, jnp.linspace(0.5, 8.0, 30)
    for h in (0.2, 1.0, 3.0):
        np.testing.assert_allclose(sol.policy["c"](m=m, h=h), one.policy["c"](m=m), rtol=5e-3)
        np.testing.assert_allclose(sol.value(m=m, h=h), one.value(m=m), atol=3e-4)


@pytest.fixture(scope="module")
def health():
    return read("health", ("n_a: 150, n_y: 5", "n_a: 60, n_y: 3"))


@pytest.mark.slow
def test_the_mortal_eat_the_share_of_their_remaining_years(health):
    """log u, no income, no bequest, health of no meaning: death discounts, c = m/(1 + beta*s + beta^2*s*s' + ...)."""
    none = {name: 0.0 for name in ("theta", "eta", "loss", "med", "excess")} | {"gamma": 1.0, "earn": np.zeros(75)}
    circuit = health.with_parameters({f"main.{name}": value for name, value in none.items()})
    solved = sc.solve(circuit)
    s, m = 1 - np.asarray(circuit.parameters["main"]["mort"]), np.array([0.5, 2.0, 20.0])
    share = 1.0
    for t in range(74, -1, -1):
        share = share if t == 74 else 1 / (1 + 0.97 * s[t] / share)
        for stage in ("WELL", "SICK"):
            np.testing.assert_allclose(solved[t][stage].dcsn.sol.policy["c"](m=m), share * m, rtol=1e-7)


@pytest.mark.slow
def test_health_that_costs_money_is_worth_something_and_otherwise_nothing(health):
    a = jnp.linspace(0.5, 30.0, 30)
    solved = sc.solve(health.with_parameters({"main.eta": 0.0, "main.excess": 0.0}))
    for t in (0, 30, 60):
        luck = solved[t]["LUCK"].arvl.sol
        assert (luck.value(a=a, h=1.0) > luck.value(a=a, h=0.0)).all()
    # Without health's meaning both stages are one.
    circuit = health.with_parameters({f"main.{name}": 0.0 for name in ("eta", "loss", "med", "excess")})
    solved = sc.solve(circuit)
    well, sick = (solved[20][name].dcsn.sol for name in ("WELL", "SICK"))
    np.testing.assert_allclose(sick.value(m=a), well.value(m=a), rtol=1e-12)


@pytest.mark.slow
def test_a_durable_that_costs_nothing_to_sell_is_money():
    """tau = 0: stocks on sale may as well be sold and bought again, so that only m + d counts."""
    circuit = read("durable", ("horizon: 40", "horizon: 4"), ("n_a: 150, n_d: 25, n_y: 5", "n_a: 60, n_d: 17, n_y: 3"))
    dear = sc.solve(circuit.with_parameters({"main.sigma_v": 0.0}))
    sold = lambda solved, **at: np.asarray(solved[1]["ADJ"].dcsn.sol.probability["sell"](**at))
    m, d = (x.ravel() for x in np.meshgrid([0.8, 2.0, 5.0, 12.0], np.linspace(0.1, 6.0, 25)))
    assert 0 < sold(dear, m=m, d=d).mean() < 1
    free = sc.solve(circuit.with_parameters({"main.sigma_v": 0.0, "main.tau": 0.0}))
    assert sold(free, m=m, d=d).mean() > sold(dear, m=m, d=d).mean()
    sells = lambda total, d: free[1]["ADJ"].cntn["sell"].sol.value(w=total) + 0 * d
    on_sale = np.array([0.5, 1.0, 2.0, 3.0])
    adjust = free[1]["ADJ"].dcsn.sol
    np.testing.assert_allclose(adjust.value(m=4.0 - on_sale, d=on_sale), sells(4.0, on_sale), atol=2e-5)


@pytest.fixture(scope="module")
def house():
    """Two periods, three houses."""
    return read("house", ("horizon: 30", "horizon: 2"), ("n_e: 120, n_y: 5, e_max: 25.0", "n_e: 60, n_y: 2, e_max: 12.0"),
                ("[0.0, 1.5, 3.0, 5.0]", "[0.0, 1.5, 3.0]"))  # fmt: skip


@pytest.mark.slow
def test_movers_and_eaters_against_a_search_by_hand(house):
    """Both stages backward from the end, every house tried and every amount looked at."""
    solved = sc.solve(house)
    p = {name: np.asarray(value) for name, value in house.parameters["main"].items()}
    houses, (move, last, after) = p["H_vals"], movers(p, 2, 700)
    m = np.array([0.6, 1.1, 1.9, 3.2, 6.0])
    for t, onward in ((1, last), (0, after)):
        sol = solved[t]["MOVE"].dcsn.sol
        for H in houses:
            value, odds = move(m - p["ltv"] * H, H, onward)
            np.testing.assert_allclose(sol.value(m=m - p["ltv"] * H, H=H), value, atol=5e-4)
            for k in range(3):
                np.testing.assert_allclose(sol.probability[f"H_new[{k}]"](m=m - p["ltv"] * H, H=H), odds[k], atol=1e-2)


@pytest.mark.slow
def test_a_house_that_costs_nothing_to_leave_is_money_and_one_that_does_is_kept(house):
    """tau = 0: only m + H counts, whatever the house; with a cost more people stay where they are."""
    free, dear = (sc.solve(house.with_parameters({"main.tau": tau})) for tau in (0.0, 0.1))
    worth, total = np.linspace(0.8, 8.0, 40), lambda s, H, m: np.asarray(s[0]["MOVE"].dcsn.sol.value(m=m - H, H=H))
    for H in (1.5, 3.0):
        np.testing.assert_allclose(total(free, H, worth), total(free, 0.0, worth), rtol=1e-9)
        assert (total(dear, H, worth) < total(free, H, worth) - 1e-3).any()
    stays = lambda s: np.asarray(s[0]["MOVE"].dcsn.sol.probability["H_new[1]"](m=worth - 1.5, H=1.5)).mean()
    assert stays(dear) > stays(free) + 0.05


@pytest.mark.slow
def test_the_richer_the_jobless_the_better_the_offers_that_they_wait_for():
    circuit = read("job_search", ("horizon: 45", "horizon: 6"), ("n_a: 150", "n_a: 50"))
    solved = sc.solve(circuit.with_parameters({"main.sigma_v": 0.0}))
    w, a = np.asarray(circuit.parameters["main"]["w_vals"]), np.array([0.0, 2.0, 6.0, 15.0])
    take = np.asarray(solved[0]["SEARCH"].dcsn.sol.probability["accept"](a=a[:, None], w=w, met=1.0))
    least = np.where(take > 0.5, w, np.inf).min(axis=1)
    # Acceptance is from a reservation wage on, which rises in wealth; without an offer nothing is accepted.
    np.testing.assert_array_equal(take > 0.5, w >= least[:, None])
    assert (np.diff(least) >= 0).all() and least[-1] > least[0]
    assert (np.asarray(solved[0]["SEARCH"].dcsn.sol.probability["accept"](a=a[:, None], w=w, met=0.0)) == 0).all()
