"""States and choices that are not feasible: what is left of the solution, and what is said."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc
from stagecraft.results import Outcome

sys.path.insert(0, str(Path(__file__).parent))

from referee import agree, between, fine, jumps, lognormal, search_all
from small import GRID, LOG, circuit, stage

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def loans():
    loan = stage(
        "LOAN", 'g_av: m = R*a + 0.6, g_ve: "x = m + d; b = b + d", Q: "V[>]"', "d: {in: [0, 0.4, 0.8]}",
        arvl="{dimensions: [a, b]}", dcsn="{dimensions: [m, b]}", cntn="{dimensions: [x, b]}",
    )  # fmt: skip
    cons = stage(
        "CONS",
        'g_ve: "a_nxt = x - c; b_nxt = 1.05*b", Q: "log(c) + beta*V[>]"',
        "c: 0 < c <= x",
        more="      constraints: {sound: b <= cap}\n",
        arvl="{dimensions: [x, b]}",
        dcsn="{dimensions: [x, b], grid: {b: {type: linspace, min: 0, max: 2.4, points: 25}}}",
        cntn=f"{{dimensions: [a_nxt, b_nxt], grid: {{a_nxt: {GRID(low=0, high=20)}}}}}",
    )
    inter = "{source: CONS, target: LOAN, mapping: {a_nxt: a, b_nxt: b}}"
    return circuit(
        loan, cons, T=3, terminal="log(a + 3 - b)", parameters="beta: 0.96, R: 1.02, cap: 1.55",
        intra="{source: LOAN, target: CONS}", inter=inter,
    )  # fmt: skip


@pytest.mark.slow
def test_a_constraint_on_a_passive_state_limits_the_loans_before_it(loans):
    """Who owes more than the cap has no choice left, so loans that lead there are not taken, now or later."""
    solved = sc.solve(loans)
    grid, loans = fine(0, 25, 700), (0.0, 0.4, 0.8)

    def arrive(t, a, b):
        """Value, best loan and what each is worth, on arrival with assets a and debt b."""
        if t == 3:
            return np.log(a + 3 - b), None, None
        values = np.stack([consume(t, 1.02 * a + 0.6 + d, b + d)[0] for d in loans])
        return values.max(axis=0), values.argmax(axis=0), np.sort(values, axis=0)

    def consume(t, x, b):
        if b > 1.55:
            return np.full(x.shape, -np.inf), np.full(x.shape, np.nan)
        V = between(grid, arrive(t + 1, grid, 1.05 * b)[0])
        return search_all(lambda c: np.log(c) + 0.96 * V(x[:, None] - c), 0 * x, x)

    a = np.array([0.1, 0.4, 0.9, 2.0, 5.0])
    stages = solved[0]
    for b in (0.0, 0.82, 1.21):
        value, pick, ranked = arrive(0, a, b)
        # Whether a loan is possible later changes between rows of debt, a kink that the rows round.
        agree(stages["LOAN"].arvl.sol.value(a=a, b=b), value, atol=5e-4)
        near = ranked[-1] - ranked[-2] < 2e-3
        agree(stages["LOAN"].dcsn.sol.policy["d"](m=1.02 * a + 0.6, b=b), np.array(loans)[pick], atol=0, near=near)
        x = np.array([0.5, 0.9, 1.4])
        agree(stages["CONS"].dcsn.sol.policy["c"](x=x, b=b), consume(0, x, b)[1], atol=2e-2)
    # Where 1.05^2*b is above the cap nobody can be sound in the last period, whatever is borrowed before.
    states = dict(zip("ab", jnp.meshgrid(a, jnp.array([1.0, 1.3, 1.42, 1.6])), strict=True))
    answer = stages["LOAN"].arvl.sol.at(states)
    np.testing.assert_array_equal(answer.feasible, states["b"] < 1.4)
    assert np.isfinite(answer.value).all()


@pytest.mark.slow
def test_agents_without_a_choice_are_named(loans):
    solved = sc.solve(loans)
    start = dict(a=np.array([1.0, 0.5, 2.0, 2.0]), b=np.array([0.0, 0.3, 1.44, 1.6]))
    with pytest.raises(ValueError, match=r"stage LOAN: no feasible choice for 50.0% .* first for agent 2 in period 0"):
        sc.simulate(solved, start, key=KEY)
    panel = sc.simulate(solved, dict(a=np.array([0.1, 0.5, 2.0]), b=np.array([0.0, 0.3, 1.3])), key=KEY)
    assert (np.asarray(panel["CONS"]["b"]) <= 1.55).all()


@pytest.mark.slow
def test_where_nothing_is_feasible_the_solve_says_so_and_hands_back_what_it_has(loans):
    hopeless = loans.with_parameters({"main.cap": -1.0})
    with pytest.raises(sc.SolveError, match=r"stage CONS.*period 1") as error:
        sc.solve(hopeless)
    assert error.value.outcome == Outcome.infeasible
    solved = sc.solve(hopeless, throw=False)
    assert int(solved.info.outcome) == Outcome.infeasible and int(solved.info.period) == 1
    # What consumption is worth in the last period is known, although nobody may owe so little that he may choose it.
    x = jnp.array([0.5, 2.0])
    answer = solved[2]["CONS"].dcsn.sol.at(dict(x=x, b=0 * x))
    assert not answer.feasible.any() and np.isfinite(answer.value).all()
    for rows in (solved[t]["CONS"].dcsn.sol.rows for t in range(3)):
        assert all(np.isfinite(part).all() for part in (rows.state, rows.control, rows.value, rows.marginal))
    loose = sc.solve(loans.with_parameters({"main.cap": 9.0}))
    np.testing.assert_allclose(answer.value, loose[2]["CONS"].dcsn.sol.value(x=x, b=0.0))
    assert np.isnan(solved[2]["CONS"].dcsn.sol.value(x=x, b=1.0)).all()


class Debtors:
    """Three periods at 50 % interest: whoever owes too much cannot stay above -2 when income is low."""

    def __init__(self, earns):
        self.earns, (self.y, self.weights) = earns, lognormal(1.0, 0.3, 3)
        self.lowest, arrive = {2: -2.0}, lambda a: np.log(a + 3)
        for t in (1, 0):
            self.lowest[t] = max(-2.0, (self.lowest[t + 1] - self.y[0] - max(earns)) / 1.5)
        for t in (2, 1, 0):
            grid = self.lowest[t] + fine(0, 30, 2_000, power=5)
            # The lowest post-state itself leaves nothing to eat next period, but for the last.
            self.V = between(grid, arrive(grid)) if t == 2 else between(grid[1:], arrive(grid[1:]))
            self.limit = self.lowest[t]
            arrive = lambda a, V=self.V, limit=self.limit: self.best(1.5 * a[:, None] + self.y, V, limit)[0] @ self.weights

    def best(self, m, V, limit):
        """Value and consumption with cash m, whichever hours are best."""
        found = []
        for earn in self.earns:
            cash = (m + earn).reshape(-1, 1)
            reward = lambda c, cash=cash, earn=earn: np.log(c) - 0.3 * (earn > 0) + 0.95 * V(cash - c)
            found.append(search_all(reward, 0 * m, np.maximum(m + earn - limit, 0)))
        values, choices = (np.stack(part) for part in zip(*found, strict=True))
        return values.max(axis=0), np.take_along_axis(choices, values.argmax(axis=0)[None], axis=0)[0]


@pytest.mark.parametrize(
    "hours, said",
    [(False, True), (False, False), pytest.param(True, True, marks=pytest.mark.slow)],
)
def test_debts_that_cannot_be_repaid_bound_the_solution(hours, said):
    """The grid reaches far below what can be repaid; the limit follows from the lowest income and is found."""
    work, toil = ("w*h", "0.3*h") if hours else ("0", "0")
    condition = "      constraints: {solvent: m > -2 - w}\n" if said else ""
    debtor = stage(
        "S",
        f'g_av: m = R*a + y, g_ve: a_nxt = m + {work} - c, Q: "log(c) - {toil} + beta*V[>]"',
        f"c: 0 < c <= m + {work} + 2" + (", h: {in: [0, 1]}" if hours else ""),
        arvl="{dimensions: [a]}",
        dcsn="{dimensions: [m]}",
        cntn=f"{{grid: {{a_nxt: {GRID(low=-2, high=20)}}}}}",
        more="      shocks: {luck: {dimensions: [y], shock_method: lognormal, mean: 1.0, std: 0.3, n_points: 3}}\n" + condition,
    )
    inter, parameters = "{source: S, target: S, mapping: {a_nxt: a}}", "beta: 0.95, R: 1.5, w: 0.2"
    solved = sc.solve(circuit(debtor, T=3, terminal="log(a + 3)", parameters=parameters, inter=inter))
    referee = Debtors((0.0, 0.2) if hours else (0.0,))
    limit, sol = referee.lowest[0] - max(referee.earns), solved[0]["S"].dcsn.sol
    above = np.array([0.01, 0.05, 0.1, 0.3, 0.8, 1.7, 3.0, 6.0])
    value, choice = referee.best(limit + above, referee.V, referee.limit)
    agree(sol.policy["c"](m=limit + above), choice, atol=3e-3)
    # At the limit itself the value is -inf; beside it cells are coarse.
    agree(sol.value(m=limit + above[3:]), value[3:], atol=1e-3)
    beyond = sol.at(dict(m=jnp.asarray(limit + np.array([-2.0, -1e-3, 1e-3]))))
    np.testing.assert_array_equal(beyond.feasible, [False, False, True])
    assert np.isfinite(beyond.value).all()
    with pytest.raises(ValueError, match=r"stage S: no feasible choice for .* agent 1 in period 0"):
        sc.simulate(solved, dict(a=np.array([0.0, -3.0])), key=KEY)


MOVE = """  MOVE:
    kind: branching
    math:
      branches: {stay: {g_ve: a = a, Q: "V[>]"}, move: {g_ve: a = a - 0.3, Q: "V[>] + 1.5", when: a > limit}}
      choice: {by: agent, taste_shock: gumbel, scale: sigma}
      state_space: {arvl: {dimensions: [a]}, cntn.stay: {dimensions: [a]}, cntn.move: {dimensions: [a]}}
