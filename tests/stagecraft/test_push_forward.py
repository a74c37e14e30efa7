"""Distributions: lotteries, duality with the pull of functions, conservation, agreement with panels, and gradients."""

import functools
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import stagecraft as sc
from stagecraft.circuit.composer import period_at
from stagecraft.forward.mass import advance
from stagecraft.forward.walk import walk
from stagecraft.functionals.decision import Tabulated
from stagecraft.horses.arrival import weights_of
from stagecraft.horses.solution import Answer, Table
from stagecraft.households.cells import cells, settle, spread
from stagecraft.households.population import Population
from stagecraft.operators.lottery import lottery

sys.path.insert(0, str(Path(__file__).parent))
from models import BUFFER

MODELS = Path(__file__).parents[1] / "models"


def text(name: str, *changes: tuple[str, str]) -> str:
    found = (MODELS / f"{name}.yml").read_text()
    for old, new in changes:
        assert old in found, old
        found = found.replace(old, new)
    return found


CONS = text("cons_indshock", ("horizon: 65", "horizon: 8"), ("n_a: 200", "n_a: 60"))
RETIRE = text("ret_choice", ("horizon: 20", "horizon: 5"), ("n: 500", "n: 100"))
HOUSING = text("housing", ("horizon: 20", "horizon: 4"), ("n_a: 400", "n_a: 60"))
STARTS = {
    "cons": (CONS, {"a": 1.0}),
    "retire": (RETIRE, {"LABR": {"a": jnp.linspace(20.0, 90.0, 400)}}),
    "housing": (HOUSING, {"a": 2.0, "H": 1.0, "y_pre": 0.526}),
}


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("retire", "housing")]


@pytest.fixture(scope="module", params=["cons", *SLOW])
def pushed(request):
    model, initial = STARTS[request.param]
    return sc.push_forward(sc.solve(sc.load(model)), initial, refine=4), initial


@pytest.fixture(scope="module")
def buffer():
    return sc.solve(sc.load(BUFFER))


def test_a_lottery_keeps_mass_and_mean():
    key = jax.random.split(jax.random.key(0), 3)
    x, z = jax.random.uniform(key[0], (50,), maxval=3.0), jax.random.uniform(key[1], (50,), maxval=2.0)
    w = jax.random.uniform(key[2], (50,))
    grids = jnp.array([0.0, 0.5, 1.0, 3.0]), jnp.array([0.0, 1.0, 2.0])
    landed = lottery((x, z), w, grids, (False, False))
    np.testing.assert_allclose(landed.mass.sum(), w.sum(), rtol=1e-14)
    np.testing.assert_allclose(jnp.sum(landed.mass.sum(1) * grids[0]), jnp.sum(w * x), rtol=1e-13)
    np.testing.assert_allclose(jnp.sum(landed.mass.sum(0) * grids[1]), jnp.sum(w * z), rtol=1e-13)
    np.testing.assert_allclose(jnp.einsum("ij,i,j", landed.mass, *grids), jnp.sum(w * x * z), rtol=1e-13)
    assert float(jnp.sum(landed.above)) == float(jnp.sum(landed.below)) == 0.0


def test_a_lottery_reports_what_lay_beyond_the_ends():
    landed = lottery(
        (jnp.array([-1.0, 0.0, 2.0, 5.0]),), jnp.array([0.1, 0.2, 0.3, 0.4]), (jnp.array([0.0, 1.0, 2.0]),), (False,)
    )
    np.testing.assert_allclose(landed.mass, [0.3, 0.0, 0.7])
    np.testing.assert_allclose([landed.above[0], landed.below[0]], [0.4, 0.1])
    exact = lottery((jnp.array([1.0, 2.2]),), jnp.array([0.5, 0.5]), (jnp.array([1.0, 2.0]),), (True,))
    np.testing.assert_allclose(exact.mass, [0.5, 0.5])
    np.testing.assert_allclose(exact.above, [0.5])


