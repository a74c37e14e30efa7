"""Panels: where agents begin, of what size, with which draws, in whose world, and derivatives of what was drawn."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import stagecraft as sc
from heptapod.shocks.standard_normal import standard_normal
from stagecraft.simulation.agent_keys import agent_key

sys.path.insert(0, str(Path(__file__).parent))
from models import BUFFER, ODDS

KEY = jax.random.key(3)
RETIRE = (Path(__file__).parents[1] / "models" / "ret_choice.yml").read_text()
RETIRE = RETIRE.replace("horizon: 20", "horizon: 3").replace("n: 500", "n: 60")


@pytest.fixture(scope="module")
def solved():
    return sc.solve(sc.load(BUFFER))


@pytest.fixture(scope="module")
def panel(solved):
    return sc.simulate(solved, {"a": jnp.linspace(0, 3, 4_000)}, key=KEY)


@pytest.fixture(scope="module")
def odds():
    return sc.solve(sc.load(ODDS))


@pytest.fixture(scope="module")
def pushed(solved):
    return sc.push_forward(solved, {"a": 1.0})


def same(one, other):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14), one.data, other.data)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_key_of_some_agents_draws_the_numbers_that_are_theirs(dtype):
    for draw in (jax.random.uniform, jax.random.normal):
        everybody = draw(jax.random.fold_in(KEY, 4), (100,), dtype)
        some = jax.jit(lambda first, draw=draw: draw(jax.random.fold_in(agent_key(KEY, first), 4), (60,), dtype))(40)
        np.testing.assert_array_equal(some, everybody[40:])
    legacy = jax.random.PRNGKey(3)
    np.testing.assert_array_equal(jax.random.uniform(agent_key(legacy), (5,)), jax.random.uniform(legacy, (5,)))
    other = jax.random.uniform(agent_key(jax.random.key(1, impl="rbg")), (9,))
    np.testing.assert_array_equal(jax.random.uniform(agent_key(jax.random.key(1, impl="rbg"), 4), (5,)), other[4:])


def test_antithetic_agents_have_mirrored_draws():
    for first in (0, 6):
        key = agent_key(KEY, first, antithetic=True)
        u, z = jax.random.uniform(key, (10,)), jax.random.normal(key, (3, 10))
        np.testing.assert_allclose(u[::2] + u[1::2], 1.0, atol=1e-12)
        np.testing.assert_allclose(z[:, ::2], -z[:, 1::2], atol=1e-12)
        assert len(np.unique(np.abs(z))) >= 15
        shocks = standard_normal(key, 10, jnp.float64)
        np.testing.assert_array_equal(shocks[::2], -shocks[1::2])


def test_a_frame_is_one_agent_a_row_and_other_columns_say_nothing(solved, panel):
    frame = pd.DataFrame({"who": "x", "period": 3, "a": np.linspace(0, 3, 4_000)})
    same(sc.simulate(solved, frame, key=KEY), panel)
    same(sc.simulate(solved, {"CONS": frame}, key=KEY), panel)
    last = panel.to_pandas().query("period == 11")
    again = sc.simulate(solved, last, key=KEY)
    np.testing.assert_array_equal(again["a"][0], panel["a"][11])


def test_agents_are_drawn_from_a_distribution(solved, pushed):
    dist = pushed[5]["CONS"].cntn.dist.rename({"a_nxt": "a"})
    many, few = (sc.simulate(solved, dist, agents=n, key=KEY)["a"][0] for n in (4_000, 100))
    np.testing.assert_array_equal(many[:100], few)
    assert abs(float(many.mean()) - float(dist.mean("a"))) < 4 * float(jnp.sqrt(dist.variance("a") / 4_000))
    frame = pd.DataFrame({"a": [0.5, 2.0, np.nan], "weight": [3.0, 1.0, 0.0]})
    drawn = np.asarray(sc.simulate(solved, frame, agents=4_000, key=KEY)["a"][0])
    assert set(np.unique(drawn)) == {0.5, 2.0} and abs((drawn == 0.5).mean() - 0.75) < 4 * np.sqrt(0.1875 / 4_000)


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("chunk", [1_000, 1_501])
def test_a_panel_does_not_notice_its_chunks(solved, panel, chunk, antithetic):
    start = {"a": jnp.linspace(0, 3, 4_000)}
    whole = sc.simulate(solved, start, antithetic=True, key=KEY) if antithetic else panel
    parts = sc.simulate(solved, start, chunk=chunk, antithetic=antithetic, key=KEY)
    same(parts, whole)
    assert isinstance(parts["c"], np.ndarray)


def test_chunks_inside_a_transformation_are_put_together(solved, panel):
    parts = jax.jit(lambda a: sc.simulate(solved, {"a": a}, chunk=20, keep=["c"], weights=True, key=KEY))
    found = parts(jnp.linspace(0, 3, 4_000)[:50])
    np.testing.assert_allclose(found["c"], panel["c"][:, :50], rtol=1e-12)
    np.testing.assert_array_equal(found.weights, np.ones((12, 50)))


@pytest.mark.slow
def test_a_panel_does_not_notice_the_number_of_devices():
    code = """
