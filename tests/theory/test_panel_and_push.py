"""Every example with an end: a panel of agents has the moments of the distribution that is pushed through the same circuit."""

import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stagecraft as sc
from stagecraft.households.cells import cells
from stagecraft.households.initial import start_of

sys.path.insert(0, str(Path(__file__).parent))
from one_word import EXAMPLES_BY_NAME

AGENTS, COARSE, FINE = 20_000, 4, 8
# One has no end, and the policy of the other jumps between nodes of income, where no quadrature is near the draws.
APART = {"aiyagari", "sophisticated"}
# With two nodes of income the quadrature, whose error nobody reports, is too far from the draws.
WHOLE = {"health"}


def beginning(solved) -> dict:
    """One state, a third of the way up every grid of the arrival where households begin."""
    start, _ = start_of(solved, {})
    axes = cells(solved, start, jnp.asarray(0))
    return {start: {axis.name: float(axis.values[axis.values.shape[0] // 3]) for axis in axes}}


def moments(period):
    """The mass, and the mean and variance of everything at the decision and after it, by stage; of whoever is there."""
    for name, stage in ((name, period[name]) for name in period.stages):
        if not stage.arvl.dist:
            continue
        yield (name, None), stage.dcsn.dist, None
        ends = [] if stage.branching else [("cntn", stage.cntn.dist)]
        for tag, dist in (("dcsn", stage.dcsn.dist), *ends):
            for variable in dist.states:
                yield (name, variable), dist, tag


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(EXAMPLES_BY_NAME) - APART))
def test_a_panel_has_the_moments_of_the_distribution(name):
    example = EXAMPLES_BY_NAME[name]
    example = replace(example, size=example.size[:1]) if name in WHOLE else example
    solved = sc.solve(sc.load(example.text()))
    if solved.structure.horizon is None:
        pytest.skip("the horizon is infinite: test_stationary compares a long panel")
    initial = beginning(solved)
    panel = sc.simulate(solved, initial, agents=AGENTS, key=jax.random.key(3))
    coarse, fine = (sc.push_forward(solved, initial, refine=refine) for refine in (COARSE, FINE))
    compared = 0
    for t in range(len(solved)):
        pairs = zip(moments(coarse[t]), moments(fine[t]), strict=True)
        for ((stage, variable), rough, tag), (_, dist, _) in pairs:
            inside = np.asarray(panel.inside(stage)[t])
            if variable is None:
                share, error = float(dist.mass), abs(float(dist.mass - rough.mass))
                noise = np.sqrt(max(share * (1 - share), 0.0) / AGENTS)
                assert abs(inside.mean() - share) <= 4 * noise + error + 1e-9, (t, stage)
                continue
            found = panel[stage]
            key = f"{variable}_{tag}" if f"{variable}_{tag}" in found else variable
            if inside.sum() < 100 or key not in found:
                continue
            x, mean = np.asarray(found[key][t])[inside], float(dist.mean(variable))
            noise = max(float(jnp.sqrt(jnp.maximum(dist.variance(variable), 0.0))), x.std()) / np.sqrt(len(x))
            error = abs(mean - float(rough.mean(variable)))
            assert abs(x.mean() - mean) <= 4 * noise + error + 1e-9, (t, stage, key)
            compared += 1
    assert compared >= len(solved)
