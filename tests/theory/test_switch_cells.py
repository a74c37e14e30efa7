"""Values that are stored while a choice switches between acting and resting: the switch stands inside a cell of the grid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc
from stagecraft.backward import fixed_point
from stagecraft.backward.stall import Stall
from stagecraft.functionals.kinked import at_kink, kinks_of
from stagecraft.horses.solution import Answer
from stagecraft.operators.interpolate import Segment

# A machine that wears out until it is replaced; `kept` is what is done beside keeping it.
MACHINE = """
dialect: 1
model:
  name: Machine
  horizon: {horizon}
  parameters: {{beta: 0.9, price: 3.0, wear: 1.0}}
  settings: {{n: {n}}}
  defaults: {{inherit: all}}
  connections: {{inter_period: [{{source: M.keep, target: M, mapping: {{x_nxt: x}}}}, {{source: M.swap, target: M, mapping: {{x_nxt: x}}}}]}}
stage:
  name: M
  kind: branching
  math:
    functions: {{"cost(x)": "0.1*x^1.5"}}
    branches:
      keep: {{g_ve: x_nxt = x + wear, Q: "-cost(x) + beta*V[>]"}}
      swap: {{g_ve: x_nxt = wear, Q: "-price + beta*V[>]"}}
    choice: {{by: agent}}
    state_space:
      arvl: {{dimensions: ["x"], grid: {{x: {{type: linspace, min: 0.0, max: 15.0, points: n}}}}, tabulate: true}}
      dcsn: {{dimensions: ["x"]}}
      cntn.keep: {{dimensions: ["x_nxt"]}}
      cntn.swap: {{dimensions: ["x_nxt"]}}
"""

# The same with care that slows the wear, sought by a search, and a replacement that brings what was used for a while.
CARE = """
dialect: 1
model:
  name: Care
  horizon: {horizon}
  parameters: {{beta: 0.9, price: 3.0, k: 1.5}}
  settings: {{n: {n}}}
  defaults: {{inherit: all}}
  connections:
    intra_period: [{{source: M.keep, target: USE, mapping: {{x_c: x}}}}, {{source: M.swap, target: USE, mapping: {{x_c: x}}}}]
    inter_period: [{{source: USE, target: M, mapping: {{x_nxt: x}}}}]
stages:
  M:
    kind: branching
    math:
      branches: {{keep: {{g_ve: x_c = x, Q: "V[>]"}}, swap: {{g_ve: x_c = 0.5, Q: "V[>] - price"}}}}
      choice: {{by: agent}}
      state_space:
        arvl: {{dimensions: ["x"]}}
        dcsn: {{dimensions: ["x"]}}
        cntn.keep: {{dimensions: ["x_c"]}}
        cntn.swap: {{dimensions: ["x_c"]}}
  USE:
    methods: {{solution: vfi}}
    math:
      functions: {{g_ve: x_nxt = x + 1 - m, Q: "-0.1*x^1.5 - k*m^2 + beta*V[>]"}}
      controls: {{m: 0 <= m <= 0.9}}
      state_space:
        arvl: {{dimensions: ["x"]}}
        dcsn: {{dimensions: ["x"], grid: {{x: {{type: linspace, min: 0.0, max: 14.0, points: n}}}}}}
        cntn: {{dimensions: ["x_nxt"], grid: {{x_nxt: {{type: linspace, min: 0.0, max: 15.0, points: n}}}}}}
