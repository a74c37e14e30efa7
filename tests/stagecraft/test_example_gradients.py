"""Gradients of values and choice probabilities in every parameter of the examples, at small sizes: first and second ones."""

import functools
import importlib.util
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = {
    "ret_choice": {"horizon: 20": "horizon: 5", "n: 500, a_max: 500.0": "n: 60, a_max: 200.0"},
    "housing": {
        "horizon: 20": "horizon: 3",
        "n_a: 200, a_max: 60.0": "n_a: 40, a_max: 30.0",
        "H_vals:  [0.0, 0.5, 1.0, 2.0, 3.5, 5.0]": "H_vals:  [0.0, 1.0, 3.0]",
        "S_vals:  [0.25, 0.5, 1.0, 2.0, 3.5, 5.0]": "S_vals:  [0.5, 1.5]",
        "[0.99, 0.01, 0.0], [0.01, 0.98, 0.01], [0.0, 0.09, 0.91]": "[0.8, 0.15, 0.05], [0.1, 0.8, 0.1], [0.05, 0.2, 0.75]",
    },
    "mortgage_mon": {
        "horizon: 30": "horizon: 3",
        "n_a: 60, n_b: 8, n_r: 5, n_y: 3": "n_a: 30, n_b: 5, n_r: 3, n_y: 2",
        "T_m:     30": "T_m:     12",
    },
}
SCALE = {"ret_choice": "sigma_eps", "housing": "sigma_v", "mortgage_mon": "sigma_v"}
SMOOTH = {"ret_choice": 0.2, "housing": 0.1, "mortgage_mon": 0.02}
MODELS = ["ret_choice", "housing", "mortgage_mon"]
# Three compilations of gradients in both modes.
pytestmark = pytest.mark.slow


def ret_choice(solved, p):
    """Between thresholds, away from those of any later period."""
    del p
    stage = solved[0]["LABR"]
    a = jnp.array([12.0, 47.0, 90.0, 140.0])
    return stage.arvl.sol.value(a=a), stage.dcsn.sol.probability["work"](a=a)


def housing(solved, p):
    """At a house and an income of the sets, which move with the parameters."""
    stage, a = solved[0]["TENU"], jnp.array([0.31, 0.83, 2.6])
    at = {"a": a, "H": p["H_vals"][1]}
    own = stage.dcsn.sol.probability["own"](y=p["z_vals"][1], **at)
    beginner = stage.arvl.sol.value(a=a, H=p["H_vals"][0], y_pre=p["z_vals"][0])
    return jnp.concatenate([stage.arvl.sol.value(y_pre=p["z_vals"][1], **at), beginner]), own


def mortgage_mon(solved, p):
    """At contracts and market rates on the nodes, which move with the parameters."""
    stage, step = solved[0]["REFI"], p["sigma_r"] / jnp.sqrt(1 - p["rho_r"] ** 2) * jnp.sqrt(2.0)
    high, low, b = p["r_bar"] + step, p["r_bar"], jnp.array([0.8, 1.9, 3.1])
    refinance = stage.dcsn.sol.probability["refi"](m=jnp.array([1.1, 1.4, 1.9]), b=b, i=high, r=low)
    return stage.arvl.sol.value(a=jnp.array([0.15, 0.4, 0.9]), b=b, i=high, r_pre=low), refinance


PROBES = {"ret_choice": ret_choice, "housing": housing, "mortgage_mon": mortgage_mon}


class Probe:
    """Values and probabilities as one vector of the parameters; all that is compiled is compiled once a model."""

    def __init__(self, name: str):
        text = (EXAMPLES / name / f"{name}.yml").read_text()
        for old, new in SMALL[name].items():
            assert old in text, old
            text = text.replace(old, new)
        self.name, circuit = name, sc.load(text)
        self.parameters = circuit.parameters

        def function(parameters):
            values, chances = PROBES[name](sc.solve(circuit.with_parameters(parameters)), parameters["main"])
            return jnp.concatenate([values, chances])

        self.function, self.reverse = jax.jit(function), jax.jit(jax.jacrev(function))
        self.forward = jax.jit(lambda p, v: jax.jvp(function, (p,), (v,))[1])
        self.chances = {"ret_choice": 4, "housing": 3, "mortgage_mon": 3}[name]

    def at(self, scale: float) -> dict:
        """All parameters, at a scale of the taste shocks."""
        return {**self.parameters, "main": {**self.parameters["main"], SCALE[self.name]: jnp.asarray(scale, jnp.float64)}}

    def directions(self):
        """One for each parameter: an array moves at random, the rows of a transition matrix so that they sum to one."""
        rng = np.random.default_rng(0)
        zero = jax.tree.map(jnp.zeros_like, self.parameters)
        for name, x in self.parameters["main"].items():
            step = jnp.ones((), x.dtype) if x.ndim == 0 else jnp.asarray(rng.uniform(0.5, 1.0, x.shape))
            step = step - step.mean(axis=-1, keepdims=True) if x.ndim == 2 else step
            # Whoever rents arrives with the house of size zero.
            step = step.at[0].set(0.0) if name == "H_vals" else step
            yield name, {**zero, "main": {**zero["main"], name: step}}


