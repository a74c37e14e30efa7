"""Every example under every method: its text at another size and with one word changed, and random states off its knots."""

import re
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import stagecraft as sc

EXAMPLES = Path(__file__).parents[2] / "examples"
EGM = "{solution: egm, upper_envelope: exact}"


@dataclass(frozen=True)
class Example:
    """An example at another size, and its stages with continuous controls.

    **Attributes:** `file`; `stages`; `size`: (old, new) texts that shrink it, with `{n}` for the knots of the active post-state
    and `{k}` for those of another; `methods`: those that apply; `knots`: (n, k), of one size or of a coarse and a fine one.
    """

    file: str
    stages: tuple[str, ...]
    size: tuple[tuple[str, str], ...]
    methods: tuple[str, ...] = (EGM, "vfi")
    knots: tuple[tuple[int, int], ...] = ((25, 7),)

    def text(self, knots=(25, 7)) -> str:
        """The text at a size."""
        found = (EXAMPLES / self.file).read_text()
        for old, new in self.size:
            assert old in found, (self.file, old)
            found = found.replace(old, new.replace("{n}", str(knots[0])).replace("{k}", str(knots[1])))
        return found

    def switched(self, method: str, *stages: str, knots=(25, 7)) -> str:
        """The text with the method of the named stages, or of all of them, changed."""
        found, word = self.text(knots), method if "{" in method else f"{{solution: {method}}}"
        for name in stages or self.stages:
            single = re.compile(rf"^  name: {name}$", re.MULTILINE)
            found = single.sub(rf"\g<0>\n  methods: {word}", found)
            found = re.sub(rf"^  {name}:.*$", rf"\g<0>\n    methods: {word}", found, flags=re.MULTILINE)
        return found

    def solved(self, method: str, *stages: str, knots=(25, 7)) -> sc.ModelCircuit:
        """The circuit under a method."""
        return sc.solve(sc.load(self.switched(method, *stages, knots=knots)))


