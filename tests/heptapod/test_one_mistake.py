"""One mistake is one error: whatever touches what is in error is poison, and nothing is said of it."""

import copy
import re
import sys
from pathlib import Path

import pytest

import heptapod
from heptapod.text.yaml import read

sys.path.insert(0, str(Path(__file__).parent))
import structures as models

ROOT = Path(__file__).parents[2]
TEXTS = {name: models.shared(name) for name in ("ret_choice", "housing", "mortgage_mon", "aiyagari", "portfolio")}
TEXTS |= {"ages": models.AGES, "health": models.HEALTH, "movers": models.MOVERS}
TEXTS |= {"cons_indshock": (ROOT / "examples" / "cons_indshock" / "cons_indshock.yml").read_text()}
# Two mistakes by one letter: RETD has the equations that it merges, and none of its own parameters is inherited there.
TWICE = {("ret_choice", "mathq")}
# What stands in place of a value. A list of wrong names may be as many mistakes as it has uses.
KINDS = {"a number": 7, "a list": [], "text": "oops +", "a truth value": True, "a name": "oops"}


def errors(source):
    return [str(found) for found in heptapod.check(source) if found.severity == "error"]


def words(text):
    """Every word of a model that is no comment, with the place where it ends."""
    for found in re.finditer(r"[A-Za-z_]\w*", text):
        if "#" not in text[text.rfind("\n", 0, found.start()) + 1 : found.start()]:
            yield found[0], found.end()


def paths(node, path=()):
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for k, v in items:
        yield (*path, k)
        yield from paths(v, (*path, k))


def replaced(tree, path, value):
    tree = here = copy.deepcopy(tree)
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    return tree


def plain(node):
    if isinstance(node, dict):
        return {k: plain(v) for k, v in node.items()}
    return [plain(v) for v in node] if isinstance(node, list) else str(node) if isinstance(node, str) else node


def check_words(model, first, step):
    text, told = TEXTS[model], []
    for word, end in list(words(text))[first::step]:
        found = errors(text[:end] + "q" + text[end:])
        if len(found) > 1 and (model, word + "q") not in TWICE:
            told.append((word, found))
    assert not told, "\n\n".join("\n".join([word, *found]) for word, found in told)


def check_kinds(model, first, step):
    tree, told = plain(read(TEXTS[model]).data), []
    for i, path in enumerate(list(paths(tree))[first::step]):
        kinds = list(KINDS) if step == 1 else [list(KINDS)[i % len(KINDS)]]
        # Without dimensions those of the grids are taken, which may be others.
        for kind in kinds if path[-1] != "dimensions" else ["a number"]:
            found = errors(replaced(tree, path, KINDS[kind]))
            if len(found) > 1:
                told.append((path, kind, found))
    assert not told, "\n\n".join("\n".join([f"{path}: {kind}", *found]) for path, kind, found in told)


@pytest.mark.parametrize("model", TEXTS)
def test_a_letter_too_many_is_at_most_one_error(model):
    check_words(model, 0, 5)


@pytest.mark.parametrize("model", TEXTS)
def test_a_value_of_another_kind_is_at_most_one_error(model):
    check_kinds(model, 0, 3)


@pytest.mark.slow
@pytest.mark.parametrize("model", TEXTS)
def test_a_letter_too_many_anywhere_is_at_most_one_error(model):
    check_words(model, 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("model", TEXTS)
def test_a_value_of_any_other_kind_anywhere_is_at_most_one_error(model):
    check_kinds(model, 0, 1)


@pytest.mark.parametrize(("right", "wrong", "under"), [("surv(h)}", "surf(h)}", "surf(h)"), ("surv(h)}", "s_good*hh}", "hh}")])
def test_a_model_of_several_stages_with_one_mistake_has_one_error(right, wrong, under):
    """The terminal value is read where households end, though a connection on the way there is in error."""
    text = (ROOT / "tests" / "cases" / "16-survival-by-health.yml").read_text()
    (found,) = heptapod.check(text.replace(right, wrong, 1))
    assert found.code.startswith("unknown") and found.mark.text[found.mark.column - 1 :].startswith(under)


def test_a_survival_that_the_objective_does_not_count_on_is_one_warning():
    (found,) = heptapod.check(ROOT / "tests" / "cases" / "14-false-second-error.yml")
    assert found.code == "survival" and found.severity == "warning" and "still depends on `h`" in found.message


# Two mistakes that have nothing to do with each other are both told.
@pytest.mark.parametrize(
    ("model", "first", "second", "codes"),
    [
        ("cons_indshock", ("R/G*a", "R/GG*a"), ("mapping: {a_nxt: a}", "mapping: {x: a}"), {"unknown-symbol", "mapping"}),
        ("cons_indshock", ("beta:    0.96", "beta:    oops"), ("n_points: n_y", "n_points: 0"), {"unknown-symbol", "type"}),
        ("ages", ("log(R*a + 1)", "log(R*b + 1)"), ("min: 0.0", "min: 90.0"), {"unknown-symbol", "grid-bounds"}),
        (
            "housing",
            ("values: z_vals, given: y_pre", "values: z_vals, given: y"),
            ("u(c, S) + beta", "u(c) + beta"),
            {"markov", "arity"},
        ),
        ("aiyagari", ("gamma: 2.0", "gamma: oops"), ("a_nxt = m - c", "a_nxt = m - cc"), {"unknown-symbol"}),
    ],
)
def test_two_mistakes_are_two_errors(model, first, second, codes):
    text = TEXTS[model]
    assert first[0] in text and second[0] in text
    found = [d for d in heptapod.check(text.replace(*first, 1).replace(*second, 1)) if d.severity == "error"]
    assert len(found) == 2 and {d.code for d in found} == codes, "\n".join(map(str, found))
