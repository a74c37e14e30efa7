"""The refined envelope against a sweep over runs, dense maxima, closed forms and central differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stagecraft.operators.envelope import envelope
from stagecraft.operators.envelope.envelope import read
from stagecraft.operators.interpolate import Segment

N, SIZE = 20, 100
refine = jax.jit(envelope.refine, static_argnames=("size", "extend"))


def runs_of(m, valid, extend):
    """Start, end, and the reach of every rising run, by the rule of one cell beyond folds."""
    rise = valid[:-1] & valid[1:] & (m[1:] > m[:-1])
    fall = valid[:-1] & valid[1:] & (m[1:] < m[:-1])
    runs, i = [], 0
    while i < len(rise):
        if not rise[i]:
            i += 1
            continue
        e = i
        while e < len(rise) and rise[e]:
            e += 1
        low = m[i] - (m[i + 1] - m[i]) * (extend and i > 0 and fall[i - 1])
        high = m[e] + (m[e] - m[e - 1]) * (extend and e < len(rise) and fall[e])
        runs.append([i, e, low, high])
        i = e
    if runs:
        runs[0][2], runs[-1][3] = -np.inf, np.inf
    return runs


def on_run(run, m, y, d, q):
    """An array on one run, and continued linearly beyond it."""
    s, e = run[:2]
    i = np.clip(np.searchsorted(m[s : e + 1], q, side="right") - 1, 0, e - s - 1) + s
    h = m[i + 1] - m[i]
    t = (q - m[i]) / h
    if d is None:
        return y[i] + (y[i + 1] - y[i]) * t
    u = np.clip(t, 0, 1)
    inside = y[i] * (1 + 2 * u) * (1 - u) ** 2 + h * d[i] * u * (1 - u) ** 2
    inside += y[i + 1] * u**2 * (3 - 2 * u) + h * d[i + 1] * u**2 * (u - 1)
    return inside + np.where(t > 1, d[i + 1] * (t - 1) * h, np.where(t < 0, d[i] * t * h, 0.0))


def oracle(q, m, v, c, valid, extend=True, slope=None):
    """Value, policy and the lead over the second run at queries; holes are bridged from one neighbour to the other."""
    runs = runs_of(m, valid, extend)
    values = np.array([np.where((q >= r[2]) & (q <= r[3]), on_run(r, m, v, slope, q), -np.inf) for r in runs])
    policies = np.array([on_run(r, m, c, None, q) for r in runs])
    covered = values.max(axis=0) > -np.inf
    for k in np.flatnonzero(~covered):
        low, high = max(r[3] for r in runs if r[3] < q[k]), min(r[2] for r in runs if r[2] > q[k])
        at = lambda r, x: on_run(r, m, v, slope, np.array([x]))[0]
        left = max((r for r in runs if r[3] == low), key=lambda r: at(r, low))
        right = max((r for r in runs if r[2] == high), key=lambda r: at(r, high))
        d0, d1, d = (at(left, x) - at(right, x) for x in (low, high, q[k]))
        stays = d * d0 > 0 if d0 * d1 < 0 else d0 >= 0
        j = runs.index(left if stays else right)
        values[j, k] = at(runs[j], q[k])
    order = np.sort(values, axis=0)
    lead = order[-1] - order[-2] if len(runs) > 1 else np.full(q.size, np.inf)
    best = np.argmax(values, axis=0)
    # Two runs may reach equally far and high into a hole; either may bridge it.
    ends = [r[2] for r in runs] + [r[3] for r in runs]
    lead[~covered & (len(set(ends)) < len(ends))] = 0.0
    return order[-1], policies[best, np.arange(q.size)], lead


@pytest.fixture(scope="module")
def refined_at():
    """Value and policy at queries by interpolating refined knots, compiled once."""

    def at(q, m, v, c, valid, extend, slope=None):
        r = refine(m, v, slope, valid, size=SIZE, extend=extend)
        (value, rate), (policy, _) = read(r, m, v, slope), read(r, m, c)
        cell = Segment(r.state, q)
        return cell.linear(value) if slope is None else cell.hermite(value, rate), cell.linear(policy), r

    return jax.jit(at, static_argnames="extend")


def check_shape(r, m):
    """What `Refined` promises of every result."""
    state, segment, switch = map(np.asarray, (r.state, r.segment, r.switch))
    assert np.all(np.diff(state) >= 0) and not r.overflow
    assert state[1] > state[0] and state[-1] > state[-2]
    assert np.all(m[segment + 1] > m[segment])
    assert switch.sum() == r.crossings >= r.gaps
    pair = np.flatnonzero(switch)
    np.testing.assert_array_equal(state[pair], state[pair - 1])
    assert np.all(segment[pair] != segment[pair - 1])


def compare(refined_at, m, v, c, valid, extend, slope=None, seed=0):
    """Levels of value and policy against the oracle, inside and beyond the knots."""
    rng = np.random.default_rng(seed)
    ends = m[valid]
    q = np.sort(rng.uniform(ends.min() - 1, ends.max() + 1, 400))
    value, policy, r = refined_at(q, m, v, c, valid, extend, slope)
    assert bool(r.found) == bool(runs_of(m, valid, extend))
    if not r.found:
        assert np.all(np.isfinite(r.state)) and r.crossings == 0
        return r
    check_shape(r, m)
    exact, chosen, lead = oracle(q, m, v, c, valid, extend, slope)
    scale = 1 + np.abs(exact)
    np.testing.assert_allclose(value / scale, exact / scale, atol=1e-9)
    clear = lead > 1e-7 * scale
    np.testing.assert_allclose((policy / scale)[clear], (chosen / scale)[clear], atol=1e-9)
    return r


seeds = st.integers(0, 2**32 - 1)


def correspondence(seed, lattice=False):
    """Any zigzag: many runs on top of each other, invalid knots, and on a lattice ties and repeated knots."""
    rng = np.random.default_rng(seed)
    drift, spread = rng.choice([0.0, 0.3, 1.0]), rng.choice([0.1, 1.0, 3.0])
    m = np.cumsum(drift + spread * rng.normal(size=N))
    v = 0.3 * m + rng.choice([0.05, 1.0]) * rng.normal(size=N)
    if lattice:
        m, v = np.round(m), np.round(v)
    valid = rng.uniform(size=N) > rng.choice([0.0, 0.1, 0.5])
    valid[rng.integers(0, N)] = True
    m[~valid & (rng.uniform(size=N) < 0.5)] = np.nan
    return m, v, rng.normal(size=N), valid


def economic(seed, even=False):
    """What inverting an Euler equation gives: V'(m) = 1/c along the correspondence, and c falls at jumps of the marginal."""
    rng = np.random.default_rng(seed)
    a = np.linspace(0, 5, N) if even else np.sort(rng.uniform(0, 5, N))
    fall = rng.choice([0.0, 0.6], N, p=[1 - 5 / N, 5 / N]) * rng.uniform(0, 1, N)
    c = 0.5 + 0.3 * a - np.cumsum(fall)
    c = c - min(0.0, c.min() - 0.2)
    m = a + c
    v = np.concatenate([[0.0], np.cumsum(0.5 * (1 / c[1:] + 1 / c[:-1]) * np.diff(m))])
    return m, v, c, np.ones(N, bool)


