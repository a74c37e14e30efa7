"""Wrong files by the thousand: nothing is raised but a ModelError, and nothing is executed."""

import copy
import functools
import random
import re
import sys
from pathlib import Path

import pytest
import yaml

import heptapod

ROOT = Path(__file__).parents[2]
FILES = [*sorted((Path(__file__).parents[1] / "models").glob("*.yml")), *sorted((ROOT / "examples").glob("*/*.yml"))]
TEXTS = [path.read_text() for path in FILES]
CONS, SAVER = (TEXTS[[path.stem for path in FILES].index(name)] for name in ("cons_indshock", "saver"))
WATCHED = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "os.remove", "os.rename", "os.mkdir",
           "os.rmdir", "shutil.rmtree", "socket.connect", "urllib.Request", "os.putenv", "ctypes.dlopen", "webbrowser.open")  # fmt: skip
_seen: list[tuple] = []
_watching = [False]


def _hook(event, arguments):
    if not _watching[0]:
        return
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    # Source that was made up on the spot; modules that are imported late have a file.
    runs = event == "exec" and str(getattr(arguments[0], "co_filename", "")).startswith("<") and not _excused(sys._getframe(1))
    # Sympy reads its own tables so: `from sympy import *`, then `Integer(3)/Integer(2)`.
    runs = runs and not set(arguments[0].co_names) <= {"Integer", "sympy"}
    if writes or runs or event in WATCHED:
        _seen.append((event, str(arguments)[:200], sys._getframe(1).f_globals.get("__name__")))


# What sympy writes for itself: the arithmetic of a ring, from the number of its generators, and tables with 3/2 in them.
OWN = ("sympy.polys.monomials", "sympy.simplify.hyperexpand", "sympy.integrals.meijerint")


def _excused(frame) -> bool:
    """Whether a module is being imported, or sympy reads no more than its own text."""
    while frame is not None:
        if "importlib" in frame.f_code.co_filename or frame.f_globals.get("__name__") in OWN:
            return True
        frame = frame.f_back
    return False


@pytest.fixture(scope="module", autouse=True)
def _audited():
    """A hook cannot be taken away again, so it listens only while a case runs."""
    for text in TEXTS:
        heptapod.check(text)
    sys.addaudithook(_hook)
    yield
    _watching[0] = False


class Case:
    """One case under watch: what it raised, what it tried to do."""

    def run(self, work, source):
        """The result of `work(source)`."""
        _seen.clear()
        _watching[0] = True
        try:
            return work(source)
        finally:
            _watching[0] = False
            assert not _seen, (_seen, source)

    def check(self, source):
        """The diagnostics; each has a code, a message and a place."""
        found = self.run(heptapod.check, source)
        assert all(d.code and d.message and str(d) and d.severity in ("error", "warning", "note") for d in found), source
        assert all(d.mark.line >= 1 and d.mark.column >= 1 for d in found), source
        return found

    def load(self, source):
        """The model, or the errors of a ModelError."""

        def work(text):
            try:
                spec = heptapod.load(text)
            except heptapod.ModelError as error:
                return error
            heptapod.explain(spec), heptapod.to_latex(spec)
            return spec

        return self.run(work, source)


ODD_SCALARS = [
    "", " ", "~", "null", "true", "no", "0", "-1", "1e400", "-1e-400", ".inf", "-.inf", ".nan", "1e5", "1_000", "0x1F", "0o17", "9" * 40, "1" * 5000,
    "3.14159", "1:30", "2024-01-01", "'", '"', "\\", "|", ">", "@x", "`x`", "%x", "!!python/object:os.system x", "!x", "&a b", "*a", "[", "]", "{", "}",
    "[]", "{}", "[[]]", "? x", "- x", "x: y", "x: [", "<<", "#", "é", "\u202e", "\x00", "\ud83d\ude00", "a" * 300, "V[>]", "c", "beta", "E[V]", "t", "age",
    '["beta"]', "[beta]", "[1, [2, 3]]", "{a: {b: {c: {}}}}", "infinite", "0 < c <= m", "a = a", "a = a; a = a", "lambda: 0", "u(u(u(c)))", "crra(c, 1)",
]  # fmt: skip
ATTACKS = [
    "__import__('os').system('touch {0}')", "exec('open(\"{0}\", \"w\")')", "eval('1')", "open('{0}', 'w')", "().__class__.__bases__[0].__subclasses__()",
    "c.__class__", "log.__globals__", "getattr(c, 'x')", "breakpoint()", "globals()", "print(c)", "compile('1', '', 'exec')", "np.load('{0}')",
    "np.lib.os.system('touch {0}')", "sympy.sympify('c')", "import os; os.system('touch {0}')", "from os import system", "(lambda x: x)(c)",
    "[c for c in m]", "{{c: m for c in m}}", "f'{{open(\"{0}\")}}'", "'a'*1000000000", "(c := m)", "max(*m)", "u(**m)", "yield c", "await c",
    "def f(): pass", "class A: pass", "while 1: pass", "with open('{0}', 'w') as f: f", "try: c\nexcept: m", "assert c", "raise c", "global c",
    "@c", "9**9**9", "9^9^9^9", "2^1000000000000000", "(((m**99)**99)**99)", "exp(exp(exp(exp(100))))", "factorial(100000)", "(" * 1000, "-" * 3900 + "c",
    "log(" * 90 + "c" + ")" * 90, "1 if c else " * 300 + "1", "c<" * 700 + "c", "[" * 500, "c\x00", "с", "c\u200b", "E[E[E[V]]]", "V[>][>]", "c[0](1)",
]  # fmt: skip