def test_the_mean_of_a_lottery_moves_with_the_position_even_on_a_knot():
    grid = jnp.array([0.0, 0.5, 1.0, 3.0])
    mean = lambda x: jnp.sum(lottery((x,), jnp.full(4, 0.25), (grid,), (False,)).mass * grid)
    np.testing.assert_allclose(jax.grad(mean)(jnp.array([0.5, 0.7, 3.0, 4.0])), [0.25, 0.25, 0.25, 0.0], atol=1e-15)


def pull(period, block, targets, name, states):
    """A function of next period's arrivals, seen from the arrival of a stage of this one: nodes, odds, transitions."""
    stage, decision = period.stage(name), period.decision(name)
    law = weights_of(stage.dcsn_to_arvl.operator.problem, states)
    total = 0.0
    for k in range(law.shape[0]):
        shocks = {
            n: jnp.full_like(next(iter(states.values())), v[k]) for n, v in stage.dcsn_to_arvl.operator.problem.nodes.items()
        }
        at = stage.arvl_to_dcsn.operator(states, shocks)
        answer = decision.at(at)
        several = len(answer.probability) > 1
        cases = []
        if stage.branching:
            for b in stage.num.branches:
                posts = stage.dcsn_to_cntn[b.name].operator(at, answer.policy)
                cases.append((answer.probability[b.name], b.name, posts))
        elif several:
            stack = decision.stack(at)
            for i, label in enumerate(decision.labels):
                posts = stage.dcsn_to_cntn.operator(at, {n: x[i] for n, x in stack.policy.items()})
                cases.append((answer.probability[label], "", posts))
        else:
            cases.append((1.0, "", stage.dcsn_to_cntn.operator(at, answer.policy)))
        for odds, branch, posts in cases:
            link = block.following(name, branch)
            there = {to: posts[here] for here, to in link.mapping}
            there |= {n: jnp.full_like(odds * law[k], f(period.circuit.scope(name, period.t))) for n, f in link.constants}
            seen = targets[link.target](there) if link.crosses else pull(period, block, targets, link.target, there)
            total += law[k] * jnp.where(odds > 0, odds * seen, 0.0)
    return total


@functools.partial(jax.jit, static_argnames="t")
def both_sides(solved, t):
    """A random function after a random mass was pushed, and before it was pulled; the mass that left the grid."""
    block = solved.structure.block(t)
    i = solved.structure.blocks.index(block)
    period = period_at(solved, i, jnp.asarray(t), False)
    entering, targets, values = {}, {}, {}
    for j, entry in enumerate(block.entries):
        axes, after = (cells(solved, entry, jnp.asarray(t + s)) for s in (0, 1))
        sizes, key = tuple(axis.values.shape[0] for axis in axes), jax.random.fold_in(jax.random.key(5), j)
        entering[entry] = spread(axes, jax.random.uniform(key, sizes))
        f = values[entry] = jax.random.normal(jax.random.fold_in(key, 10), sizes)
        flat = Table(Answer(f, {}, f, f == f, f))
        targets[entry] = lambda x, flat=flat, after=after: Tabulated(flat, after, "linear").at(x).value
    _, leaving = advance(period, entering)
    pulled = sum(jnp.sum(pull(period, block, targets, n, x.states) * x.weights) for n, x in entering.items())
    after = {n: settle(cells(solved, n, jnp.asarray(t + 1)), x) for n, x in leaving.items()}
    pushed = sum(jnp.sum(values[n] * x.mass) for n, x in after.items())
    return pushed, pulled, sum(jnp.sum(x.above) + jnp.sum(x.below) for x in after.values())


@pytest.mark.parametrize("name", ["cons", *SLOW])
def test_pushing_a_distribution_is_the_transpose_of_pulling_a_function(name):
    pushed, pulled, outside = both_sides(sc.solve(sc.load(STARTS[name][0])), 1)
    # Beyond an end the lottery stops where the interpolation goes on.
    assert float(outside) == 0.0
    np.testing.assert_allclose(pushed, pulled, rtol=1e-12)


