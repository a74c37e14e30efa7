"""Retirement without risk (Iskhakov, Jørgensen, Rust and Schjerning 2017) against its exact solution, date by date."""

import functools
import itertools

import jax
import numpy as np
import pytest

import stagecraft as sc

MODEL = """
model:
  name: Retirement
  horizon: {T}
  terminal: 0
  parameters: {{beta: 0.98, r: 0.02, w: 20.0, delta: 1.0, sigma_eps: 0.0}}
  settings: {{n: {n}, a_max: 500.0}}
  connections:
    intra_period: [{{source: LABR.work, target: WORK}}, {{source: LABR.retire, target: RETD}}]
    inter_period: [{{source: WORK, target: LABR, mapping: {{b: a}}}}, {{source: RETD, target: RETD, mapping: {{b: a}}}}]
stages:
  LABR:
    kind: branching
    parameters: {{delta: [delta], sigma_eps: [sigma_eps]}}
    math:
      branches:
        work:   {{g_ve: a = a, Q: "V[>] - delta"}}
        retire: {{g_ve: a = a, Q: "V[>]"}}
      choice: {{by: agent, taste_shock: gumbel, scale: sigma_eps}}
      state_space: {{arvl: {{dimensions: [a]}}, cntn.work: {{dimensions: [a]}}, cntn.retire: {{dimensions: [a]}}}}
  WORK: &consume
    parameters: {{beta: [beta], r: [r], w: [w]}}
    settings: {{n: [n], a_max: [a_max]}}
    math: &math
      functions: {{g_av: m = (1+r)*a + w, g_ve: b = m - c, Q: "log(c) + beta*V[>]"}}
      controls: {{c: 0 < c <= m}}
      state_space:
        arvl: {{dimensions: [a]}}
        dcsn: {{dimensions: [m]}}
        cntn: {{grid: {{b: {{type: power, min: 0.0, max: a_max, points: n}}}}}}
  RETD:
    <<: *consume
    parameters: {{beta: [beta], r: [r]}}
    math:
      <<: *math
      functions: {{g_av: m = (1+r)*a, g_ve: b = m - c, Q: "log(c) + beta*V[>]"}}
"""
PAPER = dict(beta=0.98, r=0.02, w=20.0, delta=1.0)
CALIBRATIONS = {
    "paper": PAPER,
    "patience and interest cancel": PAPER | dict(beta=1 / 1.02),
    "impatient": PAPER | dict(beta=0.9, r=0.03),
    "patient": PAPER | dict(beta=0.99, r=0.06, delta=0.6),
    "no interest, no discounting": PAPER | dict(beta=1.0, r=0.0),
    "work is light": PAPER | dict(delta=0.3),
    "work is hard": PAPER | dict(delta=1.8, w=40.0),
    "low wage": PAPER | dict(w=8.0, delta=0.7, r=0.04),
    "bound until a jump": dict(beta=0.93, r=0.01, w=40.0, delta=1.65),
}
SIZES = {5: 400, 12: 1_000}


class Exact:
    """The value of working now with cash m, the best over the dates of retirement and of running out of assets.

    With K more periods of work the problem is concave, and its optimum runs out of assets for the first time in some period;
    until then consumption grows by beta*(1+r). Every candidate is tried, and those that would borrow are dropped.
    """

    def __init__(self, *, T, beta, r, w, delta):
        self.T, self.beta, self.R, self.w, self.delta = T, beta, 1 + r, w, delta
        self._after = {}

    def plan(self, m, left, work):
        """Value and consumption with `left` periods, this one included, and wages in the next `work` of them."""
        m = np.asarray(m, float)
        best, choice = np.full(m.shape, -np.inf), np.full(m.shape, np.nan)
        growth, R = self.beta * self.R, self.R
        for n in itertools.chain(range(1, work + 1), [left]):
            k = np.arange(n)
            income = np.where((k >= 1) & (k <= work), self.w, 0.0)
            first = (m + (income * R**-k).sum()) / ((growth / R) ** k).sum()
            feasible, assets, value = np.ones(m.shape, bool), m, np.zeros(m.shape)
            for j in range(n):
                assets = assets + income[j] - first * growth**j if j else m - first
                feasible &= (assets >= -1e-12 * (1 + m)) | (j == n - 1)
                with np.errstate(all="ignore"):
                    value = value + self.beta**j * np.log(first * growth**j)
                assets = R * assets
            if n < left:
                value = value + self.beta**n * self._penniless(left - n, work - n)
            better = feasible & (value > best)
            best, choice = np.where(better, value, best), np.where(better, first, choice)
        return best, choice

    def _penniless(self, left, work):
        """The value of arriving with nothing but this period's wage."""
        if (left, work) not in self._after:
            self._after[left, work] = float(self.plan(self.w, left, work)[0])
        return self._after[left, work]

    def worker(self, t, m):
        """Value, consumption and further periods of work of who works in period t, whose own toil is not in it."""
        left = self.T - t
        toil = lambda work: self.delta * (self.beta ** np.arange(1, work + 1)).sum()
        plans = [self.plan(m, left, work) for work in range(left)]
        values = np.stack([value - toil(work) for work, (value, _) in enumerate(plans)])
        date, choices = values.argmax(axis=0), np.stack([choice for _, choice in plans])
        return values.max(axis=0), np.take_along_axis(choices, date[None], axis=0)[0], date

    def retiree(self, t, m):
        """Value and consumption of who is retired in period t."""
        return self.plan(m, self.T - t, 0)

    def gain(self, t, a):
        """What work is worth above retirement, on arrival with assets a."""
        with np.errstate(divide="ignore"):
            return self.worker(t, self.R * a + self.w)[0] - self.delta - self.retiree(t, self.R * a)[0]