@pytest.mark.parametrize("extend", [True, False])
@pytest.mark.parametrize("lattice", [True, False])
@settings(max_examples=60)
@given(seed=seeds)
def test_the_refined_knots_reproduce_a_sweep_over_runs(refined_at, lattice, extend, seed):
    compare(refined_at, *correspondence(seed, lattice), extend)


@settings(max_examples=60)
@given(seed=seeds)
def test_an_economic_correspondence_has_the_envelope_of_its_runs_linear_and_hermite(refined_at, seed):
    compare(refined_at, *economic(seed), True)
    # On even knots, where no two cubics cross twice between two knots.
    m, v, c, valid = economic(seed, even=True)
    compare(refined_at, m, v, c, valid, True, slope=1 / c)


@settings(max_examples=60)
@given(seed=seeds)
def test_with_any_slopes_the_envelope_is_never_too_high_and_exact_at_the_knots(refined_at, seed):
    m, v, c, _ = correspondence(seed)
    valid = np.isfinite(m)
    slope = 0.3 * c
    inside = np.sort(np.where(valid, m, m[valid][0]))
    q = np.concatenate([inside, inside[:-1] + 0.37 * np.diff(inside)])
    value, _, r = refined_at(q, m, v, c, valid, True, slope)
    assume(bool(r.found))
    check_shape(r, m)
    exact, _, _ = oracle(q, m, v, c, valid, True, slope)
    runs = runs_of(m, valid, True)
    reach = np.array([(q >= r[2]) & (q <= r[3]) for r in runs])
    jump = np.min(np.abs(q[:, None] - np.array([r[2:] for r in runs]).ravel()), axis=1) < 1e-9
    covered = reach.any(axis=0) & ~jump
    assert np.all((value <= exact + 1e-9)[covered])
    at_knots = covered & np.isin(q, m[[i for r in runs for i in range(r[0], r[1] + 1)]])
    np.testing.assert_allclose(value[at_knots], exact[at_knots], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("folds", [8, 200, 3000])
def test_a_long_correspondence_is_as_exact_whether_few_or_many_knots_are_contested(folds):
    rng = np.random.default_rng(folds)
    n = 5000
    a = np.linspace(0, 10, n)
    c = 1 + 0.4 * a
    c -= np.cumsum(np.bincount(rng.choice(n, folds), rng.uniform(0, 1.5 / folds + 0.003, folds), n))
    c += max(0.0, 0.1 - c.min())
    m, v = a + c, np.cumsum(np.append(0.0, np.diff(a + c) / c[1:]))
    r = refine(m, v, None, np.ones(n, bool), size=3 * n)
    check_shape(r, m)
    assert r.crossings > folds // 10
    q = np.sort(rng.uniform(m.min(), m.max() + 1, 20000))
    value, policy = (Segment(r.state, jnp.asarray(q)).linear(read(r, jnp.asarray(m), jnp.asarray(y))[0]) for y in (v, c))
    exact, chosen, lead = oracle(q, m, v, c, np.ones(n, bool))
    np.testing.assert_allclose(value, exact, rtol=1e-10)
    clear = lead > 1e-8
    np.testing.assert_allclose(policy[clear], chosen[clear], rtol=1e-9)


def padded(*arrays):
    """Short correspondences among points that do not exist, so that one compiled program serves all, and which exist."""
    wide = [jnp.append(jnp.asarray(x, float), jnp.full(N - len(x), jnp.nan)) for x in arrays]
    return *wide, jnp.arange(N) < len(arrays[0])


LEFT_AND_RIGHT = [0.0, 1.0, 2.0, 1.5, 2.5, 3.5], [0.0, 1.0, 1.8, 1.0, 2.5, 4.0], [0.0, 0.5, 0.9, 0.2, 0.3, 0.4]


def test_two_lines_cross_where_they_do():
    m, v, c, valid = padded(*LEFT_AND_RIGHT)
    r = refine(m, v, None, valid, size=SIZE, extend=True)
    # The left run, beyond its end: 1.8 + 0.8 (m - 2) = 1 + 1.5 (m - 1.5) at m = 2.0714.
    crossing = (1.8 - 1.6 - 1.0 + 2.25) / 0.7
    place = int(jnp.argmax(r.switch))
    np.testing.assert_allclose(r.state[place - 1 : place + 1], crossing, rtol=1e-14)
    np.testing.assert_array_equal(r.segment[place - 1 : place + 1], [1, 3])
    sides = read(r, m, c)[0][place - 1 : place + 1]
    np.testing.assert_allclose(sides, [0.9 + 0.4 * (crossing - 2), 0.2 + 0.1 * (crossing - 1.5)])
    assert r.crossings == 1 and r.gaps == 0


def test_without_extension_the_value_falls_where_the_run_ends_and_this_is_said():
    m, v, _, valid = padded(*LEFT_AND_RIGHT)
    r = refine(m, v, None, valid, size=SIZE, extend=False)
    assert r.crossings == 1 and r.gaps == 1
    np.testing.assert_array_equal(r.state[r.switch], [2.0])


def test_a_third_run_wins_between_the_knots_of_two_others():
    m, v, valid = padded([0.0, 4.0, 0.1, 4.1, 0.2, 4.2], [1.0, 1.0, -0.4, 2.0, -3.8, 4.2])
    r = refine(m, v, None, valid, size=SIZE, extend=True)
    lines = lambda q: jnp.max(jnp.stack([1 + 0 * q, -0.4 + 0.6 * (q - 0.1), -3.8 + 2 * (q - 0.2)]), axis=0)
    q = jnp.linspace(-1.0, 6.0, 300)
    np.testing.assert_allclose(Segment(r.state, q).linear(read(r, m, v)[0]), lines(q), atol=1e-13)
    assert r.crossings == 2 and r.gaps == 0


@pytest.mark.parametrize("size", [N, SIZE])
@pytest.mark.parametrize("repeated", [False, True])
def test_a_monotone_correspondence_keeps_exactly_its_knots(size, repeated):
    m = jnp.cumsum(jnp.cos(jnp.arange(N)) + 1.1)
    m = m.at[5].set(m[6]) if repeated else m
    r = refine(m, jnp.sqrt(m), None, jnp.ones(N, bool), size=size, extend=True)
    np.testing.assert_array_equal(r.state, jnp.concatenate([m[:1], jnp.full(size - N, m[1]), m[1:]]))
    value, _ = read(r, m, jnp.sqrt(m))
    np.testing.assert_array_equal(value, jnp.sqrt(r.state))
    assert not r.switch.any() and not r.overflow and r.crossings == 0


@pytest.mark.parametrize("size", [N, SIZE])
def test_the_only_cell_continues_beyond_both_ends(size):
    m, v, valid = padded([1.0, 3.0], [0.0, 1.0])
    r = refine(m, v, None, valid, size=size, extend=True)
    q = jnp.array([-3.0, 1.0, 1.5, 2.0, 2.9, 3.0, 7.0])
    np.testing.assert_allclose(Segment(r.state, q).linear(read(r, m, v)[0]), (q - 1) / 2, atol=1e-15)


def test_two_knots_fit_in_two_places():
    r = refine(jnp.array([1.0, 3.0]), jnp.array([0.0, 1.0]), None, jnp.ones(2, bool), size=2)
    np.testing.assert_array_equal(r.state, [1.0, 3.0])
    np.testing.assert_array_equal(r.segment, [0, 0])


@pytest.mark.parametrize("m", [[3.0, 2.0, 1.0], [2.0, 2.0, 2.0], [np.nan, 1.0, np.nan]])
def test_without_a_rising_segment_nothing_is_found(m):
    m, v, exists = padded(m, [1.0, 2.0, 3.0])
    r = refine(m, v, None, exists & jnp.isfinite(m), size=SIZE, extend=True)
    assert not r.found and jnp.all(jnp.isfinite(r.state)) and r.crossings == 0 and not r.switch.any()


def test_what_does_not_fit_is_said():
    m, v, _, _ = correspondence(1)
    args = jnp.asarray(np.nan_to_num(m)), jnp.asarray(v), None, jnp.ones(N, bool)
    fits, tight = (refine(*args, size=size, extend=True) for size in (SIZE, N))
    knots = np.unique(np.stack([fits.state, fits.segment]), axis=1).shape[1]
    assert fits.crossings > 0 and not fits.overflow
    assert knots > N and tight.overflow and jnp.all(jnp.isfinite(tight.state))


def test_rows_are_refined_as_each_alone():
    rows = [economic(seed) for seed in range(6)] + [correspondence(seed) for seed in range(6)]
    m, v, _, valid = (jnp.asarray(np.stack(x)) for x in zip(*rows, strict=True))
    together = jax.vmap(lambda m, v, valid: refine(m, v, None, valid, size=SIZE, extend=True))(m, v, valid)
    for i in range(len(rows)):
        alone = refine(m[i], v[i], None, valid[i], size=SIZE, extend=True)
        for x, y in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(x[i], y, rtol=1e-13, atol=1e-13)


@jax.jit
def outcomes(theta, bases, directions, valid, q):
    """Values, policies and knots as functions of one parameter that moves the whole correspondence; and what must not move."""
    m, v, c, slope = (None if base is None else base + theta * d for base, d in zip(bases, directions, strict=True))
    r = refine(m, v, slope, valid, size=SIZE)
    (value, rate), policy = read(r, m, v, slope), read(r, m, c)[0]
    cell = Segment(r.state, q)
    level = cell.linear(value) if slope is None else cell.hermite(value, rate)
    return jnp.concatenate([level, cell.linear(policy), r.state, policy]), (r.segment, r.crossings, cell.index)


@jax.jit
def derivatives(*args):
    """Forward, and in reverse a weighted sum with the weights."""
    _, forward, _ = jax.jvp(lambda t: outcomes(t, *args), (0.0,), (1.0,), has_aux=True)
    weights = jnp.cos(jnp.arange(forward.size) * 1.7)
    return forward, jax.grad(lambda t: weights @ outcomes(t, *args)[0])(0.0), weights


@pytest.mark.parametrize("kind", ["linear", "hermite", "zigzag"])
@pytest.mark.parametrize("seed", range(8))
def test_values_policies_and_crossings_move_as_central_differences_do(kind, seed):
    rng = np.random.default_rng(seed)
    m, v, c, valid = economic(seed) if kind != "zigzag" else correspondence(seed)
    m = np.where(valid, m, 0.0)
    args = (m, v, c, 1 / c if kind == "hermite" else None), rng.normal(size=(4, N)) * 0.1, valid
    args = jax.tree.map(jnp.asarray, (*args, np.sort(rng.uniform(m.min() - 0.5, m.max() + 0.5, 60))))
    h = 1e-6
    (above, up), (below, down) = outcomes(h, *args), outcomes(-h, *args)
    assert up[1] > 0
    for x, y in zip(up, down, strict=True):
        np.testing.assert_array_equal(x, y)
    forward, reverse, weights = derivatives(*args)
    np.testing.assert_allclose(forward, (above - below) / (2 * h), rtol=1e-6, atol=2e-6)
    np.testing.assert_allclose(reverse, weights @ forward, rtol=1e-10)


@pytest.mark.parametrize("kind", ["linear", "hermite"])
def test_derivatives_are_finite_whatever_the_correspondence(kind):
    for seed in range(30):
        m, v, c, valid = correspondence(seed, lattice=True)
        bases = (m, np.where(valid, v, np.nan), c, 0.3 * c if kind == "hermite" else None)
        args = bases, np.ones((4, N)), valid, np.linspace(-3.0, 6.0, 60)
        for x in derivatives(*jax.tree.map(jnp.asarray, args))[:2]:
            assert jnp.all(jnp.isfinite(x)), seed