"""


@pytest.fixture(scope="module")
def movers():
    eat = stage(
        "EAT", f"g_av: m = a + 0.2, g_ve: b = m - c, {LOG}", "c: 0 < c <= m", arvl="{dimensions: [a]}",
        dcsn="{dimensions: [m]}", cntn=f"{{grid: {{b: {GRID(low=0, high=10)}}}}}",
    )  # fmt: skip
    intra = "{source: MOVE.stay, target: EAT}, {source: MOVE.move, target: EAT}"
    inter = "{source: EAT, target: MOVE, mapping: {b: a}}"
    parameters = "beta: 0.95, limit: 1.0, sigma: 0.0"
    return circuit(MOVE, eat, T=2, terminal="log(a + 0.1)", parameters=parameters, intra=intra, inter=inter)


JUMP = pytest.mark.xfail(strict=True, reason="nobody saves up to the lowest post-state above a jump of the value")


@pytest.mark.parametrize("limit", [0.0, 99.0, pytest.param(1.0, marks=JUMP)])
def test_a_branch_that_is_shut_is_not_taken(movers, limit):
    """At limit 0 the branch shuts itself below 0.1, where moving leaves nothing to eat; at 99 nobody moves."""
    solved, grid = sc.solve(movers.with_parameters({"main.limit": limit})), fine(0, 12, 1_500)
    after, a = np.log(grid + 0.1), np.array([0.05, 0.09, 0.11, 0.2, 0.31, 0.5, 0.9, 0.99, 1.01, 1.5, 3.0, 7.0])
    for t in (1, 0):
        V = between(grid, after)
        eat = lambda m, V=V: search_all(lambda c: np.log(c) + 0.95 * V(m[:, None] - c), 0 * m, np.maximum(m, 0))
        move = lambda a, eat=eat: np.where(a > limit, eat(a - 0.1)[0] + 1.5, -np.inf)
        after, stages = np.maximum(eat(grid + 0.2)[0], move(grid)), solved[t]
        agree(stages["MOVE"].dcsn.sol.probability["move"](a=a), move(a) > eat(a + 0.2)[0], atol=0)
        agree(stages["MOVE"].arvl.sol.value(a=a), np.maximum(eat(a + 0.2)[0], move(a)), atol=1e-4)
        value, choice = eat(a + 0.2)
        agree(stages["EAT"].dcsn.sol.value(m=a + 0.2), value, atol=1e-4)
        near = jumps(lambda m, eat=eat: eat(m)[1], a + 0.2, 0.04)
        agree(stages["EAT"].dcsn.sol.policy["c"](m=a + 0.2), choice, atol=1e-2, near=near)


def test_a_value_that_jumps_within_the_grid_is_reported(movers):
    """Nothing is said where the jump is nobody's, and the periods are named where it is."""
    with pytest.warns(UserWarning, match=r"stage EAT, continuation \(cntn\), period 0 .*jumps inside a cell"):
        solved = sc.solve(movers.with_parameters({"main.limit": 1.0}))
    assert list(solved.info.jumps["EAT"]) == [1, 0]
    assert not np.any(sc.solve(movers.with_parameters({"main.limit": 99.0})).info.jumps["EAT"])