_PROBES = {}


@pytest.fixture
def probe(request):
    """One compilation for all tests of a model."""
    if request.param not in _PROBES:
        _PROBES[request.param] = Probe(request.param)
    return _PROBES[request.param]


def along(jacobian, direction):
    """The product of a Jacobian and a direction."""
    pairs = zip(jax.tree.leaves(jacobian), jax.tree.leaves(direction), strict=True)
    return sum(jnp.tensordot(j, v, axes=v.ndim) for j, v in pairs)


def differences(probe, p, direction):
    """Central differences at three steps, each taken where it is asked for."""
    for h in (1e-5, 1e-4, 1e-6):
        up, down = (probe.function(jax.tree.map(lambda x, v, s=s, h=h: x + s * h * v, p, direction)) for s in (1, -1))
        yield np.asarray(up - down) / (2 * h)


@pytest.mark.parametrize("kind", ["hard", "smooth"])
@pytest.mark.parametrize("probe", MODELS, indirect=True)
def test_gradients_are_finite_and_the_two_modes_agree(probe, kind):
    p = probe.at(0.0 if kind == "hard" else SMOOTH[probe.name])
    jacobian = probe.reverse(p)
    for name, x in jacobian["main"].items():
        assert np.all(np.isfinite(x)), name
    for name, direction in probe.directions():
        forward = probe.forward(p, direction)
        np.testing.assert_allclose(forward, along(jacobian, direction), rtol=1e-7, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("probe", MODELS, indirect=True)
def test_with_taste_shocks_gradients_are_central_differences(probe):
    p = probe.at(SMOOTH[probe.name])
    jacobian = probe.reverse(p)
    for name, direction in probe.directions():
        exact = np.asarray(along(jacobian, direction))
        gaps = (np.max(np.abs(d - exact) / (1 + np.abs(exact))) for d in differences(probe, p, direction))
        assert any(gap < 1e-5 for gap in gaps), (name, exact)


@pytest.mark.parametrize("probe", MODELS, indirect=True)
def test_under_a_hard_choice_gradients_of_values_are_central_differences(probe):
    p = probe.at(0.0)
    jacobian = probe.reverse(p)
    chances = np.asarray(probe.function(p))[-probe.chances :]
    assert set(np.unique(chances)) == {0.0, 1.0}
    for name, direction in probe.directions():
        if name == SCALE[probe.name]:
            continue  # There is nothing on the other side of 0.
        exact = np.asarray(along(jacobian, direction))
        gaps = (np.max(np.abs(d - exact) / (1 + np.abs(exact))) for d in differences(probe, p, direction))
        assert any(gap < 1e-3 for gap in gaps), (name, exact)
        np.testing.assert_array_equal(exact[-probe.chances :], 0.0)


# Every other example: its file, what makes it small, and numbers of its solution, of the order of one.
OTHERS = {
    "aiyagari": (
        "aiyagari/aiyagari.yml",
        {"n_a: 150, n_z: 5, a_max: 200.0": "n_a: 40, n_z: 3, a_max: 60.0", "beta:  {value: 0.96": "beta:  {value: 0.9"},
        lambda s: [0.1 * s[0]["CONS"].dcsn.sol.value(m=M, z=1.0), s[0]["CONS"].dcsn.sol.policy["c"](m=M, z=1.0)],
    ),
    "cons_indshock": (
        "cons_indshock/cons_indshock.yml",
        {"horizon: 65": "horizon: 4", "n_a: 200, n_y: 7": "n_a: 30, n_y: 3"},
        lambda s: [s[0]["CONS"].arvl.sol.value(a=M), s[1]["CONS"].dcsn.sol.policy["c"](m=M)],
    ),
    "epstein_zin": (
        "epstein_zin/epstein_zin.yml",
        {"horizon: 25": "horizon: 3", "n_a: 120, n_r: 5, n_y: 5": "n_a: 30, n_r: 2, n_y: 2"},
        lambda s: [s[0]["CONS"].arvl.sol.value(a=M), s[0]["CONS"].dcsn.sol.value(m=M)],
    ),
    "estimation": (
        "estimation/retirement.yml",
        {"horizon: 20": "horizon: 3", "n: 150, a_max: 400.0, n_w: 5": "n: 40, a_max: 200.0, n_w: 2"},
        lambda s: [0.1 * s[0]["LABR"].arvl.sol.value(a=10 * M), s[0]["LABR"].dcsn.sol.probability["work"](a=10 * M)],
    ),
    # Taste shocks smooth the shares.
    "keane_wolpin": (
        "keane_wolpin/keane_wolpin.yml",
        {"horizon: 40": "horizon: 3", "most: 39": "most: 2", "n_wages: 9, n_tastes: 3": "n_wages: 2, n_tastes: 2",
         "choice: {by: agent}": "choice: {by: agent, taste_shock: gumbel, scale: 5000.0}"},
        lambda s: [1e-5 * s[1]["CAREER"].arvl.sol.value(s=S - 1 * (S > 11), x1=0.0, x2=0.0, enrolled=1.0)]
        + [s[0]["CAREER"].dcsn.sol.probability[b](s=10.0, x1=0.0, x2=0.0, w1=14e3, w2=12e3, r3=500.0, r4=17e3)
           for b in ("one", "school")],
    ),
    # With more periods kinks of consumption stand closer than differences can pass.
    "own_parts": ("own_parts/model.yaml", {"horizon: 12": "horizon: 6"}, lambda s: [s[0]["SAVE"].dcsn.sol.value(m=M), s[0]["SAVE"].dcsn.sol.policy["c"](m=M)]),
    "portfolio": (
        "portfolio/portfolio.yml",
        {"horizon: 60": "horizon: 3", "n_a: 100, n_share: 25": "n_a: 20, n_share: 8", "[7, 5]": "[3, 3]"},
        lambda s: [s[0]["PORT"].dcsn.sol.value(m=M), s[0]["PORT"].dcsn.sol.policy["c"](m=M)],
    ),
    "rust": (
        "rust/rust.yml",
        {"beta: 0.9999": "beta: 0.95", "89": "19", "scale: 0.001": "scale: 0.01"},
        lambda s: [s[0]["BUS"].arvl.sol.value(s_pre=S), s[0]["BUS"].dcsn.sol.probability["d[1]"](s=S)],
    ),
    "stage_workflow": (
        "stage_workflow/saver.yml",
        {"n: 150": "n: 30"},
        lambda s: [s[0]["SAVE"].arvl.sol.value(a=M), s[0]["SAVE"].dcsn.sol.policy["c"](m=M)],
    ),
}  # fmt: skip
# A control that is chosen within another's problem is right to first order alone.
FIRST = ("portfolio",)
M, S = jnp.array([0.37, 1.27, 2.9, 6.3]), jnp.array([10.0, 12.0])


def loaded(name: str) -> sc.ModelCircuit:
    """A small one; that with parts of its own by its script."""
    file, small, _ = OTHERS[name]
    text = (EXAMPLES / file).read_text()
    for old, new in small.items():
        assert old in text, old
        text = text.replace(old, new)
    if name != "own_parts":
        return sc.load(text)
    folder = str(EXAMPLES / name)
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("own_parts_main", f"{folder}/main.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.MODEL = types.SimpleNamespace(read_text=lambda: text)
        return module.load()
    finally:
        sys.path.remove(folder)


@functools.cache
def scalar(name: str):
    """A number of the solution as a function of all parameters, and these; numbers are weighted so that none cancels another."""
    if name in MODELS:
        probe = _PROBES.get(name) or Probe(name)
        p, told = probe.at(SMOOTH[name]), probe.function
    else:
        circuit = loaded(name)
        p, told = circuit.parameters, lambda p: OTHERS[name][2](sc.solve(circuit.with_parameters(p)))

    def function(p):
        x = jnp.concatenate([jnp.ravel(x) for x in jax.tree.leaves(told(p))])
        return x @ jnp.cos(1.0 + jnp.arange(x.shape[0]))

    return jax.jit(lambda p, v: jax.jvp(lambda p: (function(p), jax.jacfwd(function)(p)), (p,), (v,))), p


def steps_of(p):
    """A direction for each parameter, its size that of the parameter; rows of a transition matrix keep their sums."""
    rng, zero = np.random.default_rng(0), jax.tree.map(jnp.zeros_like, p)
    for owner, group in p.items():
        for name, x in group.items():
            step = jnp.asarray(rng.uniform(0.5, 1.0, x.shape)) * jnp.maximum(jnp.max(jnp.abs(x)), 0.1)
            step = step - step.mean(axis=-1, keepdims=True) if x.ndim == 2 else step
            step = step.at[0].set(0.0) if name == "H_vals" else step
            yield f"{owner}.{name}", {**zero, owner: {**zero[owner], name: step}}


@pytest.mark.parametrize("name", sorted([*OTHERS, *MODELS]))
def test_first_and_second_derivatives_in_every_parameter_are_central_differences(name):
    both, p = scalar(name)
    for path, direction in steps_of(p):
        (_, _), (first, second) = both(p, direction)
        limits = np.array([1e-5, np.inf if name in FIRST else 1e-5])
        best = np.array([np.inf, np.inf])
        for h in (1e-5, 1e-4, 1e-6):
            if (best < limits).all():
                break
            ends = [both(jax.tree.map(lambda x, v, s=s, h=h: x + s * h * v, p, direction), direction)[0] for s in (1, -1)]
            by_value, by_slope = jax.tree.map(lambda up, down, h=h: (up - down) / (2 * h), *ends)
            exact, found = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)]) for tree in (second, by_slope))
            gaps = [abs(by_value - first) / (1 + abs(first)), np.max(np.abs(found - exact)) / (1 + np.max(np.abs(exact)))]
            best = np.minimum(best, gaps)
        assert (best < limits).all(), (path, best, first)