def test_nobody_is_lost(pushed):
    pushed, _ = pushed
    for t, block in enumerate([pushed.structure.block(t) for t in range(len(pushed))]):
        period = pushed[t]
        masses = pushed.dists.masses[pushed.structure.blocks.index(block)]
        arrived = 1.0 if t == 0 else sum(jnp.sum(x[t - block.first]) for x in masses.values())
        np.testing.assert_allclose(arrived, 1.0, rtol=1e-13)
        left = 0.0
        for n in block.stages:
            stage = period[n]
            if not stage.arvl.dist:
                continue
            ends = stage.cntn.items() if stage.branching else [("", stage.cntn)]
            out = sum(end.dist.mass for _, end in ends)
            np.testing.assert_allclose(stage.dcsn.dist.mass, stage.arvl.dist.mass, rtol=1e-13)
            np.testing.assert_allclose(out, stage.arvl.dist.mass, rtol=1e-13)
            left += sum(end.dist.mass for b, end in ends if block.following(n, b).crosses)
        np.testing.assert_allclose(left, 1.0, rtol=1e-13)


def test_a_walk_takes_whoever_meets_at_a_stage_on_together():
    """Two ways from A to D, one of which leaves the period; whoever walks counts the ways that it came."""
    link = lambda target, crosses=False: SimpleNamespace(target=target, crosses=crosses)
    onward = {"A": [link("B"), link("C")], "B": [link("D")], "C": [link("D"), link("A", True)], "D": [link("A", True)], "E": []}
    block = SimpleNamespace(stages=("A", "B", "C", "D", "E"))
    visit = lambda name, ways: (ways, [(end, ways) for end in onward[name]])
    kept, leaving = walk(block, {"A": 1, "C": 10}, visit, lambda *parts: sum(parts))
    assert kept == {"A": 1, "B": 1, "C": 11, "D": 12}
    assert leaving == {"A": 23}


WATCHED = {
    "cons": {"CONS": ["c", "a_nxt"]},
    "retire": {"WORK": ["c"], "RETD": ["c"]},
    "housing": {"TENU": ["a"], "OWNC": ["c"]},
}


@pytest.mark.parametrize("name", ["cons", *SLOW])
def test_moments_agree_with_those_of_a_panel(name):
    model, initial = STARTS[name]
    # A distribution on few points under a hard choice needs finer cells than the solution does.
    solved, refine = sc.solve(sc.load(model)), {"cons": 4, "retire": 8, "housing": 16}[name]
    agents = 8_000
    if name == "retire":
        initial = {"LABR": {"a": jnp.linspace(20.0, 90.0, agents)}}
    panel = sc.simulate(solved, initial, agents=agents, key=jax.random.key(11))
    pushed = sc.push_forward(solved, initial, refine=refine)
    for t in range(len(pushed)):
        for stage, names in WATCHED[name].items():
            if stage not in pushed[t].stages or not pushed[t][stage].dcsn.dist:
                continue
            here = pushed[t][stage]
            share = float(here.dcsn.dist.mass)
            inside = np.asarray(panel.inside(stage)[t])
            assert abs(inside.mean() - share) <= 4 * np.sqrt(max(share * (1 - share), 1e-12) / agents) + 1e-9
            if inside.sum() < 50:
                continue
            for v in names:
                dist = here.cntn.dist if v == "a_nxt" else here.dcsn.dist
                x = np.asarray(panel[stage][v][t])[inside]
                error = max(float(jnp.sqrt(jnp.maximum(dist.variance(v), 0.0))), x.std()) / np.sqrt(len(x))
                assert abs(x.mean() - float(dist.mean(v))) <= 4 * error + 1e-9, (t, stage, v)