@pytest.mark.slow
def test_a_payment_that_cannot_be_avoided_bounds_assets_from_below():
    """Whoever cannot pay one a period for good has no choice; all others divide what is left as if it were a cake."""
    eat = stage(
        "EAT", 'g_av: m = a - pay, g_ve: x = m - c, Q: "-1/c + beta*V[>]"', "c: 0 < c <= m",
        arvl="{dimensions: [a]}", dcsn="{dimensions: [m]}", cntn=f"{{grid: {{x: {GRID(low=0, high=30)}}}}}",
    )  # fmt: skip
    solved = sc.solve(
        circuit(eat, T=3, terminal="0", parameters="beta: 0.95, pay: 1.0", inter="{source: EAT, target: EAT, mapping: {x: a}}")
    )
    m, weights = np.array([2.02, 2.2, 2.5, 3.0, 10.0]), 0.95 ** (np.arange(3) / 2)
    sol = solved[0]["EAT"].dcsn.sol
    eaten = (m[:, None] - 2) * weights / weights.sum()
    np.testing.assert_allclose(sol.value(m=m), -(weights**2 / eaten).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(sol.policy["c"](m=m), eaten[:, 0], rtol=1e-9)
    np.testing.assert_array_equal(sol.at({"m": jnp.array([1.2, 1.99, 2.01])}).feasible, [False, False, True])
    cost = lambda p: sc.solve(solved.with_parameters({"main.pay": p}))[0]["EAT"].dcsn.sol.value(m=3.0)
    np.testing.assert_allclose(jax.grad(cost)(1.0), -2 * weights.sum() ** 2, rtol=1e-6)