def bytes_changed(rng: random.Random, text: str) -> str:
    """One to six small changes of the text itself."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        text = edited(rng, text)
    return text


def edited(rng: random.Random, text: str) -> str:
    """One small change."""
    i, j = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
    j = min(j, i + rng.choice((1, 3, 20, 200)))
    lines = text.split("\n")
    k = rng.randrange(len(lines))
    before, here, after = lines[:k], lines[k], lines[k + 1 :]
    strange = chr(rng.choice((0, 9, 10, 13, 27, 35, 39, 42, 58, 91, 123, 127, 160, 8232, 65279, 120277)))
    changes = (
        lambda: text[:i] + text[j:],
        lambda: text[:i] + rng.choice(ODD_SCALARS) + text[i:],
        lambda: text[:i] + rng.choice(ODD_SCALARS) + text[j:],
        lambda: text[:i] + strange + text[i:],
        lambda: text[:i] + text[i:j] * rng.choice((2, 3, 30)) + text[j:],
        lambda: text[:i] + text[i:j][::-1] + text[j:],
        lambda: "\n".join([*before, *after]),
        lambda: "\n".join([*before, here, here, *after]),
        lambda: "\n".join([*before, " " * rng.randrange(9) + here.lstrip(), *after]),
        lambda: "\n".join([*before, rng.choice(rng.choice(TEXTS).split("\n")), here, *after]),
    )
    return rng.choice(changes)()


@functools.cache
def _read(number):
    return yaml.safe_load(TEXTS[number])


def tree_of(number):
    """A good file as a tree of one's own."""
    return copy.deepcopy(_read(number))


def paths(node, path=()):
    """Every path of a tree."""
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from paths(value, (*path, key))


def at(tree, path):
    for step in path:
        tree = tree[step]
    return tree


def odd(rng: random.Random, other):
    """Something that does not belong where it is put."""
    return rng.choice(
        (
            lambda: rng.choice(ODD_SCALARS),
            lambda: rng.choice(ATTACKS).replace("{0}", "/tmp/dynx_fuzz_payload"),
            lambda: rng.choice(
                (None, True, False, 0, -1, 3.7, 10**18, 1e308, float("nan"), float("inf"), [], {}, [None], {"a": 1})
            ),
            lambda: copy.deepcopy(at(other, rng.choice(list(paths(other))))),  # It may be put into itself later.
            lambda: [[[[1]]]],
            lambda: {rng.choice(ODD_SCALARS) or "x": rng.choice(ODD_SCALARS)},
            lambda: nested(rng.choice((5, 40, 80))),
        )
    )()


def nested(depth: int):
    node = 1
    for i in range(depth):
        node = {"a": node} if i % 2 else [node]
    return node


