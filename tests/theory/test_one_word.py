"""One word in the text changes the method and not the answer: every example under every method that applies to it."""

import functools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import heptapod
import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent))

from one_step import by_hand
from one_word import EGM, EXAMPLES, EXAMPLES_BY_NAME, answered, states_of

QUICK = ("saver",)
SOLVED = [name for name, example in EXAMPLES_BY_NAME.items() if example.methods]
ALONE = [name for name in SOLVED if EXAMPLES_BY_NAME[name].methods == ("vfi",)]


def mark(name: str):
    """The quick ones by default."""
    return name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)


@functools.lru_cache(maxsize=8)
def solved(name: str, method: str, level: int) -> sc.ModelCircuit:
    example = EXAMPLES_BY_NAME[name]
    return example.solved(method, knots=example.knots[level])


def decisions(name: str, one: sc.ModelCircuit):
    """(stage, random states) of every stored decision of the first period, on which the errors of all later ones lie."""
    for stage in EXAMPLES_BY_NAME[name].stages:
        yield stage, states_of(one[0][stage].dcsn.sol, np.random.default_rng(0))


def gaps(name: str, one: sc.ModelCircuit, two: sc.ModelCircuit) -> dict[str, np.ndarray]:
    """How far values and controls of two circuits are apart, relative, over all random states."""
    found = {}
    for stage, states in decisions(name, one):
        (value, policy, good), (other, controls, same) = (answered(s[0][stage].dcsn.sol, states) for s in (one, two))
        np.testing.assert_array_equal(good, same)
        assert good.all()
        pairs = {"value": (value, other, 1.0)} | {c: (policy[c], controls[c], 0.1) for c in policy}
        for key, (a, b, floor) in pairs.items():
            found.setdefault(key, []).append(np.abs(a - b) / (floor + np.abs(a)))
    return {key: np.concatenate(x) for key, x in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", [mark(name) for name in SOLVED if name not in ALONE])
def test_a_word_changes_no_answer_and_less_on_a_finer_grid(name):
    """Two methods err by their grids: little, and less where there are more knots.

    A policy that jumps does so at places that differ by a part of a cell, so that it is its mean error that counts. Only an example
    of little to compile is solved at two sizes.
    """
    example = EXAMPLES_BY_NAME[name]
    found = [gaps(name, *[solved(name, method, k) for method in example.methods]) for k in range(len(example.knots))]
    for key, gap in found[0].items():
        bound, floor = (3e-4, 2e-7) if key == "value" else (1e-2, 1e-4)
        assert gap.mean() < bound, (key, gap.mean(), gap.max())
        for finer in found[1:]:
            assert finer[key].mean() < 0.5 * gap.mean() + floor, (key, gap.mean(), finer[key].mean())


@pytest.mark.parametrize("name", [mark(name) for name in SOLVED])
def test_no_choice_is_better_than_the_one_that_was_made(name):
    """The value is that of the best choice of a search by hand, given what comes next; none can be made where none can be had."""
    one = solved(name, "vfi", 0)
    for stage, states in decisions(name, one):
        best, good = by_hand(one, one[0][stage].num, 0, states)
        value, _, feasible = answered(one[0][stage].dcsn.sol, states)
        np.testing.assert_array_equal(feasible, good)
        gap = (np.asarray(value) - best) / (1 + np.abs(best))
        assert np.abs(gap).mean() < 3e-5 and np.abs(gap).max() < 3e-3, (stage, gap.min(), gap.max())


@pytest.mark.slow
def test_envelope_or_not_is_a_word_where_nothing_folds():
    plain, exact = (EXAMPLES_BY_NAME["saver"].solved(word) for word in ("egm", EGM))
    assert not plain[0]["SAVE"].num.solution.upper_envelope and exact[0]["SAVE"].num.solution.upper_envelope
    for gap in gaps("saver", plain, exact).values():
        assert gap.max() < 1e-12


@functools.cache
def stages(name: str) -> dict:
    """Every stage of an example as its equations alone have it solved."""
    return heptapod.load(EXAMPLES_BY_NAME[name].text()).stages


APPLY = {"egm": {"egm", "vfi"}, "nested": {"nested", "vfi"}, "vfi": {"vfi"}, "choice": {"discrete"}, "identity": {"discrete"}}
WHY = {
    "choice": "no control of it is chosen from an interval",
    "identity": "no control of it is chosen from an interval",
    ("egm", "nested"): "it chooses two controls, one after the other, and here is",
    ("nested", "egm"): "it chooses one control, and here are c and share",
    "discrete": "chosen from an interval, not from a finite set",
}


@pytest.mark.parametrize("name", EXAMPLES_BY_NAME)
def test_a_method_that_does_not_apply_says_why_and_what_does(name):
    for stage, problem in stages(name).items():
        method, example = problem.num.method, EXAMPLES_BY_NAME[name]
        for word in APPLY[method]:
            found = heptapod.load(example.switched(word, stage)).stages[stage].num.method
            assert found == (method if word == "discrete" else word)
        does = "nothing is chosen" if method == "identity" else f"`{min(APPLY[method] - {'vfi'} or {'vfi'})}` follows"
        for word in {"egm", "vfi", "nested", "discrete"} - APPLY[method]:
            with pytest.raises(heptapod.ModelError) as caught:
                heptapod.load(example.switched(word, stage))
            assert caught.value.code == "method" and f"`{word}` cannot solve stage {stage}: " in str(caught.value)
            assert (WHY.get(method) or WHY.get((method, word)) or WHY.get(word) or problem.num.solution.reason) in str(
                caught.value
            )
            assert does in caught.value.help and ("`vfi` solves" in caught.value.help) == (method in ("egm", "nested"))


def test_no_example_is_left_out():
    """Every text of the examples and of the gallery stands here, with all of its stages that have a continuous control.

    Those of which numbers are known from elsewhere are held by `test_scorecard.py`, and careers by `test_keane_wolpin.py`.
    """
    known = {f"gallery/{name}.yml" for name in json.loads((EXAMPLES / "gallery" / "scores.json").read_text())}
    files, here = (
        {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.yml")},
        {e.file for e in EXAMPLES_BY_NAME.values()},
    )
    assert files - known - {"keane_wolpin/keane_wolpin.yml"} <= here <= files
    for name, example in EXAMPLES_BY_NAME.items():
        assert set(example.stages) == {stage for stage, problem in stages(name).items() if problem.num.controls}