"""

SLOW = pytest.mark.slow


def machine(periods, price=3.0, wear=1.0, cost=lambda x: 0.1 * x**1.5, best=np.maximum):
    """Ages and values of the machine, by value iteration with lines between very many knots."""
    x, value = np.linspace(0.0, 15.0, 60001), np.zeros(60001)
    for _ in range(periods):
        keep = 0.9 * np.interp(np.minimum(x + wear, 15.0), x, value) - cost(x)
        value = best(keep, 0.9 * np.interp(wear, x, value) - price)
    return x, value


def care(periods):
    """The same with care, sought on a lattice."""
    x, m, value = np.linspace(0.0, 15.0, 3001), np.linspace(0.0, 0.9, 361), np.zeros(3001)
    after = np.minimum(x[:, None] + 1 - m, 15.0)
    for _ in range(periods):
        use = np.max(-0.1 * x[:, None] ** 1.5 - 1.5 * m**2 + 0.9 * np.interp(after, x, value), axis=1)
        value = np.maximum(use, np.interp(0.5, x, use) - 3.0)
    return x, value


@pytest.mark.parametrize(
    ("horizon", "periods", "n", "cost", "close"),
    [
        ("7\n  terminal: 0", 7, 40, "0.1*x^1.5", 5e-4),
        pytest.param("infinite", 300, 40, "0.1*x^1.5", 3e-4, marks=SLOW),
        pytest.param("infinite", 300, 20, "0.1*x^1.5", 0.1, marks=SLOW),
        pytest.param("infinite", 300, 60, "0.3*x + 0.4*log(1 + x)", 1e-3, marks=SLOW),
        pytest.param("infinite", 300, 81, "0.1*x^1.5", 1e-4, marks=SLOW),
    ],
)
def test_a_machine_is_replaced_when_it_should_be(horizon, periods, n, cost, close):
    numbers = eval(f"lambda x: {cost.replace('^', '**')}", {"log": np.log})
    x, value = machine(periods, cost=numbers)
    solved = sc.solve(sc.load(MACHINE.format(horizon=horizon, n=n).replace("0.1*x^1.5", cost)))
    inside = (x > 1.0) & (x < 14.0)
    found = solved[0]["M"].arvl.sol.value(x=x[inside])
    np.testing.assert_allclose(found, value[inside], atol=close)


@SLOW
@pytest.mark.parametrize("scale", [0.3, 0.03])
def test_where_taste_shocks_round_a_switch_off_nothing_kinks(scale):
    """The larger one of both sides would be a share of the scale too low, as much as .007."""
    shocks = f"{{by: agent, taste_shock: gumbel, scale: {scale}}}"
    solved = sc.solve(sc.load(MACHINE.format(horizon="infinite", n=80).replace("{by: agent}", shocks)))
    x, value = machine(300, best=lambda a, b: scale * np.logaddexp(a / scale, b / scale))
    inside = (x > 1.0) & (x < 14.0)
    np.testing.assert_allclose(solved[0]["M"].arvl.sol.value(x=x[inside]), value[inside], atol=5e-4)


@pytest.mark.parametrize(
    ("horizon", "periods", "n", "close"),
    [
        ("4\n  terminal: 0", 4, 40, 1e-4),
        pytest.param("infinite", 200, 40, 5e-3, marks=SLOW),
        pytest.param("infinite", 200, 41, 5e-3, marks=SLOW),
        pytest.param("infinite", 200, 80, 1e-3, marks=SLOW),
    ],
)
def test_care_that_is_sought_before_a_replacement(horizon, periods, n, close):
    x, value = care(periods)
    solved = sc.solve(sc.load(CARE.format(horizon=horizon, n=n)))
    inside = x < 13.0
    np.testing.assert_allclose(solved[0]["M"].arvl.sol.value(x=x[inside]), value[inside], atol=close)


@pytest.mark.parametrize(("horizon", "periods"), [("7\n  terminal: 0", 7), pytest.param("infinite", 300, marks=SLOW)])
def test_derivatives_are_those_of_brute_force(horizon, periods):
    """Of the price, and of the wear, which moves every switch."""
    at, step = np.array([1.7, 2.2, 3.3, 4.4, 6.0]), 1e-3
    circuit = sc.load(MACHINE.format(horizon=horizon, n=60))
    of = lambda price, wear: np.interp(at, *machine(periods, price, wear))
    right = [of(3 + step, 1) - of(3 - step, 1), of(3, 1 + step) - of(3, 1 - step)]
    worth = lambda q: sc.solve(circuit.with_parameters({"main.price": q[0], "main.wear": q[1]}))[0]["M"].arvl.sol.value(x=at)
    for mode in (jax.jacfwd, jax.jacrev):
        np.testing.assert_allclose(mode(worth)(jnp.array([3.0, 1.0])), np.stack(right, axis=1) / (2 * step), atol=1e-3)


def test_slopes_are_averaged_and_then_held_where_changes_become_no_smaller():
    stall, seen = Stall.begin(jnp.zeros(()).dtype).seen(jnp.zeros(())), 1.0

    def of(new, old):
        found = answer(jnp.zeros(2), jnp.array([new, jnp.inf]))
        return stall.hold({"S.cntn": (None, {"x": jnp.array([old, 0.0])})})("S.cntn", found).marginal["x"]

    for _ in range(300):  # However slowly: this is convergence.
        stall, seen = stall.seen(jnp.asarray(seen)), 0.98 * seen
        assert of(1.0, 0.0)[0] == 1.0
    shares = []
    for _ in range(300):
        stall = stall.seen(jnp.asarray(seen))
        shares.append(float(of(1.0, 0.0)[0]))
    assert shares[50] == 1.0 and shares[-1] == 0.0
    assert np.all(np.diff(shares) <= 0) and np.isinf(of(1.0, 0.0)[1])


def answer(value, slope):
    """That a state is worth so much, and so much more with more of it."""
    return Answer(value, {"x": slope}, jnp.ones_like(value), jnp.isfinite(value), jnp.zeros_like(value))


def between(knots, value, slope, at):
    """A cubic, and what is said where cells kink."""
    kinks = kinks_of(knots, value, slope, jnp.isfinite(value))
    segment = Segment(knots, at)
    ends = segment.ends(value), {"x": segment.ends(slope)}, segment.ends(jnp.ones_like(value))
    smooth = answer(segment.hermite(value, slope), jnp.zeros_like(at))
    return kinks, at_kink(ends, jax.tree.map(segment.here, kinks), smooth, segment, "x")


SMOOTH = {
    "log": lambda x: jnp.log(x),
    "power": lambda x: -(x**-3.0),
    "costs": lambda x: -0.1 * x**1.5,
    "convex": lambda x: x**2.5,
    "line": lambda x: 2.0 - 3.0 * x,
}


@pytest.mark.parametrize("of", SMOOTH)
@pytest.mark.parametrize("spaced", [np.linspace, np.geomspace])
def test_where_nothing_switches_nothing_kinks(of, spaced):
    knots = jnp.asarray(spaced(0.5, 12.0, 40))
    value, slope = jax.vmap(jax.value_and_grad(SMOOTH[of]))(knots)
    at = jnp.linspace(0.5, 12.0, 1001)
    _, found = between(knots, value, slope, at)
    segment = Segment(knots, at)
    np.testing.assert_allclose(found.value, segment.hermite(value, slope), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("place", np.linspace(3.0, 3.5, 11) + 1e-3)
@pytest.mark.parametrize("jump", [0.1, 1.0])
def test_a_switch_is_found_wherever_it_stands(place, jump):
    """Between the knots, at one, next to one: to the third order, slopes and the derivative of its place included."""
    rest = lambda x: jnp.log(x)
    act = lambda x, p: jnp.log(p) + (1 / p + jump) * (x - p) - 0.1 * (x - p) ** 2
    best = lambda x, p: jnp.maximum(rest(x), act(x, p))
    at = jnp.linspace(1.5, 5.9, 400)
    errors = []
    for n in (21, 41):
        knots = jnp.linspace(1.0, 6.0, n)

        def read(p, knots=knots):
            value, slope = jax.vmap(jax.value_and_grad(best), (0, None))(knots, p)
            return between(knots, value, slope, at)[1].value

        found, moved = jax.jvp(read, (place,), (1.0,))
        errors.append(float(jnp.max(jnp.abs(found - best(at, place)))))
        gap = jnp.abs(at - place) > 0.02
        right = jax.vmap(jax.grad(best, 1), (0, None))(at, place)
        np.testing.assert_allclose(moved[gap], right[gap], atol=0.03)
    assert errors[0] < 1e-3 and errors[1] < 2e-4


def test_an_infinite_slope_is_no_kink():
    knots = jnp.linspace(0.0, 5.0, 21)
    value, slope = jnp.sqrt(knots), jnp.append(jnp.inf, 0.5 / jnp.sqrt(knots[1:]))
    read = lambda v: kinks_of(knots, v, slope, jnp.isfinite(v))
    kinks, moved = jax.jvp(read, (value,), (jnp.ones_like(value),))
    assert all(jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves((kinks, moved))) and kinks.sure[0] == 0


@SLOW
def test_the_bound_of_values_without_a_control_covers_their_error(monkeypatch):
    """Nobody stores a control: what the future counts is told by the table; it was nothing, and the bound a tenth of a step."""
    exact = sc.solve(sc.load(MACHINE.format(horizon="infinite", n=60)))
    monkeypatch.setattr(fixed_point, "_NEWTON", 0)
    at = np.linspace(0.0, 14.0, 200)
    right = np.asarray(exact[0]["M"].arvl.sol.value(x=at))
    np.testing.assert_allclose(exact[0]["M"].arvl.sol.at(x=at).weight, 10.0, rtol=1e-6)
    for tolerance in (1e-2, 1e-4):
        text = MACHINE.format(horizon="infinite", n=60).replace("{n: 60}", f"{{n: 60, tolerance: {tolerance}}}")
        loose = sc.solve(sc.load(text))
        error = np.max(np.abs(np.asarray(loose[0]["M"].arvl.sol.value(x=at)) / right - 1))
        assert 0 < error < loose.info.error_bound <= tolerance, (tolerance, error)
        assert not loose.info.ending.held  # What converges is never held, however slowly.