@pytest.mark.slow
def test_gradients_of_aggregates_are_central_differences():
    circuit = sc.load(CONS)

    @jax.jit
    def aggregates(parameters):
        pushed = sc.push_forward(sc.solve(circuit.with_parameters(parameters)), {"a": 1.0})
        there = pushed[6]["CONS"]
        return jnp.stack([there.cntn.dist.mean("a_nxt"), there.dcsn.dist.mean("c"), there.dcsn.dist.variance("m")])

    slopes = jax.jit(jax.jacrev(aggregates))(circuit.parameters)
    for path in ("CONS.beta", "CONS.gamma", "CONS.R", "CONS.sigma_y", "CONS.theta"):
        scope, name = path.split(".")
        value, h = circuit.parameters[scope][name], 1e-5
        move = lambda s, scope=scope, name=name, value=value, h=h: aggregates(
            {**circuit.parameters, scope: {**circuit.parameters[scope], name: value + s * h}}
        )
        difference = (move(1) - move(-1)) / (2 * h)
        np.testing.assert_allclose(slopes[scope][name], difference, rtol=1e-5, atol=1e-8)


@pytest.mark.slow
def test_the_gradient_of_the_design_is_eager_too(buffer):
    circuit = sc.load(BUFFER)

    def wealth(parameters):
        pushed = sc.push_forward(sc.solve(circuit.with_parameters(parameters)), {"a": 1.0})
        return pushed[9]["CONS"].cntn.dist.mean("a_nxt")

    slopes = jax.grad(wealth)(circuit.parameters)
    assert float(slopes["main"]["beta"]) > 0 and slopes["CONS"]["G"].shape == (12,)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slopes))


def test_an_atom_is_exact_until_the_first_lottery(buffer):
    period = sc.push_forward(buffer, {"a": 1.234})[0]["CONS"]
    assert float(period.arvl.dist.mean("a")) == 1.234 and float(period.arvl.dist.variance("a")) == 0.0
    m = 1.03 / 1.02 * 1.234 + 0.3 + 0.7 * period.dcsn.dist.states["y"]
    np.testing.assert_allclose(period.dcsn.dist.states["m"], m, rtol=1e-13)
    np.testing.assert_allclose(period.dcsn.dist.states["c"], buffer[0]["CONS"].dcsn.sol.policy["c"](m=m), rtol=1e-12)


def test_a_sample_keeps_its_mean_and_frames_are_read(buffer):
    a = jnp.linspace(0.0, 3.0, 57)
    by_array = sc.push_forward(buffer, {"CONS": {"a": a}})
    by_frame = sc.push_forward(buffer, pd.DataFrame({"id": range(57), "a": np.asarray(a), "weight": 2.0}))
    np.testing.assert_allclose(by_array[0]["CONS"].arvl.dist.mean("a"), 1.5, rtol=1e-13)
    np.testing.assert_allclose(by_frame[7]["CONS"].dcsn.dist.mean("c"), by_array[7]["CONS"].dcsn.dist.mean("c"), rtol=1e-12)
    later = sc.push_forward(buffer, by_array[3]["CONS"].cntn.dist.rename({"a_nxt": "a"}))
    np.testing.assert_allclose(later[0]["CONS"].arvl.dist.mean("a"), by_array[4]["CONS"].arvl.dist.mean("a"), rtol=1e-12)


@pytest.mark.parametrize(
    ("initial", "says"),
    [
        ({"a": 99.0}, r"a = 99, off the grid of stage CONS's arrival, which runs from 0 to 20"),
        ({"a": np.array([1.0, -0.5])}, r"a = -0.5, off the grid"),
        ({"a": float("nan")}, "a that are not finite"),
        ({"b": 1.0}, "must give a; it gives b"),
        ({}, "it gives nothing"),
        ({"a": np.zeros((2, 2))}, "arrays of one axis"),
        ({"NONE": {"a": 1.0}}, "no stage `NONE`"),
        (pd.DataFrame({"wealth": [1.0]}), "no column a; it has wealth"),
    ],
)
def test_a_wrong_beginning_is_named(buffer, initial, says):
    with pytest.raises(ValueError, match=says):
        sc.push_forward(buffer, initial)


