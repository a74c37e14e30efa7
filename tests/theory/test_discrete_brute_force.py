"""The three examples with discrete choice, short and small, against value iteration in numpy."""

import copy
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))

from referee import agree, between, fine, jumps, lognormal, logsum, rouwenhorst, search_all

MODELS = Path(__file__).parents[1] / "models"


def example(name, horizon, **settings):
    """The text of an example as a tree, shorter and smaller."""
    tree = yaml.safe_load((MODELS / f"{name}.yml").read_text())
    tree["model"]["horizon"] = horizon
    tree["model"]["settings"] |= settings
    return tree


def circuit_of(tree):
    return sc.load(yaml.safe_dump(tree, sort_keys=False))


@pytest.fixture(scope="module")
def retirement():
    tree = example("ret_choice", 4, n=200, a_max=150.0)
    # The other stage shares this one's parts, and its wage is not risky.
    work = tree["stages"]["WORK"] = copy.deepcopy(tree["stages"]["WORK"])
    work["parameters"]["sigma_y"] = ["sigma_y"]
    tree["model"]["parameters"]["sigma_y"] = 0.3
    work["math"]["functions"] = dict(work["math"]["functions"], g_av="m = (1+r)*a + w*y")
    work["math"]["shocks"] = {
        "wage": {"dimensions": ["y"], "shock_method": "lognormal", "mean": 1.0, "std": "sigma_y", "n_points": 5}
    }
    return circuit_of(tree)


class Retirement:
    """Four periods: work or retire for good, consume, save at 2 %, a wage of mean 20."""

    def __init__(self, sigma, points=1_200):
        self.a, (y, weights) = fine(0, 260, points), lognormal(1.0, 0.3, 5)
        self.worker, self.retiree, self.labour = {4: 0 * self.a}, {4: 0 * self.a}, {}
        for t in (3, 2, 1, 0):
            with np.errstate(divide="ignore"):
                rest = self.consume(self.retiree[t + 1], 1.02 * self.a)[0]
            work = self.consume(self.worker[t + 1], 1.02 * self.a[:, None] + 20 * y)[0] @ weights - 1.0
            self.worker[t], self.labour[t] = logsum(np.stack([work, rest]), sigma)
            self.retiree[t] = rest

    def consume(self, after, m):
        V = between(self.a, after)
        return search_all(lambda c: np.log(c) + 0.98 * V(m.reshape(-1, 1) - c), 0 * m, m)


@pytest.mark.parametrize("sigma", [pytest.param(0.0, marks=pytest.mark.slow), 0.05, 0.4])
def test_retirement_with_risky_wages(retirement, sigma):
    solved, referee = sc.solve(retirement.with_parameters({"main.sigma_eps": sigma})), Retirement(sigma)
    a, m = np.array([0.5, 3.0, 9.3, 22, 37, 51, 88, 120]), np.array([2.0, 6, 13, 21, 27, 33, 41, 52, 66, 81, 97, 120])
    for t in (0, 2):
        stages = solved[t]
        # Linear values between 1,200 nodes: 5e-5 where they bend most.
        agree(stages["LABR"].arvl.sol.value(a=a), np.interp(a, referee.a, referee.worker[t]), atol=2e-4)
        works = np.interp(a, referee.a, referee.labour[t][0])
        agree(stages["LABR"].dcsn.sol.probability["work"](a=a), works, atol=2e-3)
        for name, after in (("WORK", referee.worker[t + 1]), ("RETD", referee.retiree[t + 1])):
            consumed = lambda x, after=after: referee.consume(after, x)[1]
            sol = stages[name].dcsn.sol
            agree(sol.value(m=m), referee.consume(after, m)[0], atol=2e-4)
            agree(sol.policy["c"](m=m), consumed(m), atol=0.1, near=jumps(consumed, m, 0.8))