import jax, jax.numpy as jnp, numpy as np, stagecraft as sc
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from models import BUFFER
sc.enable_x64()
solved, a = sc.solve(sc.load(BUFFER)), jnp.linspace(0.0, 3.0, 400)
parts = jax.device_put(a, NamedSharding(Mesh(np.array(jax.devices()), ("agents",)), PartitionSpec("agents")))
for pairs in (False, True):
    one, two = (sc.simulate(solved, {"a": x}, antithetic=pairs, key=jax.random.key(3))["c"] for x in (a, parts))
    assert len(one.devices()) == 1 and len(two.devices()) == 2
    np.testing.assert_allclose(one, two, rtol=1e-13)
"""
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parents[1]), os.environ.get("PYTHONPATH", "")])
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **flags})


def test_what_is_not_kept_is_not_there(solved, panel):
    start = {"a": jnp.linspace(0, 3, 4_000)}
    kept = sc.simulate(solved, start, keep=["c", "CONS.a_nxt"], key=KEY)
    assert list(kept["CONS"]) == ["c", "a_nxt"] and kept.inside("CONS").all()
    np.testing.assert_allclose(kept["c"], panel["c"], rtol=1e-12)
    assert list(kept.to_pandas()) == ["period", "age", "agent", "stage", "c", "a_nxt"]
    assert list(panel.to_pandas())[4:] == ["a", "y", "m", "c", "a_nxt"]


def test_the_number_of_agents_costs_no_memory_but_what_is_kept(solved):
    big = sc.simulate(solved, {"a": 1.0}, agents=400_000, chunk=50_000, keep=["c"], antithetic=True, key=KEY)
    assert big["c"].shape == (12, 400_000) and list(big.data) == ["CONS"] and np.isfinite(big["c"]).all()
    one = sc.simulate(solved, {"a": 1.0}, agents=2_000, keep=["c"], antithetic=True, key=KEY)
    np.testing.assert_allclose(big["c"][:, :2_000], one["c"], rtol=1e-12)


def test_progress_is_told_by_agents(solved, capsys):
    sc.simulate(solved, {"a": 1.0}, agents=50, chunk=20, keep=["c"], progress=True, key=KEY)
    assert "50/50" in capsys.readouterr().err
    sc.simulate(solved, {"a": 1.0}, agents=50, chunk=20, keep=["c"], key=KEY)
    assert capsys.readouterr().err == ""


def test_antithetic_agents_keep_their_law_and_halve_the_error(solved, pushed):
    """Means over 100 agents, 40 times: as right as others, and less spread."""
    run = lambda pairs: jax.vmap(lambda k: sc.simulate(solved, {"a": 1.0}, agents=100, antithetic=pairs, key=k)["c"][6])(
        jax.random.split(KEY, 40)
    )
    plain, pairs = run(False), run(True)
    assert pairs.mean(1).std() < 0.5 * plain.mean(1).std()
    exact = float(pushed[6]["CONS"].dcsn.dist.mean("c"))
    assert abs(float(pairs.mean()) - exact) < 4 * float(pairs.mean(1).std()) / np.sqrt(40) + 1e-3
    # The law of one agent is what it was: odd ones and even ones have the same quantiles as the others.
    for part in (pairs[:, ::2], pairs[:, 1::2]):
        np.testing.assert_allclose(np.quantile(part, [0.1, 0.5, 0.9]), np.quantile(plain, [0.1, 0.5, 0.9]), rtol=0.02)


@pytest.mark.slow
def test_antithetic_choices_keep_their_probability(odds):
    start = {"a": 1.0, "z_pre": 0.5}
    branch = np.asarray(sc.simulate(odds, start, agents=4_000, antithetic=True, key=KEY)["branch"][0])
    assert abs(branch.mean() - 0.6) < 4 * np.sqrt(0.24 / 4_000)
    # Of a pair with u and 1 - u at most one finds u < 0.4.
    assert not ((branch[::2] == 0) & (branch[1::2] == 0)).any()


def test_values_are_those_of_the_solution(solved, panel):
    told = sc.simulate(solved, {"a": jnp.linspace(0, 3, 4_000)}, values=True, key=KEY)
    frame = told.to_pandas()
    assert "value" in frame and "value" not in panel["CONS"]
    v = solved[4]["CONS"].dcsn.sol.value(m=told["m"][4])
    np.testing.assert_allclose(frame.query("period == 4")["value"], v, rtol=1e-12)


def test_beliefs_choose_and_the_truth_happens(solved, panel):
    """A loop by hand: the same standard normal numbers, the other circuit's budget, the policies of the beliefs."""
    true = {"CONS.sigma_y": 0.3, "main.R": 1.01, "CONS.floor": 0.2}
    start = {"a": jnp.linspace(0, 3, 4_000)}
    lived = sc.simulate(solved, start, truth=sc.load(BUFFER, parameters=true), key=KEY)
    z = (np.log(np.asarray(panel["y"])) + 0.15**2 / 2) / 0.15
    a = np.asarray(start["a"])
    for t in range(12):
        y = np.exp(0.3 * z[t] - 0.3**2 / 2)
        m = 1.01 / (1.02 if t < 6 else 1.0) * a + 0.2 + 0.8 * y
        c = np.asarray(solved[t]["CONS"].dcsn.sol.policy["c"](m=m))
        np.testing.assert_allclose(lived["m"][t], m, rtol=1e-9)
        np.testing.assert_allclose(lived["c"][t], c, rtol=1e-9)
        a = m - c
    same(sc.simulate(solved, start, truth=solved, key=KEY), panel)


