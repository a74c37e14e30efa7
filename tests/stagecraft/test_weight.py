"""Programs grow no longer unseen: lines that are traced and lowered, and kernels that are compiled, counted, never timed."""

import importlib.util
from pathlib import Path

import jax
import pytest

import stagecraft as sc

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("weight", ROOT / "benchmarks" / "weight.py")
weight = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(weight)

BY_AGE = """
model:
  name: IncomeByAge
  horizon: 40
  age: {start: 25, step: 1}
  terminal: log(a + 1)
  parameters: {beta: 0.96, R: 1.03, sigma: 0.2, w: {by: age, expr: 0.6 + 0.03*(age - 25) - 0.0005*(age - 25)^2}}
  settings: {n: 60}
  defaults: {inherit: all}
  connections:
    inter_period: [{source: CONS, target: CONS, mapping: {b: a}}]
stages:
  CONS: &cons
    math:
      functions: {g_av: m = R*a + w*y, g_ve: b = m - c, Q: "log(c) + beta*V[>]"}
      controls: {c: 0 < c <= m}
      shocks: {income: {dimensions: [y], shock_method: lognormal, std: sigma, n_points: 5}}
      state_space: {arvl: {dimensions: [a]}, dcsn: {dimensions: [m]}, cntn: {grid: {b: {type: exp, min: 0.0, max: 40.0, points: n}}}}
"""
FOR_EVER = BY_AGE.replace("horizon: 40", "horizon: infinite").replace(
    "  age: {start: 25, step: 1}\n  terminal: log(a + 1)\n", ""
)
FOR_EVER = FOR_EVER.replace("{by: age, expr: 0.6 + 0.03*(age - 25) - 0.0005*(age - 25)^2}", "1.0")
# Work for good or not at all, without taste shocks: an upper envelope.
WAYS = """
    intra_period: [{source: LABR.work, target: CONS}, {source: LABR.retire, target: RETD}]
    inter_period: [{source: CONS, target: LABR, mapping: {b: a}}, {source: RETD, target: RETD, mapping: {b: a}}]
"""
RETIRE = (
    BY_AGE.replace("\n    inter_period: [{source: CONS, target: CONS, mapping: {b: a}}]\n", WAYS).replace(
        "stages:",
        """stages:
  LABR:
    kind: branching
    math:
      branches: {work: {Q: "V[>] - 0.5"}, retire: {Q: "V[>]"}}
      choice: {by: agent}
      state_space: {arvl: {dimensions: [a]}, cntn.work: {dimensions: [a]}, cntn.retire: {dimensions: [a]}}""",
    )
    + """
  RETD:
    math:
      functions: {g_av: m = R*a + 0.3, g_ve: b = m - c, Q: "log(c) + beta*V[>]"}
      controls: {c: 0 < c <= m}
      state_space: {arvl: {dimensions: [a]}, dcsn: {dimensions: [m]}, cntn: {grid: {b: {type: exp, min: 0.0, max: 40.0, points: n}}}}
"""
)
TEXTS = {"income by age": BY_AGE, "buffer stock for ever": FOR_EVER, "retirement": RETIRE}

MODELS = {name: ROOT / path for name, path in weight.MODELS.items()} | {
    "income by age": BY_AGE,
    "buffer stock for ever": FOR_EVER,
    "retirement": RETIRE,
    "claim": ROOT / "tests" / "cases" / "15-claim-compiles-for-minutes.yml",
}
# As the suite compiles, so that counts are those of any process: nothing of LLVM is counted.
CHEAP: dict[str, str | bool] = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 0}
# Of the program of a solve and of the gradient of a value of it: expanded lines, as `benchmarks/weight.py` counts them, and
# kernels, which are left out where they take long to compile. Whoever comes below a limit lowers it.
LIMITS = {
    "cons_indshock": ((2_470, 194), (7_630, 846)),
    "ret_choice": ((5_910, 695), (14_810, None)),
    "portfolio": ((7_030, 578), (17_670, None)),
    "mortgage_mon": ((10_660, 892), (31_260, None)),
    "aiyagari": ((6_320, 968), (15_370, None)),
    "housing": ((15_620, 1_617), (38_280, None)),
    "income by age": ((1_520, 148), (4_320, 526)),
    "buffer stock for ever": ((4_690, 771), (9_460, 1_195)),
    "retirement": ((6_190, 663), (15_380, 2_141)),
    "claim": ((55_560, None), None),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LIMITS)
def test_programs_are_no_larger_than_they_were(name):
    circuit = sc.load(MODELS[name])
    programs = (lambda c: sc.solve(c, throw=False), circuit), (weight.value_gradient(circuit), circuit.parameters)
    for (function, argument), limits in zip(programs, LIMITS[name], strict=True):
        if limits is not None:
            lowered = jax.jit(function).lower(argument)
            assert "callback" not in lowered.as_text()
            assert weight.expanded(lowered.as_text()) <= limits[0]
            if limits[1] is not None:
                assert weight.kernels(lowered.compile(CHEAP).as_text()) <= limits[1]


def test_lines_and_kernels_are_counted_as_they_are_said_to_be():
    """A call is its lines; a fusion is one kernel, whatever is inside."""
    twice = jax.jit(lambda x: jax.jit(jax.numpy.tanh)(x) + jax.jit(jax.numpy.tanh)(x + 1))
    lowered = twice.lower(1.0)
    assert weight.expanded(lowered.as_text()) == 5  # tanh twice, 1, and two sums.
    assert weight.kernels(lowered.compile(CHEAP).as_text()) == 1