def test_an_unsolved_circuit_is_refused():
    with pytest.raises(ValueError, match="not solved"):
        sc.push_forward(sc.load(BUFFER), {"a": 1.0})


def test_mass_beyond_the_top_is_warned_of(buffer):
    solved = sc.solve(sc.load(BUFFER.replace("top: 20.0", "top: 2.0").replace("n: 40", "n: 20")))
    del buffer
    with pytest.warns(
        UserWarning, match=r"stage CONS, arrival: .*% of the households of period 1 lie above .*`a`.*raise its `max`"
    ):
        pushed = sc.push_forward(solved, {"a": 2.0})
        if float(jnp.max(pushed.dists.outside["CONS"])) < 1e-4:
            pytest.fail("nobody saves so much")


def test_mass_without_a_choice_is_an_error():
    model = BUFFER.replace("controls: {c: 0 < c <= m}", "controls: {c: 0.9 < c <= m}").replace("R: 1.03}", "R: 1.0}")
    solved = sc.solve(sc.load(model))
    with pytest.raises(ValueError, match="stage CONS: no feasible choice for .* in period 0"):
        sc.push_forward(solved, {"a": 0.0})


def test_a_pushed_circuit_forgets_when_it_is_solved_again(buffer):
    pushed = sc.push_forward(buffer, {"a": 1.0})
    assert pushed.with_parameters({"main.beta": 0.9}).dists is None and sc.solve(pushed).dists is None
    assert not buffer[0]["CONS"].arvl.dist and pushed[0]["CONS"].simulated


def test_who_dies_leaves():
    model = BUFFER.replace("mapping: {a_nxt: a}}", "mapping: {a_nxt: a}, survival: 0.9}")
    solved = sc.solve(sc.load(model))
    pushed = sc.push_forward(solved, {"a": 1.0})
    for t in (0, 1, 5):
        np.testing.assert_allclose(pushed[t]["CONS"].arvl.dist.mass, 0.9**t, rtol=1e-13)
    # In a panel, too, and the dead stay dead.
    alive = np.asarray(sc.simulate(solved, {"a": np.ones(4_000)}, key=jax.random.key(0)).inside("CONS"))
    assert alive[0].all() and not (alive[1:] & ~alive[:-1]).any()
    share = 0.9 ** np.arange(len(alive))
    assert (np.abs(alive.mean(axis=1) - share) <= 4 * np.sqrt(share * (1 - share) / 4_000)).all()


def test_types_enter_by_their_weights():
    model = BUFFER.replace("  connections:", "  types: {beta: [0.9, 0.97], weights: [0.25, 0.75]}\n  connections:", 1)
    solved = sc.solve(sc.load(model))
    pushed = sc.push_forward(solved, {"a": 1.0})
    one, two = (pushed.of_type(k)[6]["CONS"].cntn.dist for k in range(2))
    np.testing.assert_allclose([one.mass, two.mass], [0.25, 0.75], rtol=1e-13)
    alone = sc.push_forward(sc.solve(sc.load(BUFFER, parameters={"main.beta": 0.97})), {"a": 1.0})[6]["CONS"].cntn.dist
    np.testing.assert_allclose(two.mean("a_nxt"), alone.mean("a_nxt"), rtol=1e-12)
    both = pushed[6]["CONS"].cntn.dist
    np.testing.assert_allclose(both.mean("a_nxt"), 0.25 * one.mean("a_nxt") + 0.75 * two.mean("a_nxt"), rtol=1e-12)