@pytest.mark.slow
def test_nature_chains_and_death_are_those_of_the_truth(odds):
    true = sc.load(ODDS, parameters={"main.stay": 0.6, "main.luck": 0.9, "main.s": 0.5})
    start = {"a": 1.0, "z_pre": 0.5}
    one, other = (sc.simulate(odds, start, agents=4_000, truth=truth, key=KEY) for truth in (None, true))
    for panel, stay, luck, s in ((one, 0.8, 0.4, 0.8), (other, 0.6, 0.9, 0.5)):
        for found, wanted in (
            (np.asarray(panel["w"][0]) == 0.5, stay),
            (np.asarray(panel["branch"][0]) == 0, luck),
            (np.asarray(panel.inside("CONS")[1]), s),
        ):
            assert abs(found.mean() - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 4_000)
    c = odds[0]["CONS"].dcsn.sol.policy["c"](m=other["m"][0], z=other["w"][0])
    np.testing.assert_allclose(other["c"][0], c, rtol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("horizon: 12", "horizon: 11", "has the horizon 11 where `solved` has 12"),
        ("CONS", "EATS", "has the stages EATS where `solved` has CONS"),
        ("controls: {c: 0 < c <= m}", "controls: {c: 0 < c <= m, h: 0 <= h <= 1}", r"in stage CONS the controls c, h where"),
        (
            "a_nxt: a}}]",
            "a_nxt: a}, periods: 0..5}, {source: CONS, target: CONS, mapping: {a_nxt: a}, periods: 6..}]",
            "kinds of",
        ),
    ],
)
def test_a_truth_in_which_agents_could_not_live_is_refused(solved, old, new, says):
    text = BUFFER.replace(old, new)
    if "h:" in new:
        text = text.replace("Q: u(c) +", "Q: u(c) + log(1 + h) - h +")
    with pytest.raises(ValueError, match=f"`truth` .*{says}"):
        sc.simulate(solved, {"a": 1.0}, truth=sc.load(text), key=KEY)


