"""Invariant distributions: fixed points of the push, their moments, and derivatives of what they hold."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc
from stagecraft.distribution.recurrence import AWAY, recurrence

TEXT = (Path(__file__).parents[1] / "models" / "aiyagari.yml").read_text()
SMALL = TEXT.replace("n_a: 300, n_z: 7, a_max: 200.0", "n_a: 60, n_z: 3, a_max: 60.0").replace("beta: 0.96", "beta: 0.94")


@pytest.fixture(scope="module")
def solved():
    return sc.solve(sc.load(SMALL))


@pytest.fixture(scope="module")
def steady(solved):
    return sc.stationary(solved)


@pytest.mark.slow
def test_one_more_period_changes_nothing(solved, steady):
    """The next period's arrival, put on the same knots by a lottery of our own, is the distribution itself."""
    stage = steady[0]["CONS"]
    assert float(stage.arvl.dist.mass) == pytest.approx(1, abs=1e-12)
    after = stage.cntn.dist
    knots = np.asarray(solved.build("CONS", 0).cntn_to_dcsn.operator.problem.knots)
    levels = np.unique(np.asarray(stage.arvl.dist.states["z_pre"]))
    a, z, w = (np.asarray(x) for x in (after.states["a_nxt"], after.states["z"], after.weights))
    mass = np.zeros((len(levels), len(knots)))
    left = np.clip(np.searchsorted(knots, a, side="right") - 1, 0, len(knots) - 2)
    share = np.clip((a - knots[left]) / np.diff(knots)[left], 0, 1)
    row = np.argmin(np.abs(z[:, None] - levels), axis=1)
    np.add.at(mass, (row, left), w * (1 - share))
    np.add.at(mass, (row, left + 1), w * share)
    here = np.zeros_like(mass)
    own = stage.arvl.dist
    column = np.argmin(np.abs(np.asarray(own.states["a"])[:, None] - knots), axis=1)
    np.add.at(
        here, (np.argmin(np.abs(np.asarray(own.states["z_pre"])[:, None] - levels), axis=1), column), np.asarray(own.weights)
    )
    assert np.abs(mass - here).sum() <= float(steady.dists.error_bound) + 1e-10
    # The chain of productivity has its own invariant distribution.
    law = np.asarray(stage.num.nodes(solved.scope("CONS", 0))[1])
    values, vectors = np.linalg.eig(law.T)
    lone = np.real(vectors[:, np.argmax(np.real(values))])
    np.testing.assert_allclose(here.sum(axis=1), lone / lone.sum(), atol=1e-10)


@pytest.mark.slow
def test_a_long_panel_has_its_moments(solved, steady):
    """Within four standard errors of means over agents that are independent of each other."""
    rng, own = np.random.default_rng(0), steady[0]["CONS"].arvl.dist
    pick = rng.choice(own.weights.size, 4_000, p=np.asarray(own.weights) / float(own.mass))
    initial = {name: np.asarray(x)[pick] for name, x in own.states.items()}
    panel = sc.simulate(solved, initial, periods=40, key=jax.random.key(1))
    for name, place in (("a_nxt", "cntn"), ("c", "dcsn")):
        x = np.asarray(panel[name])[-1]
        mean = getattr(steady[0]["CONS"], place).dist.mean(name)
        assert abs(x.mean() - mean) < 4 * x.std() / np.sqrt(x.size), name


@pytest.mark.slow
def test_derivatives_are_those_of_the_fixed_point():
    """In both modes, of assets and consumption with respect to interest, patience and risk."""
    circuit = sc.load(SMALL)
    names = ("r", "beta", "sigma")

    def moments(values):
        given = {f"main.{n}": x for n, x in zip(names, values, strict=True)}
        stage = sc.stationary(sc.solve(circuit.with_parameters(given)), tolerance=1e-11)[0]["CONS"]
        return jnp.stack([stage.cntn.dist.mean("a_nxt"), stage.dcsn.dist.mean("c")])

    at = jnp.array([float(circuit.parameters["main"][n]) for n in names])
    moments = jax.jit(moments)
    reverse, forward = jax.jit(jax.jacrev(moments))(at), jax.jit(jax.jacfwd(moments))(at)
    np.testing.assert_allclose(reverse, forward, rtol=1e-6)
    for i, x in enumerate(np.asarray(at)):
        h = 1e-4 * x
        change = (moments(at.at[i].add(h)) - moments(at.at[i].add(-h))) / (2 * h)
        np.testing.assert_allclose(forward[:, i], change, rtol=1e-3, err_msg=names[i])


@pytest.mark.slow
def test_what_cannot_be_invariant_is_said(solved):
    with pytest.raises(ValueError, match="does not depend on `initial`"):
        sc.stationary(solved, {"a": 0.0})
    with pytest.raises(ValueError, match="not solved"):
        sc.stationary(sc.load(SMALL))
    dying = SMALL.replace("mapping: {a_nxt: a, z: z_pre}", "survival: 0.98, mapping: {a_nxt: a, z: z_pre}")
    with pytest.raises(ValueError, match="mass is lost"):
        sc.stationary(sc.solve(sc.load(dying)))