def test_a_column_of_types_says_who_is_of_which(buffer):
    """Two rows of type 0 and one of type 1, as a panel reads them; every type is as if it were alone, and of its own mass."""
    model = BUFFER.replace("  connections:", "  types: {beta: [0.9, 0.97], weights: [0.25, 0.75]}\n  connections:", 1)
    solved = sc.solve(sc.load(model))
    frame = pd.DataFrame({"a": [0.5, 1.5, 3.0], "type": [0, 0, 1]})
    pushed = sc.push_forward(solved, frame)
    panel = sc.simulate(solved, frame, key=jax.random.key(0))
    parts = pushed[0]["CONS"].arvl.dist.by("type")
    for k, mass, mean in ((0, 2 / 3, 1.0), (1, 1 / 3, 3.0)):
        np.testing.assert_allclose([parts[k].mass, parts[k].mean("a")], [mass, mean], rtol=1e-12)
        here = np.asarray(panel.types) == k
        np.testing.assert_allclose([here.mean(), np.asarray(panel["a"])[0][here].mean()], [mass, mean])
    alone = sc.push_forward(sc.solve(sc.load(BUFFER, parameters={"main.beta": 0.9})), frame[:2][["a"]])[5]["CONS"].cntn.dist
    np.testing.assert_allclose(pushed[5]["CONS"].cntn.dist.by("type")[0].mean("a_nxt"), alone.mean("a_nxt"), rtol=1e-12)
    weighted = sc.push_forward(solved, frame.assign(weight=[1.0, 1.0, 6.0]))
    np.testing.assert_allclose(weighted.of_type(1)[6]["CONS"].arvl.dist.mass, 0.75, rtol=1e-12)
    # What a push leaves, as a distribution and as a frame, says it, too; a number is the type of all.
    for start in (parts[1], pushed[0]["CONS"].arvl.dist.to_pandas().query("type == 1"), {"a": 3.0, "type": 1}):
        again = sc.push_forward(solved, start)
        np.testing.assert_allclose(again.of_type(0)[2]["CONS"].arvl.dist.mass, 0.0)
        np.testing.assert_allclose(again[0]["CONS"].arvl.dist.mean("a"), 3.0)
    with pytest.raises(ValueError, match="gives type = 2; types are whole numbers from 0 to 1"):
        sc.push_forward(solved, frame.assign(type=2))
    with pytest.raises(ValueError, match="gives type, but the circuit has no types"):
        sc.push_forward(buffer, frame)


def test_statistics_of_weighted_points_are_those_of_numpy():
    x, w = np.array([3.0, 1.0, 2.0, 7.0]), np.array([0.2, 0.4, 0.3, 0.1])
    dist = Population({"x": jnp.asarray(x), "z": jnp.array([0.0, 1.0, 0.0, 1.0])}, jnp.asarray(w))
    np.testing.assert_allclose(dist.mean("x"), np.average(x, weights=w))
    np.testing.assert_allclose(dist.variance("x"), np.average((x - dist.mean("x")) ** 2, weights=w))
    pairs = np.abs(x[:, None] - x[None]) * w[:, None] * w[None]
    np.testing.assert_allclose(dist.gini("x"), pairs.sum() / (2 * np.average(x, weights=w)))
    np.testing.assert_allclose(dist.share("x", 0.1), 0.7 / np.average(x, weights=w))
    np.testing.assert_allclose(dist.lorenz("x", [0.0, 0.4, 1.0]), [0.0, 0.4 / 2.3, 1.0])
    np.testing.assert_allclose(dist.quantile("x", [0.0, 0.3, 0.4, 1.0]), [1.0, 1.0, 1.0, 7.0])
    parts = dist.by("z")
    np.testing.assert_allclose([parts[0.0].mass, parts[1.0].mean("x")], [0.5, (0.4 + 0.7) / 0.5])
    assert set(dist.marginal("x").states) == {"x"} and len(dist.to_pandas()) == 4
    np.testing.assert_allclose(dist.expect(lambda x, z: x * z), 0.4 + 0.7)
    with pytest.raises(KeyError, match="no `y` here; there are x, z"):
        dist.mean("y")


def test_wealth_at_the_limit_is_an_atom_of_quantiles(buffer):
    dist = sc.push_forward(buffer, {"a": 0.0})[11]["CONS"].cntn.dist
    poor = float(jnp.sum(jnp.where(dist.states["a_nxt"] < 1e-9, dist.weights, 0.0)))
    assert poor > 0.01 and float(dist.quantile("a_nxt", 0.9 * poor)) == 0.0