def test_a_truth_with_other_values_of_a_chain_is_refused(odds):
    text = ODDS.replace("[0.5, 1.5]", "[0.5, 1.6]")
    with pytest.raises(ValueError, match=r"stage FATE, arvl, the values 0.5, 1.6 of z_pre where `solved` has 0.5, 1.5"):
        sc.simulate(odds, {"a": 1.0, "z_pre": 0.5}, truth=sc.load(text), key=KEY)
    with pytest.raises(ValueError, match="must be a ModelCircuit"):
        sc.simulate(odds, {"a": 1.0, "z_pre": 0.5}, truth={"main.stay": 0.5}, key=KEY)


def test_the_infeasible_in_truth_are_named(solved):
    poor = sc.load(BUFFER.replace("m = R/G*a", "m = R/G*a - 2*(t < 1)"))
    with pytest.raises(ValueError, match="stage CONS: no feasible choice for .* first for agent 7 in period 0"):
        sc.simulate(solved, {"a": np.where(np.arange(9) == 7, 0.0, 19.0)}, truth=poor, chunk=4, key=KEY)


def agree(panels, exact, slack=3e-3):
    """Means over independent panels, `(panels, ...)`: within four standard errors, and the error of the lottery."""
    error = panels.std(axis=0, ddof=1) / np.sqrt(panels.shape[0])
    assert (np.abs(panels.mean(axis=0) - exact) < 4 * error + slack * np.abs(exact) + 1e-10).all()


def slopes(function, names, circuit):
    """Central differences in parameters of the model."""
    found = []
    for name in names:
        value, h = circuit.parameters["main"][name], 1e-4
        up, down = (function({name: value + s * h}) for s in (1, -1))
        found.append((up - down) / (2 * h))
    return np.stack(found, axis=-1)


def test_the_odds_of_a_draw_are_those_of_its_value(odds):
    scope, fate, cons = odds.scope("CONS", 0), odds.structure.stage("FATE"), odds.structure.stage("CONS")
    drawn = {"tip": jnp.array([0.2, 0.8, 0.8]), "y": jnp.array([0.3, 0.3, 1.2])}
    np.testing.assert_allclose(cons.odds(scope, drawn, {}), [0.7 * 0.2, 0.3 * 0.2, 0.3 * 0.8])
    chain = fate.odds(scope, {"w": jnp.array([0.5, 1.5])}, {"z_pre": jnp.array([0.5, 0.5])})
    np.testing.assert_allclose(chain, [0.8, 0.2])
    equal = sc.load(ODDS.replace("values: [0.2, 0.8]", "values: [0.2, 0.2]"))
    np.testing.assert_allclose(
        equal.structure.stage("CONS").odds(scope, drawn | {"tip": jnp.full(3, 0.2)}, {}), [0.2, 0.2, 0.8]
    )