EXAMPLES_BY_NAME = {
    "cons_indshock": Example(
        "cons_indshock/cons_indshock.yml",
        ("CONS",),
        (("horizon: 65", "horizon: 4"), ("n_a: 200, n_y: 7", "n_a: {n}, n_y: 3")),
        knots=((25, 0), (50, 0)),
    ),
    "saver": Example("stage_workflow/saver.yml", ("SAVE",), (("horizon: 1", "horizon: 3"), ("n: 150", "n: {n}"), ("n_points: 7", "n_points: 3"))),
    "ret_choice": Example(
        "ret_choice/ret_choice.yml",
        ("WORK", "RETD"),
        (("horizon: 20", "horizon: 4"), ("n: 500, a_max: 500.0", "n: {n}, a_max: 120.0"), ("{value: 0.05", "{value: 0.0")),
        knots=((50, 0),),
    ),
    "housing": Example(
        "housing/housing.yml",
        ("OWNC", "RNTC"),
        (("horizon: 20", "horizon: 3"), ("n_a: 200, a_max: 60.0", "n_a: {n}, a_max: 20.0"),
         ("[0.0, 0.5, 1.0, 2.0, 3.5, 5.0]", "[0.0, 1.0, 3.0]"), ("[0.25, 0.5, 1.0, 2.0, 3.5, 5.0]", "[0.25, 1.0]"),
         ("[[0.99, 0.01, 0.0], [0.01, 0.98, 0.01], [0.0, 0.09, 0.91]]", "[[0.9, 0.1], [0.1, 0.9]]"),
         ("[0.2, 0.526, 4.66]", "[0.5, 1.5]")),
        knots=((80, 0),),
    ),
    "mortgage_mon": Example(
        "mortgage_mon/mortgage_mon.yml",
        ("CONS",),
        (("horizon: 30", "horizon: 3"), ("T_m:     30", "T_m:     3"), ("n_a: 60, n_b: 8, n_r: 5, n_y: 3", "n_a: {n}, n_b: {k}, n_r: 2, n_y: 2"),
         ("b_max: 3.5", "b_max: 1.5")),
        knots=((40, 15),),
    ),
    "portfolio": Example(
        "portfolio/portfolio.yml",
        ("PORT",),
        (("horizon: 60", "horizon: 3"), ("n_a: 100, n_share: 25", "n_a: {n}, n_share: {k}"), ("[7, 5]", "[3, 3]")),
        methods=("nested", "vfi"),
    ),
    "aiyagari": Example(
        "aiyagari/aiyagari.yml",
        ("CONS",),
        (("n_a: 150, n_z: 5, a_max: 200.0", "n_a: {n}, n_z: 2, a_max: 40.0"), ("beta:  {value: 0.96", "beta:  {value: 0.9")),
        knots=((40, 0),),
    ),
    "epstein_zin": Example(
        "epstein_zin/epstein_zin.yml",
        ("CONS",),
        (("horizon: 25", "horizon: 3"), ("n_a: 120, n_r: 5, n_y: 5", "n_a: {n}, n_r: 3, n_y: 3")),
        methods=("vfi",),
    ),
    "durable": Example(
        "gallery/durable.yml",
        ("CONS",),
        (("horizon: 40", "horizon: 3"), ("n_a: 150, n_d: 25, n_y: 5", "n_a: {n}, n_d: {k}, n_y: 2"),
         ("[0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]", "[0.0, 1.0, 3.0]")),
        knots=((60, 21),),
    ),
    "habit": Example(
        "gallery/habit.yml",
        ("CONS",),
        (("horizon: 8", "horizon: 3"), ("n_a: 60, n_h: 15, n_y: 3", "n_a: {n}, n_h: {k}, n_y: 2")),
        methods=("vfi",),
        knots=((40, 14),),
    ),
    "house": Example(
        "gallery/house.yml",
        ("CONS",),
        (("horizon: 30", "horizon: 3"), ("n_e: 120, n_y: 5, e_max: 25.0", "n_e: {n}, n_y: 2, e_max: 15.0"),
         ("[0.0, 1.5, 3.0, 5.0]", "[0.0, 1.5, 3.0]")),
        knots=((80, 0),),
    ),
    "health": Example("gallery/health.yml", ("WELL", "SICK"), (("horizon: 75", "horizon: 3"), ("n_a: 150, n_y: 5", "n_a: {n}, n_y: 2"))),
    "job_search": Example(
        "gallery/job_search.yml",
        ("WORK", "UNEM"),
        (("horizon: 45", "horizon: 3"), ("n_a: 150", "n_a: {n}"), ("[0.5, 0.7, 0.9, 1.1, 1.4]", "[0.5, 1.2]"),
         ("[0.15, 0.25, 0.30, 0.20, 0.10]", "[0.6, 0.4]")),
        knots=((80, 0),),
    ),
    "retirement": Example(
        "estimation/retirement.yml",
        ("WORK", "RETD"),
        (("horizon: 20", "horizon: 3"), ("n: 150, a_max: 400.0, n_w: 5", "n: {n}, a_max: 120.0, n_w: 3"), ("sigma_eps: {value: 0.15", "sigma_eps: {value: 2.0")),
        knots=((60, 0),),
    ),
    "rust": Example("rust/rust.yml", (), (), methods=()),
    "mccall": Example("gallery/mccall.yml", (), (), methods=()),
    # The value that it records is no maximum.
    "sophisticated": Example("gallery/sophisticated.yml", ("SELF",), (), methods=()),
    "quasi_hyperbolic": Example(
        "gallery/quasi_hyperbolic.yml", ("PLAN", "NOW"), (("horizon: 30", "horizon: 3"), ("n_a: 100, n_y: 5", "n_a: {n}, n_y: 2"))
    ),
}  # fmt: skip


def states_of(sol, rng: np.random.Generator, count: int = 200) -> dict[str, jax.Array]:
    """Random states between the knots of a stored decision: values of discrete ones, the last one more often low than high."""
    rows, row, found = np.asarray(sol.stored.state), np.zeros(count, int), {}
    rows = rows.reshape(-1, rows.shape[-1])
    for axis in sol.axes:
        values = np.asarray(axis.values)
        share = rng.uniform(0.02, 0.98, count)
        x = rng.choice(values, count) if axis.discrete else values[0] + share * (values[-1] - values[0])
        found[axis.name], row = x, row * len(values) + np.searchsorted(values, x, side="right") - 1
    low, high = np.maximum(rows[row, 0], 0) + 0.3, 0.8 * rows[row].max(axis=-1)
    found[sol.state] = low + (high - low) * rng.uniform(0, 1, count) ** 2.5
    return {name: jnp.asarray(x) for name, x in found.items()}


@jax.jit
def answered(sol, states):
    """What a decision says of value and controls."""
    answer = sol.at(states)
    return answer.value, answer.policy, answer.feasible