@pytest.mark.slow
def test_derivatives_see_the_jumps_of_a_hard_choice_move():
    """Households change sides where a switch moves; the central difference is taken over a wide step on fine cells."""
    model = RETIRE.replace("sigma_eps: 0.05", "sigma_eps: 0.0").replace("a_max: 500", "a_max: 250").replace("n: 100", "n: 250")
    circuit, sample = sc.load(model), {"LABR": {"a": jnp.linspace(1.0, 150.0, 20_001)}}

    @functools.partial(jax.jit, static_argnames="refine")
    def aggregates(delta, refine):
        period = sc.push_forward(sc.solve(circuit.with_parameters({"main.delta": delta})), sample, refine=refine)[3]
        work, rest = (period[name].dcsn.dist for name in ("WORK", "RETD"))
        return jnp.stack([work.mass, work.mass * work.mean("c") + rest.mass * rest.mean("c")])

    _, exact = jax.jvp(lambda d: aggregates(d, refine=2), (1.0,), (1.0,))
    difference = (aggregates(1.05, refine=8) - aggregates(0.95, refine=8)) / 0.1
    np.testing.assert_allclose(exact, difference, rtol=0.01)
    assert difference[1] < -5.0


HOURS = """
model:
  name: Hours
  horizon: 5
  terminal: 0
  parameters: {beta: 0.95, R: 1.03, gamma: 1.5, delta: 0.35, w: 1.0, s: 0.0}
  defaults: {inherit: all}
  connections: {inter_period: [{source: WORK, target: WORK, mapping: {a_nxt: a, z: z_pre}}]}
stage:
  name: WORK
  settings: {n: 300, top: 14.0}
  methods: {upper_envelope: refined}
  math:
    functions:
      g_av: m = R*a + 0.4
      g_ve: a_nxt = m + w*z*h - c
      Q: c^(1-gamma)/(1-gamma) - delta*h + beta*V[>]
    controls: {c: 0 < c <= m + w*z*h, h: {in: [0, 1]}}
    choice: {by: agent, taste_shock: gumbel, scale: s}
    shocks: {skill: {dimensions: [z], shock_method: markov, values: [0.8, 1.2], transition_matrix: [[0.7, 0.3], [0.2, 0.8]], given: z_pre}}
    state_space:
      arvl: {grid: {a: {type: linspace, min: 0, max: top, points: n}}, dimensions: [a, z_pre]}
      dcsn: {dimensions: [m, z]}
      cntn: {grid: {a_nxt: {type: linspace, min: 0, max: top, points: n}}, dimensions: [a_nxt, z]}
"""
POOR = {"a": jnp.linspace(0.5, 8.0, 5_001), "z_pre": jnp.full(5_001, 0.8)}


def aggregates_of(circuit, sample=POOR):
    """Mean hours, consumption and savings of period 0, as a function of the toil of work."""

    @functools.partial(jax.jit, static_argnames="refine")
    def aggregates(delta, refine):
        here = sc.push_forward(sc.solve(circuit.with_parameters({"main.delta": delta})), sample, refine=refine)[0]["WORK"]
        return jnp.stack([here.dcsn.dist.mean("h"), here.dcsn.dist.mean("c"), here.cntn.dist.mean("a_nxt")])

    return aggregates


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:stage WORK")
def test_derivatives_see_choices_of_hours_and_the_jumps_inherited_through_markov_states():
    aggregates = aggregates_of(sc.load(HOURS))
    _, slope = jax.jvp(lambda d: aggregates(d, refine=4), (0.35,), (1.0,))
    wide, narrow = ((aggregates(0.35 + h, refine=64) - aggregates(0.35 - h, refine=64)) / (2 * h) for h in (0.01, 0.005))
    # What is left of the step is of the first order, since the many jumps are not equally far apart.
    np.testing.assert_allclose(slope, 2 * narrow - wide, rtol=0.02, atol=0.03)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:stage WORK")