class Housing:
    """Own or rent: assets a, house H and last income y on arrival."""

    z, H, S = np.array([0.2, 0.526, 4.66]), np.array([0.0, 1.0, 3.5]), np.array([0.25, 1.0, 3.5])
    Pi = np.array([[0.99, 0.01, 0.0], [0.01, 0.98, 0.01], [0.0, 0.09, 0.91]])

    def __init__(self, T=3, points=700):
        self.a = fine(0, 45, points)
        on = np.ones((points, 3, 3))
        self.arrival = {T: 0.77 * np.log(1.06 * self.a[:, None, None] + self.H[:, None] + 0.01) * on}
        for t in range(T - 1, 0, -1):
            self.arrival[t] = self.arrive(t, self.a)

    def arrive(self, t, a):
        """Values of shape (a, H, y_pre)."""
        return self.decide(t, a)[0] @ self.Pi.T

    def decide(self, t, a):
        """Value, and what owning and renting are worth, (a, H, y)."""
        cash = 1.06 * a[:, None, None] + self.z + self.H[:, None]
        own = np.full((3, *cash.shape), -np.inf)
        rent = own.copy()
        for k in range(3):
            moved = (self.H != self.H[k])[:, None]
            own[k] = self.consume(t, cash - (1 + 0.07 * moved) * self.H[k], k, self.H[k])[0]
            rent[k] = self.consume(t, cash - 0.10 * self.S[k], 0, self.S[k])[0]
        return np.maximum(own.max(axis=0), rent.max(axis=0)), own, rent

    def consume(self, t, w, house, service):
        """The best consumption with cash w (..., y), leaving with a house, and served by it or by a rented one."""
        value, choice = np.empty(w.shape), np.empty(w.shape)
        for y in range(3):
            V, x = between(self.a, self.arrival[t + 1][:, house, y]), w[..., y]
            flat = x.reshape(-1, 1)
            objective = lambda c, V=V, flat=flat: 0.77 * np.log(c) + 0.93 * V(flat - c)
            value[..., y], choice[..., y] = search_all(objective, 0 * x, np.maximum(x, 0), looks=80, zooms=5)
        return value + 0.23 * np.log(0.075 * (service + 0.01)), choice


@pytest.fixture(scope="module")
def housing():
    tree = example("housing", 3, n_a=150)
    tree["model"]["parameters"] |= {"H_vals": Housing.H.tolist(), "S_vals": Housing.S.tolist()}
    return sc.solve(circuit_of(tree)), Housing()


@pytest.mark.slow
def test_owners_and_renters(housing):
    solved, referee = housing
    stages, H, z = solved[0], Housing.H, Housing.z
    a = np.array([0.05, 0.3, 0.8, 1.7, 2.9, 4.4, 7.1, 12.0])
    value, own, rent = referee.decide(0, a)
    at = dict(a=a[:, None, None], H=H[:, None], y=z)
    # 700 nodes and the kinks between them: 3e-4.
    agree(stages["TENU"].dcsn.sol.value(**at), value, atol=1e-3)
    agree(stages["TENU"].arvl.sol.value(a=at["a"], H=at["H"], y_pre=z), value @ Housing.Pi.T, atol=1e-3)
    owns, tie = own.max(axis=0) > rent.max(axis=0), np.abs(own.max(axis=0) - rent.max(axis=0)) < 2e-3
    agree(stages["TENU"].dcsn.sol.probability["own"](**at), owns, atol=0, near=tie)
    close = lambda x: np.diff(np.sort(x, axis=0)[-2:], axis=0)[0] < 2e-3
    agree(stages["OWNH"].dcsn.sol.policy["H_new"](**at), H[own.argmax(axis=0)], atol=0, near=close(own))
    w = np.array([0.3, 0.9, 1.6, 2.4, 3.7, 5.2, 8.8])
    cash = np.broadcast_to(w[:, None], (w.size, 3))
    for name, passive, levels in (("OWNC", "H", H), ("RNTC", "S", Housing.S)):
        for k, level in enumerate(levels):
            consumed = lambda x, k=k, level=level, own=name == "OWNC": referee.consume(0, x, k if own else 0, level)
            sol, at = stages[name].dcsn.sol, {"w": w[:, None], passive: level, "y": z}
            agree(sol.value(**at), consumed(cash)[0], atol=1e-3)
            near = jumps(lambda x, f=consumed: f(x)[1], cash, 0.1)
            agree(sol.policy["c"](**at), consumed(cash)[1], atol=3e-2, near=near)