def structure_changed(rng: random.Random, number: int):
    """A tree of a good file with one to four changes."""
    tree, other = tree_of(number), tree_of(rng.choice(range(len(TEXTS))))
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = [path for path in paths(tree) if path]
        if not places:
            break
        path = rng.choice(places)
        above, last = at(tree, path[:-1]), path[-1]
        change = rng.randrange(6)
        if change == 0:
            del above[last]
        elif change == 1:
            above[last] = odd(rng, other)
        elif change == 2 and isinstance(above, dict):
            above[rng.choice((str(last) + "x", str(last)[:-1] or "x", rng.choice(ODD_SCALARS) or "x"))] = above.pop(last)
        elif change == 3 and isinstance(above, list):
            above.insert(rng.randrange(len(above) + 1), odd(rng, other))
        elif change == 4 and isinstance(above, dict):
            above[rng.choice([p[-1] for p in paths(other) if p])] = odd(rng, other)
        else:
            same = [p for p in places if p[-1] == last or len(p) == len(path)]
            value = at(tree, rng.choice(same))
            above[last] = yaml.safe_load(yaml.safe_dump(value)) if not isinstance(value, str) else value
    return tree


def expression(rng: random.Random, names, depth: int) -> str:
    """A random expression that may well be legal."""
    if depth == 0 or rng.random() < 0.15:
        return rng.choice((*names, *names, "1", "2", "0.5", "0", "-1", "1e-3", "pi"))
    a, b = expression(rng, names, depth - 1), expression(rng, names, depth - 1)
    return rng.choice(
        (
            f"({a} + {b})", f"({a} - {b})", f"({a})*({b})", f"({a})/({b})", f"({a})^({b})", f"({a})^2", f"({a})^(1/2)", f"log({a})", f"exp({a})", f"sqrt({a})",
            f"abs({a})", f"tanh({a})", f"normcdf({a})", f"max({a}, {b})", f"min({a}, {b})", f"where({a} > {b}, {a}, {b})", f"clip({a}, 0, {b})",
            f"crra({a}, {b})", f"cara({a}, {b})", f"ces({a}, {b}, 0.4, 2)", f"sign({a})", f"({a} if {b} == 1 else {b})", f"({a} != {b})*({a})",
        )
    )  # fmt: skip


def stage(rng: random.Random) -> str:
    """A model of one stage whose objective, transition and bounds are random: food for the derivation."""
    names, depth = ["m", "c", "c", "gamma", "beta"], rng.choice((1, 2, 2, 3, 4))
    bare = rng.choice(("log(c)", "c^(1-gamma)/(1-gamma)", "crra(c, gamma)", "cara(c, gamma)", "sqrt(c)", "-(c - 3)^2", "0"))
    reward = (
        bare
        + " + "
        + expression(rng, rng.choice(([*names, "a_nxt"], ["c", "gamma"], ["a_nxt", "gamma"], ["gamma", "beta"])), depth)
    )
    weight = rng.choice(("beta",) * 6 + ("beta*m", "beta*exp(-gamma)", f"({expression(rng, names, 2)})"))
    value = rng.choice(
        (f"{reward} + {weight}*V[>]",) * 9 + (f"({reward})*V[>]", f"(({reward})^gamma + {weight}*V[>]^gamma)^(1/gamma)")
    )
    post = rng.choice(
        ("m - c",) * 5
        + (
            "1.02*(m - c)",
            "where(m - c > 0, 1.02, 1.1)*(m - c)",
            expression(rng, names, 2),
            f"m - c - max({expression(rng, names, 1)}, 0)",
        )
    )
    upper = rng.choice(("m",) * 8 + ("m + 1", "m/2", expression(rng, ["m", "gamma", "beta"], 2)))
    math = {
        "functions": {"g_av": rng.choice(("m = 1.03*a + 1", f"m = {expression(rng, ['a', 'gamma', 'beta'], 2)}")), "g_ve": f"a_nxt = {post}", "Q": value},
        "controls": {"c": f"0 < c <= {upper}"},
        "state_space": {"arvl": {"dimensions": ["a"]}, "dcsn": {"dimensions": ["m"]},
                        "cntn": {"grid": {"a_nxt": {"type": "exp", "min": rng.choice((0.0, 0.0, 1.0, -1.0)), "max": 20.0, "points": 20}}}},
    }  # fmt: skip
    if rng.random() < 0.3:
        math["functions"]["A"] = rng.choice(("E[V]", "E[V^gamma]^(1/gamma)", f"E[({expression(rng, ['a', 'gamma'], 2)})*V]"))
    parameters = {"beta": rng.choice((0.96, 0.0, 1.0, -0.5)), "gamma": rng.choice((2.0, 1.0, 0.0, 0.5, 30.0))}
    model = {
        "name": "F",
        "horizon": rng.choice((3, "infinite")),
        "terminal": 0,
        "connections": {"inter_period": [{"source": "S", "target": "S", "mapping": {"a_nxt": "a"}}]},
    }
    return yaml.safe_dump({"model": model, "stage": {"name": "S", "parameters": parameters, "math": math}}, sort_keys=False)