HALVES = SMALL.replace(
    "shock_method: rouwenhorst, log: true, rho: rho, std: sigma, n_points: n_z, given: z_pre",
    "shock_method: markov, values: [0.5, 0.7, 1.3, 1.5], given: z_pre,\n"
    "               transition_matrix: [[0.8, 0.2 - up, up, 0], [0.2, 0.8, 0, 0], [0, 0, 0.8, 0.2], [0, 0, 0.2, 0.8]]",
).replace("beta: 0.94", "up: 0.0, beta: 0.94")


@pytest.mark.slow
def test_households_who_never_meet_are_named():
    """Two halves of a chain, and the wages of workers for ever: what is invariant there is any mixture."""
    circuit = sc.load(HALVES)
    with pytest.raises(ValueError, match=r"stage CONS: whoever arrives with z_pre = .* never comes to z_pre = .*`types:`"):
        sc.stationary(sc.solve(circuit))
    mccall = sc.load(Path(__file__).parents[2] / "examples" / "gallery" / "mccall.yml")
    with pytest.raises(ValueError, match="stage WORK: whoever arrives with w .* never comes to w "):
        sc.stationary(sc.solve(mccall))


@pytest.mark.slow
def test_households_who_never_meet_have_no_derivative():
    """Where nobody can be told, no number looks like one."""
    circuit = sc.load(HALVES)
    mean = lambda r: sc.stationary(sc.solve(circuit.with_parameters({"main.r": r})))[0]["CONS"].cntn.dist.mean("a_nxt")
    assert np.isnan(jax.jit(jax.jvp, static_argnums=0)(mean, (0.03,), (1.0,))).all()
    assert np.isnan(jax.jit(jax.grad(mean))(0.03))


@pytest.mark.slow
def test_what_is_transient_is_no_class_of_its_own():
    """A way out of the lower half, however narrow, empties it; nothing is said of that."""
    solved = sc.solve(sc.load(HALVES, parameters={"main.up": 1e-3}))
    steady = sc.stationary(solved)
    parts = steady[0]["CONS"].arvl.dist.by("z_pre", values=[0.5, 0.7, 1.3, 1.5])
    np.testing.assert_allclose([float(x.mass) for x in parts.values()], [0.0, 0.0, 0.5, 0.5], atol=1e-8)
    # As the message of several classes says, a long push keeps the part of each.
    halves = {"a": jnp.full(4, 1.0), "z_pre": jnp.array([0.5, 1.3, 1.3, 1.5])}
    pushed = sc.push_forward(sc.solve(sc.load(HALVES)), halves, periods=60)
    parts = pushed[59]["CONS"].arvl.dist.by("z_pre", values=[0.5, 0.7, 1.3, 1.5])
    np.testing.assert_allclose([float(x.mass) for x in parts.values()], [0.125, 0.125, 0.375, 0.375], atol=1e-8)


@pytest.mark.parametrize(
    ("matrix", "away"),
    [
        ([[0.5, 0.5, 0], [1, 0, 0], [0, 0, 1]], [2]),
        ([[0, 1, 0], [1, 0, 0], [0.3, 0.3, 0.4]], []),  # A cycle, and a way to it.
        ([[0.2, 0.4, 0.4], [0, 1, 0], [0, 0, 1]], [2]),
        ([[1 - 1e-12, 1e-12, 0], [0, 1, 0], [0, 1, 0]], [1, 2]),  # What rounding may bring counts as nothing.
        ([[0.9, 0.1, 0], [0, 0.9, 0.1], [0.1, 0, 0.9]], []),
    ],
)
def test_classes_of_a_chain(matrix, away):
    """Most mass is on the first cell, wherever that leads; cells that are away include another class and only such as miss it."""
    law = jnp.array(matrix, float)
    (found,) = recurrence(lambda x: (x[0] @ law,), (jnp.array([0.6, 0.3, 0.1]),))
    assert np.flatnonzero(found == AWAY).tolist() == away


@pytest.mark.slow
def test_every_type_has_its_part_of_all_reports():
    """Beyond the top of a small grid; shares are of all households, not of a type."""
    model = SMALL.replace("a_max: 60.0", "a_max: 3.0")
    typed = model.replace("  connections:", "  types: {beta: [0.9, 0.94], weights: [0.5, 0.5]}\n  connections:", 1)
    with pytest.warns(UserWarning, match="above the last knot"):
        both = sc.stationary(sc.solve(sc.load(typed)))
    with pytest.warns(UserWarning, match="above the last knot"):
        alone = sc.stationary(sc.solve(sc.load(model)))
    np.testing.assert_allclose(both.dists.outside["CONS"][1, 0], 0.5 * alone.dists.outside["CONS"][0], rtol=1e-6)


def test_generations_side_by_side():
    """The cross-section of ages is every age's own distribution, each as large as the others."""
    text = (Path(__file__).parents[2] / "examples" / "cons_indshock" / "cons_indshock.yml").read_text()
    solved = sc.solve(sc.load(text))
    with pytest.raises(ValueError, match="give `initial`"):
        sc.stationary(solved)
    steady, pushed = sc.stationary(solved, {"a": 0.0}), sc.push_forward(solved, {"a": 0.0})
    masses = np.array([float(steady[t]["CONS"].arvl.dist.mass) for t in (0, 7, 30)])
    np.testing.assert_allclose(masses, masses[0], rtol=1e-12)
    assert float(steady[3]["CONS"].cntn.dist.mean("a_nxt")) == pytest.approx(float(pushed[3]["CONS"].cntn.dist.mean("a_nxt")))