@pytest.mark.slow
def test_weights_have_the_derivatives_of_nature_chains_shocks_and_death(odds):
    """Beliefs stay and the truth moves, so that nothing but the draws has a derivative; a draw itself has none."""
    circuit, names, start = sc.load(ODDS), ("stay", "luck", "up", "q", "s", "R"), {"a": 1.0, "z_pre": 0.5}
    keys = jax.random.split(KEY, 20)

    def moments(parameters):
        truth = circuit.with_parameters({"main": parameters})
        run = lambda key: sc.simulate(odds, start, agents=1_000, truth=truth, weights=True, key=key)
        told = lambda p: jnp.stack([p.share("CONS")[2], p.mean("CONS.c")[2], p.mean("FATE.branch")[1]])
        return jax.vmap(lambda key: told(run(key)))(keys)

    def exact(parameters):
        new = {**odds.parameters["main"], **parameters}
        pushed = sc.push_forward(eqx.tree_at(lambda s: s.parameters["main"], odds, new), start, refine=8)
        there, fate = pushed[2]["CONS"].dcsn.dist, pushed[1]["FATE"]
        return jnp.stack([there.mass, there.mean("c"), fate.cntn["bad"].dist.mass / fate.arvl.dist.mass])

    found = jax.jit(jax.jacfwd(moments))({name: circuit.parameters["main"][name] for name in names})
    wanted = slopes(exact, names, circuit)
    agree(np.stack([found[name] for name in names], axis=-1), wanted)
    assert (np.abs(wanted[1, :4]) > 0.3).all() and abs(wanted[0, 4]) > 1


@pytest.mark.slow
def test_weights_have_the_derivatives_of_choices():
    """Retirement with taste shocks: through the solve, the choice probabilities and assets."""
    circuit, names = sc.load(RETIRE, parameters={"main.sigma_eps": 1.0}), ("delta", "sigma_eps")
    keys, start = jax.random.split(KEY, 20), {"LABR": {"a": 40.0}}
    solve = lambda parameters: sc.solve(circuit.with_parameters({"main": parameters}))

    def moments(parameters):
        solved = solve(parameters)
        run = lambda key: sc.simulate(solved, start, agents=1_000, weights=True, key=key)
        return jax.vmap(lambda key: (lambda p: jnp.stack([p.share("WORK")[2], p.mean("RETD.c")[2]]))(run(key)))(keys)

    def exact(parameters):
        pushed = sc.push_forward(solve(parameters), start, refine=8)[2]
        return jnp.stack([pushed["WORK"].dcsn.dist.mass, pushed["RETD"].dcsn.dist.mean("c")])

    found = jax.jit(jax.jacfwd(moments))({name: circuit.parameters["main"][name] for name in names})
    agree(np.stack([found[name] for name in names], axis=-1), slopes(exact, names, circuit))


def test_weights_are_one_and_means_are_of_those_who_are_there(odds):
    start, kept = {"a": 1.0, "z_pre": 0.5}, ["FATE", "CONS.c"]
    bare = sc.simulate(odds, start, agents=4_000, key=KEY)
    told = sc.simulate(odds, start, agents=4_000, weights=True, keep=kept, key=KEY)
    assert {"branch", "w", "z_pre"} < set(told["FATE"]) and list(told["CONS"]) == ["c"]
    np.testing.assert_array_equal(told["FATE"]["branch"], bare["FATE"]["branch"])
    here = np.asarray(told.inside("CONS"))
    np.testing.assert_array_equal(told.weights, np.ones((3, 4_000)))
    for panel in (told, bare):
        np.testing.assert_allclose(panel.mean("c"), np.nanmean(panel["c"], axis=1), rtol=1e-12)
        np.testing.assert_allclose(panel.share("CONS"), here.mean(axis=1), rtol=1e-12)
    assert (told.to_pandas()["weight"] == 1.0).all() and "weight" not in bare.to_pandas()