@pytest.mark.slow
def test_ten_thousand_wrong_files_are_told_and_nothing_else():
    rng, case, errors = random.Random(1), Case(), 0
    for i in range(10_000):
        number = i % len(TEXTS)
        if i % 2:
            errors += any(d.severity == "error" for d in case.check(bytes_changed(rng, TEXTS[number]) + "\n"))
            continue
        tree = structure_changed(rng, number)
        if not isinstance(tree, dict) or i % 4 == 0:
            source = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True) + "\n"
        else:
            source = tree
        errors += any(d.severity == "error" for d in case.check(source))
    assert errors > 5_000, errors


@pytest.mark.slow
def test_three_hundred_strange_stages_are_derived_or_refused():
    rng, case, solved = random.Random(2), Case(), {}
    for _ in range(300):
        result = case.load(stage(rng))
        word = "refused" if isinstance(result, heptapod.ModelError) else result.num.method
        solved[word] = solved.get(word, 0) + 1
    assert solved["refused"] < 200 and solved["egm"] > 30 and solved["vfi"] > 10, solved


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(TEXTS)), ids=[path.stem for path in FILES])
def test_good_files_with_a_changed_formula_are_derived_or_refused(number):
    rng, case = random.Random(number), Case()
    tree = yaml.safe_load(TEXTS[number])
    places = [
        p
        for p in paths(tree)
        if isinstance(at(tree, p), str) and p[-1] in ("Q", "g_ve", "g_av", "A", "c", "when", "solvent", "terminal")
    ]
    for _ in range(12):
        changed, path = yaml.safe_load(TEXTS[number]), rng.choice(places)
        old = at(changed, path)
        names = [w for w in old.replace("[>]", " ").replace("=", " ").split() if w.isidentifier()] or [old]
        word = rng.choice(names)
        at(changed, path[:-1])[path[-1]] = old.replace(word, f"({expression(rng, [word, *names], 2)})", 1)
        case.load(yaml.safe_dump(changed, sort_keys=False))


# Each has no real value, or an infinite one, where its argument becomes a number after a transition, as in `a_new = 0`.
UNREAL = ("min({0}, crra({0}, {0}))", "max({0}, log({0}))", "where(log({0}) > 0, {0}, 2*{0})", "max({0}, sqrt({0} - 1))",
          "min({0}, 1/{0})", "max({0}, ({0} - 1)^0.5)", "{0} + abs(log({0}) - 1)", "min(ces({0}, {0}, 0.5, {0}), {0})")  # fmt: skip


def without_a_real_value(rng):
    """A good file, one name of which stands in a formula that is no real number everywhere."""
    tree = yaml.safe_load(rng.choice(TEXTS))
    keys = ("Q", "g_ve", "g_av", "A", "c", "when", "solvent", "terminal", "survival")
    path = rng.choice([p for p in paths(tree) if isinstance(at(tree, p), str) and p[-1] in keys] or [("model", "name")])
    old = at(tree, path)
    found = [m for m in re.finditer(r"[A-Za-z_]\w*(?!\w*\()", old) if m.group() not in ("V", "E")]
    if found:
        start, end = found[-1].span()
        at(tree, path[:-1])[path[-1]] = f"{old[:start]}({rng.choice(UNREAL).format(old[start:end])}){old[end:]}"
    return yaml.safe_dump(tree, sort_keys=False)


@pytest.mark.parametrize("cases", [20, pytest.param(400, marks=pytest.mark.slow)])
def test_formulas_that_are_no_real_number_everywhere_are_derived_or_refused(cases):
    rng, case = random.Random(cases), Case()
    for _ in range(cases):
        case.load(without_a_real_value(rng))


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("resource", "left = stock - x", '"left = stock - min(x, crra(x, x))"'),
        ("fishery", "left = fish - c", '"left = fish - where(log(c) > 0, c, 2*c)"'),
        ("default", "where(a > -0.5, a, -0.5)", "min(a, crra(a, a))"),
        ("house", "solvent: x > 0", 'solvent: "sqrt(crra(0, x)) > 0"'),
    ],
)
def test_a_constant_that_is_no_real_number_after_a_transition_is_no_accident(name, old, new):
    text = TEXTS[[path.stem for path in FILES].index(name)]
    assert text.count(old) == 1
    Case().load(text.replace(old, new))