def test_a_derivative_that_misses_a_jump_says_so():
    plain = sc.load(HOURS.replace("  methods: {upper_envelope: refined}\n", "").replace("n: 300", "n: 100"))
    small = aggregates_of(plain.with_parameters({"main.s": 0.002}))
    with pytest.warns(UserWarning, match=r"a choice under small taste shocks turns within one cell for .*% of the households"):
        jax.block_until_ready(jax.jvp(lambda d: small(d, refine=1), (0.35,), (1.0,)))
        jax.effects_barrier()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.block_until_ready(small(0.35, refine=1))  # Nobody asked for a derivative.
        jax.effects_barrier()


RISKY = """
model:
  name: Hours under risk
  horizon: 3
  terminal: 0
  parameters: {beta: 0.95, R: 1.03, gamma: 1.5, delta: 0.35, w: 1.0, sy: 0.3}
  defaults: {inherit: all}
  connections: {inter_period: [{source: WORK, target: WORK, mapping: {a_nxt: a}}]}
stage:
  name: WORK
  settings: {n: 141, top: 20.0}
  math:
    functions:
      g_av: m = R*a + 0.4*y
      g_ve: a_nxt = m + w*h - c
      Q: c^(1-gamma)/(1-gamma) - delta*h + beta*V[>]
    controls: {c: 0 < c <= m + w*h, h: {in: [0, 1]}}
    shocks: {inc: {dimensions: ["y"], shock_method: lognormal, std: sy, n_points: 7}}
    state_space:
      arvl: {grid: {a: {type: exp, min: 0, max: top, points: n}}}
      dcsn: {dimensions: [m]}
      cntn: {grid: {a_nxt: {type: exp, min: 0, max: top, points: n}}}
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:stage WORK")
@pytest.mark.parametrize(("horizon", "points", "within"), [(2, 141, 0.003), (3, 400, 0.003), (6, 200, 0.01)])
def test_derivatives_see_switches_smaller_than_a_cell_move(horizon, points, within):
    """Behind nodes of income switches of later choices are too small to make the policy jump; at the knots c misses a third."""
    text = RISKY.replace("horizon: 3", f"horizon: {horizon}")
    sample = {"a": jnp.linspace(0.5, 8.0, 400_001)}
    coarse, exact = (aggregates_of(sc.load(text.replace("n: 141", f"n: {n}")), sample) for n in (points, 6_400))
    _, slope = jax.jvp(lambda d: coarse(d, refine=8), (0.35,), (1.0,))
    difference = (exact(0.355, refine=4) - exact(0.345, refine=4)) / 0.01
    np.testing.assert_allclose(slope, difference, rtol=0, atol=within * float(jnp.abs(difference).max()))


@pytest.mark.slow
def test_the_distribution_is_refined_until_a_cell_holds_one_jump():
    model = RETIRE.replace("sigma_eps: 0.05", "sigma_eps: 0.0").replace("a_max: 500", "a_max: 250").replace("n: 100", "n: 50")
    solved = sc.solve(sc.load(model))
    sample = {"LABR": {"a": jnp.concatenate([jnp.linspace(1.0, 60.0, 2_001), jnp.linspace(60.0, 150.0, 501)])}}
    pushed = sc.push_forward(solved, sample, refine="auto")
    frame = pushed.dists.jumps_to_pandas()
    assert pushed.dists.refine > 1 and frame["most"].max() == 1 and set(frame["stage"]) >= {"LABR", "WORK"}
    np.testing.assert_allclose(
        pushed[2]["WORK"].dcsn.dist.mean("c"),
        sc.push_forward(solved, sample, refine=pushed.dists.refine)[2]["WORK"].dcsn.dist.mean("c"),
        rtol=1e-12,
    )
    with pytest.raises(ValueError, match="inside a transformation `refine` must be a number"):
        jax.jit(lambda solved: sc.push_forward(solved, sample, refine="auto").dists.masses)(solved)