class Mortgage:
    """Refinance or keep, then consume; debt follows the tree of rates exactly, only assets have a grid."""

    def __init__(self, T=3, points=600):
        self.T, self.a, (self.y, self.weights) = T, fine(0, 28, points), lognormal(1.0, 0.12, 3)
        self.r, self.matrix = rouwenhorst(0.04, 0.85, 0.008, 3)
        self.after = cache(self._after)

    def pay(self, t, b, i):
        return b * i / (1 - (1 + i) ** (-(30.0 - t)))

    def decide(self, t, m, b, i, r):
        """Value and probability of keeping, with cash m, at positions i of the contract's rate and r of the market's."""
        values = np.stack([self.consume(t, m - self.pay(t, b, self.r[i]), b, i, r)[0],
                           self.consume(t, m - 0.04 - self.pay(t, b, self.r[r]), b, r, r)[0]])  # fmt: skip
        return logsum(values, 0.02)

    def arrive(self, t, a, b, i, r_pre):
        m = 1.01 * a[:, None] + self.y
        return sum(p * self.decide(t, m, b, i, r)[0] @ self.weights for r, p in enumerate(self.matrix[r_pre]))

    def _after(self, t, b, i, r):
        if t == self.T:
            return np.log(1.01 * self.a + max(4.0 - b, 0) + 0.01)
        return self.arrive(t, self.a, b, i, r)

    def consume(self, t, x, b, i, r):
        """Value and consumption with cash x after the payment."""
        debt = (1 + self.r[i]) * b - self.pay(t, b, self.r[i])
        V, high = between(self.a, self.after(t + 1, debt, i, r)), np.maximum(x, 0)
        value, choice = search_all(lambda c: -1 / c + 0.95 * V(x.reshape(-1, 1) - c), 0 * x, high, looks=80, zooms=5)
        return value + 0.05 * np.log(4.0), choice


@pytest.fixture(scope="module")
def mortgage():
    return sc.solve(circuit_of(example("mortgage_mon", 3, n_a=100, n_b=17, n_r=3, n_y=3))), Mortgage()


@pytest.mark.slow
@pytest.mark.parametrize("i, r", [(0, 0), (0, 1), (2, 0), (2, 1)])
def test_a_mortgage_is_refinanced_when_rates_fall(mortgage, i, r):
    solved, referee = mortgage
    b, rates = 2.37, referee.r
    stages, a = solved[0], np.array([0.05, 0.3, 0.9, 2.0, 4.5, 9.0])
    at = dict(b=b, i=rates[i], r=rates[r])
    # Debt lies between rows of the solution, 0.25 apart.
    agree(stages["REFI"].arvl.sol.value(a=a, b=b, i=rates[i], r_pre=rates[r]), referee.arrive(0, a, b, i, r), atol=1e-3)
    value, p = referee.decide(0, a + 0.8, b, i, r)
    agree(stages["REFI"].dcsn.sol.value(m=a + 0.8, **at), value, atol=1e-3)
    agree(stages["REFI"].dcsn.sol.probability["keep"](m=a + 0.8, **at), p[0], atol=1e-2)
    x = np.array([0.4, 0.8, 1.3, 2.2, 4.0, 8.0])
    value, choice = referee.consume(0, x, b, i, r)
    agree(stages["CONS"].dcsn.sol.value(x=x, **at), value, atol=1e-3)
    agree(stages["CONS"].dcsn.sol.policy["c"](x=x, **at), choice, atol=1e-2)