@functools.cache
def circuit(T, n):
    return sc.load(MODEL.format(T=T, n=n))


@functools.cache
def solved(T, n, name):
    values = {f"main.{key}": value for key, value in CALIBRATIONS[name].items()}
    return sc.solve(circuit(T, n).with_parameters(values)), Exact(T=T, **CALIBRATIONS[name])


def places(sol):
    """From 1 % of the grid to its end: the knots, and points that are not."""
    knots = np.asarray(sol.rows.state)
    return np.concatenate([knots[(knots >= 5) & (knots <= 500)], np.linspace(5, 500, 991)])


def worst_value(T, n, name):
    circuit, exact = solved(T, n, name)
    gaps = []
    for t in (0, T // 2, T - 2, T - 1):
        sol = circuit[t]["WORK"].dcsn.sol
        m = places(sol)
        gaps.append(np.max(np.abs(sol.value(m=m) - exact.worker(t, m)[0])))
    return max(gaps)


def crossings(function, points):
    """Where a function changes sign between points, by bisection."""
    sign = function(points) > 0
    (at,) = np.nonzero(sign[1:] != sign[:-1])
    low, high, first = points[at], points[at + 1], sign[at]
    for _ in range(45):
        middle = 0.5 * (low + high)
        same = (function(middle) > 0) == first if len(at) else first
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return low


def search(m, work, *, beta, r, w):
    """Three periods by brute force: the best two levels of saving in a box that shrinks around the best so far."""
    R, w1, w2 = 1 + r, w * (work >= 1), w * (work >= 2)
    box = np.array([[0.0, m], [0.0, R * m + w1]])
    for _ in range(14):
        a1, a2 = np.linspace(*box[0], 41)[:, None], np.linspace(*box[1], 41)[None, :]
        with np.errstate(all="ignore"):
            value = np.log(m - a1) + beta * np.log(R * a1 + w1 - a2) + beta**2 * np.log(R * a2 + w2)
        value = np.where(np.isfinite(value), value, -np.inf)
        i, j = np.unravel_index(value.argmax(), value.shape)
        best = np.array([a1[i, 0], a2[0, j]])
        width = (box[:, 1] - box[:, 0]) / 8
        box = np.maximum(np.stack([best - width, best + width], axis=1), 0.0)
    return value.max(), m - best[0]


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_the_exact_solution_is_what_brute_force_finds(name):
    given = CALIBRATIONS[name]
    exact, (beta, delta) = Exact(T=3, **given), (given["beta"], given["delta"])
    budget = {key: given[key] for key in ("beta", "r", "w")}
    for m in (3.0, 18.0, 25.0, 60.0, 250.0):
        plans = [search(m, work, **budget) for work in range(3)]
        values = [value - delta * (beta * (work >= 1) + beta**2 * (work >= 2)) for work, (value, _) in enumerate(plans)]
        value, choice, date = exact.worker(0, np.array([m]))
        assert date[0] == np.argmax(values)
        np.testing.assert_allclose(value, max(values), atol=1e-8)
        np.testing.assert_allclose(choice, plans[date[0]][1], rtol=1e-4)


@pytest.mark.parametrize("name", CALIBRATIONS)
@pytest.mark.parametrize("T", [pytest.param(T, marks=pytest.mark.slow) if T > min(SIZES) else T for T in SIZES])
def test_the_value_of_a_worker_is_exact_on_the_knots_and_off_them(T, name):
    assert worst_value(T, SIZES[T], name) < 1e-4


@pytest.mark.slow
def test_knots_on_both_sides_of_the_switches_make_few_points_enough():
    """Twenty periods from 200 points: without those knots the values of some calibrations are off by more than 1e-2."""
    text = MODEL.format(T=20, n=200)
    for place, word in (("    parameters: {beta: [beta], r: [r], w: [w]}", "refined"), ("    <<: *consume", "auto")):
        assert text.count(place) == 1
        text = text.replace(place, f"{place}\n    methods: {{upper_envelope: {word}}}")
    circuit = sc.load(text)
    for name, given in CALIBRATIONS.items():
        solved = sc.solve(circuit.with_parameters({f"main.{key}": value for key, value in given.items()}))
        exact = Exact(T=20, **given)
        for t in (0, 8, 15):
            sol = solved[t]["WORK"].dcsn.sol
            m = places(sol)
            assert np.max(np.abs(sol.value(m=m) - exact.worker(t, m)[0])) < 5e-6, (name, t)


@pytest.mark.slow
def test_the_error_of_the_value_falls_with_the_spacing():
    coarse, fine = (max(worst_value(5, n, name) for name in CALIBRATIONS) for n in (400, 800))
    assert fine < coarse / 3 and fine < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("T", SIZES)
def test_the_value_of_a_worker_is_exact_whatever_the_calibration(T):
    rng, gaps = np.random.default_rng(0), []
    for i in range(60):
        low, high = (0.9, 0.0, 15.0, 0.2), (1.0, 0.06, 45.0, 2.0)
        CALIBRATIONS[i] = dict(zip(PAPER, rng.uniform(low, high), strict=True))
        gaps.append(worst_value(T, SIZES[T], i))
        del CALIBRATIONS[i]
    assert max(gaps) < 1e-4 and np.median(gaps) < 1e-7


@pytest.mark.parametrize("name", CALIBRATIONS)
@pytest.mark.parametrize("T", SIZES)
def test_a_retiree_is_solved_exactly_from_a_crumb_on(T, name):
    circuit, exact = solved(T, SIZES[T], name)
    m = np.concatenate([np.geomspace(1e-4, 5, 40), np.linspace(5, 500, 400)])
    for t in (0, T // 2, T - 1):
        sol, (value, choice) = circuit[t]["RETD"].dcsn.sol, exact.retiree(t, m)
        np.testing.assert_allclose(sol.value(m=m), value, atol=1e-8)
        np.testing.assert_allclose(sol.policy["c"](m=m), choice, rtol=1e-8)


@pytest.mark.parametrize("name", CALIBRATIONS)
@pytest.mark.parametrize("T", SIZES)
def test_households_retire_at_the_exact_level_of_assets(T, name):
    circuit, exact = solved(T, SIZES[T], name)
    for t in (0, T // 2, T - 2):
        works = circuit[t]["LABR"].dcsn.sol.probability["work"]
        exactly = crossings(lambda a, t=t: exact.gain(t, a), np.linspace(1, 480, 800))
        found = crossings(lambda a, works=works: np.asarray(works(a=a)) - 0.5, np.linspace(1, 480, 800))
        np.testing.assert_allclose(found, exactly, atol=1e-6)


@pytest.mark.parametrize("name", CALIBRATIONS)
@pytest.mark.parametrize("T", SIZES)
def test_the_value_on_arrival_is_that_of_the_better_branch(T, name):
    circuit, exact = solved(T, SIZES[T], name)
    a = np.linspace(5, 450, 300)
    worker, retiree = exact.worker(0, exact.R * a + exact.w)[0] - exact.delta, exact.retiree(0, exact.R * a)[0]
    np.testing.assert_allclose(circuit[0]["LABR"].arvl.sol.value(a=a), np.maximum(worker, retiree), atol=1e-4)


@pytest.mark.parametrize("name", CALIBRATIONS)
@pytest.mark.parametrize("T", SIZES)
def test_consumption_is_exact_but_for_kinks_and_in_the_cells_of_jumps(T, name):
    """It is piecewise linear: exact but in cells with a kink where a constraint ahead begins to bind, first order there."""
    circuit, exact = solved(T, SIZES[T], name)
    m = np.linspace(5, 500, 991)
    for t in (0, T // 2):
        _, choice, date = exact.worker(t, m)
        near = np.zeros(m.shape, bool)
        for h in (0.25, 0.5):
            near |= exact.worker(t, m - h)[2] != exact.worker(t, m + h)[2]
        gap = np.abs(circuit[t]["WORK"].dcsn.sol.policy["c"](m=m) - choice)
        assert np.median(gap) < 1e-12 and gap[~near].max() < 1e-2 and near.mean() < 0.03


def test_marginal_values_are_marginal_utilities():
    circuit, exact = solved(5, 400, "paper")
    for t in (0, 2):
        sol = circuit[t]["WORK"].dcsn.sol
        m = np.array([3.0, 15.0, 60.0, 170.0, 420.0])
        np.testing.assert_allclose(sol.marginal["m"](m=m), 1 / exact.worker(t, m)[1], rtol=1e-10)


@pytest.mark.slow
def test_derivatives_at_a_hard_choice_are_those_of_the_exact_value():
    """With respect to patience, interest, wage and toil, where a worker is bound, works on for long, or soon retires."""
    m = np.array([12.0, 70.0, 130.0, 300.0])

    def values(parameters):
        period = sc.solve(circuit(5, 400).with_parameters(parameters))[0]
        return period["WORK"].dcsn.sol.value(m=m)

    jacobian = jax.jit(jax.jacrev(values))(solved(5, 400, "paper")[0].parameters)["main"]
    for name, value in PAPER.items():
        h = 1e-5 * value
        up, down = (Exact(T=5, **{**PAPER, name: value + s * h}).worker(0, m)[0] for s in (1, -1))
        np.testing.assert_allclose(jacobian[name], (up - down) / (2 * h), rtol=1e-5, atol=1e-7)
    assert np.isfinite(jacobian["sigma_eps"]).all()