def test_weights_of_a_distribution_have_derivatives(solved):
    """The mean of a beginning is linear in its weights."""
    dist = sc.Population({"a": jnp.array([0.0, 1.0, 3.0])}, jnp.array([0.2, 0.5, 0.3]))

    def mean(weights):
        begun = dataclasses.replace(dist, weights=weights)
        return sc.simulate(solved, begun, agents=4_000, weights=True, keep=["a"], key=KEY).mean("a")[0]

    found = jax.grad(mean)(dist.weights)
    np.testing.assert_allclose(found, dist.states["a"] - 1.4, atol=0.15)


@pytest.mark.parametrize(
    ("initial", "more", "says"),
    [
        (pd.DataFrame({"wealth": [1.0]}), {}, "has no column a; it has wealth"),
        (pd.DataFrame({"a": ["rich"]}), {}, "gives a that is no number"),
        (pd.DataFrame({"a": [1.0, np.nan]}), {}, "values of a that are not finite, first in entry 1"),
        (pd.DataFrame({"a": [1.0], "weight": [-1.0]}), {}, "weights of `initial` must be numbers of zero or more"),
        (
            pd.DataFrame({"a": [1.0, 2.0]}),
            {"agents": 5},
            "2 values of a for 5 agents; leave `agents` out, or give a distribution",
        ),
        (pd.DataFrame({"a": [1.0], "type": [0]}), {}, "gives type, but the circuit has no types"),
        (sc.Population({"a_nxt": np.ones(2)}, np.ones(2)), {}, r"must give a; it gives a_nxt; rename it"),
        ({"a": 1.0}, {"keep": "c"}, "`keep` is a list of names"),
        ({"a": 1.0}, {"keep": 3}, "`keep` is a list of names"),
        (
            {"a": 1.0},
            {"keep": ["c", "CONS.k"]},
            r"`keep` names 'CONS.k', which no stage has. There are CONS: a, y, m, c, a_nxt",
        ),
        ({"a": 1.0}, {"keep": ["value"]}, "which no stage has; for values give `values=True`"),
        ({"a": 1.0}, {"chunk": 0}, "`chunk` must be a positive integer, found 0"),
    ],
)
def test_what_cannot_be_is_named(solved, initial, more, says):
    with pytest.raises(ValueError, match=says):
        sc.simulate(solved, initial, key=KEY, **more)


def test_a_beginning_off_the_grid_is_warned_of(solved):
    with pytest.warns(
        UserWarning, match=r"a = 25, off the grid of stage CONS's arrival, which runs from 0 to 20 .*; 50.0% .* extra"
    ):
        sc.simulate(solved, {"a": np.array([1.0, 25.0])}, key=KEY)


def test_sets_are_checked_where_their_values_are_known():
    """Inside a transformation a set is not known yet, though the initial states are."""
    text = BUFFER.replace("mapping: {a_nxt: a}", "mapping: {a_nxt: a, k: k}").replace(
        '["a"]}', '["a", "k"], grid: {k: {values: [0, 1]}}}'
    )
    text = text.replace('["m"]}', '["m", "k"], grid: {k: {values: [0, 1]}}}').replace(
        "cntn: {grid", 'cntn: {dimensions: ["a_nxt", "k"], grid'
    )
    circuit = sc.solve(sc.load(text))
    start = {"a": jnp.ones(10), "k": jnp.ones(10)}
    follow = lambda circuit: sc.simulate(circuit, start, key=KEY)["c"]
    np.testing.assert_allclose(jax.jit(follow)(circuit), follow(circuit), rtol=1e-12)
    with pytest.raises(ValueError, match=r"k = 0.5, which is not in its set \(0, 1\)"):
        sc.simulate(circuit, {"a": 1.0, "k": 0.5}, agents=10, key=KEY)