# Below these keys stand names that a model chose; every one of them is a slot of the same kind.
CHOSEN = (
    "parameters",
    "settings",
    "definitions",
    "shocks",
    "grid",
    "stages",
    "mapping",
    "types",
    "branches",
    "controls",
    "movers",
)


def kind_of(path):
    """The keys on the way, without positions and without names that a model chose."""
    below = zip((None, *path), path, strict=False)
    return tuple("a name" if above in CHOSEN else step for above, step in below if isinstance(step, str))


def slots():
    """One path for every kind of place."""
    found = {}
    for number, text in enumerate(TEXTS):
        tree = yaml.safe_load(text)
        for path in paths(tree):
            kind = kind_of(path)
            if path and not isinstance(at(tree, path), (dict, list)):
                found.setdefault(kind, (number, path))
    return sorted(found.values(), key=str)


@pytest.mark.slow
def test_every_attack_in_every_kind_of_slot_is_refused_or_harmless(tmp_path):
    """Each kind of slot sees a quarter of the strings, each string a quarter of the slots."""
    payload, case = tmp_path / "executed", Case()
    assert len(ATTACKS) >= 40 and len(slots()) > 60
    for k, (number, path) in enumerate(slots()):
        for attack in ATTACKS[k % 4 :: 4]:
            tree = tree_of(number)
            at(tree, path[:-1])[path[-1]] = attack.replace("{0}", str(payload)).replace("{{", "{").replace("}}", "}")
            case.check(tree)
            assert not payload.exists()


BOMBS = {
    "billion laughs": "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(12)),
    "merged for ever": "a: &a {x: 1}\n" + "".join(f"b{i}: &b{i} {{<<: [{', '.join(['*a'] * 9)}], y{i}: 1}}\n" for i in range(1000)),
    "an alias of itself": "model: &m {name: x, again: *m}\n",
    "deep lists": "model: " + "[" * 5000 + "\n",
    "deep mappings": "".join(" " * i + "a:\n" for i in range(3000)),
    "deep flow": "model: " + "{a: " * 400 + "1" + "}" * 400 + "\n",
    "a long key": "model: {" + "k" * 500_000 + ": 1}\n",
    "big: many parameters": CONS.replace("beta:    0.96", "beta:    0.96\n" + "".join(f"    k{i}: {i}\n" for i in range(3000))),
    "big: many definitions": CONS.replace("beta:    0.96", "beta:    0.96\n" + "".join(f"    k{i}: beta + {i}\n" for i in range(200))),
    "big: a chain of definitions": CONS.replace(
        "beta:    0.96", "beta:    0.96\n    k0: beta\n" + "".join(f"    k{i}: k{i - 1} + k{i - 1}\n" for i in range(1, 150))),
    "a chain of helpers": CONS.replace(
        "      u(c):", "      h0(x): x*x\n" + "".join(f"      h{i}(x): h{i - 1}(x) + h{i - 1}(2*x)\n" for i in range(1, 60)) + "      u(c):"),
    "many stages": "model: {horizon: 3, terminal: 0}\nstages:\n" + "".join(f"  S{i}: {{math: {{}}}}\n" for i in range(1000)),
    "many connections": CONS.replace("inter_period:\n", "inter_period:\n" + "      - {source: CONS, target: CONS, mapping: {a_nxt: a}}\n" * 800),
    "big: a long list": CONS.replace("beta:    0.96", "beta:    0.96\n    k: [" + "1.0, " * 20_000 + "1.0]"),
    "many branches": SAVER.replace("math:", "math:\n    branches: {" + ", ".join(f'b{i}: {{Q: "V[>]"}}' for i in range(400)) + "}", 1),
    "many keys": "model: {" + ", ".join(f"k{i}: {i}" for i in range(60_000)) + "}\n",
    "a huge file": "# x\n" * 400_000,
    "a huge integer": "model: {horizon: " + "9" * 100_000 + "}\n",
    "big: a huge horizon": CONS.replace("horizon: 65", "horizon: 99999"),
    "big: a huge grid": CONS.replace("n_a: 200", "n_a: 9999999"),
    "tags": "model: !!python/object/apply:os.system ['touch /tmp/dynx_fuzz_payload']\n",
    "two documents": CONS + "\n---\n" + SAVER,
    "no utf-8": "model: \udcff\n",
    "a long line": "model: {name: '" + "é" * 900_000 + "'}\n",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_time(name):
    found = Case().check(BOMBS[name])
    assert any(d.severity == "error" for d in found) != name.startswith("big:")
