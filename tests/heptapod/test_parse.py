"""Equations are arithmetic over declared names; everything else is refused at its place, and nothing is executed."""

import pytest
import sympy
from sympy import Rational, exp, log

from heptapod.errors import Mark, ModelError
from heptapod.formulas.builtins import EXPECT, ces, crra
from heptapod.parsing.parse import Bounds, Helper, Scope, parse, parse_bounds, parse_expression
from heptapod.text.yaml import read

NAMES = ["m", "c", "a", "H", "H_new", "R", "G", "y", "gamma", "beta", "P_r", "lam"]
m, c, a, H, H_new, R, G, y, gamma, beta, P_r, lam = (sympy.Symbol(name, real=True) for name in NAMES)
V = sympy.Symbol("V@cntn", real=True)
SYMBOLS = {"m": m, "c": c, "a": a, "H": H, "H_new": H_new, "R": R, "G": G, "y": y}
PARAMETERS = {"gamma": gamma, "beta": beta, "P_r": P_r}
HELPERS = {
    "u": Helper(("c",), "c^(1-gamma)/(1-gamma)"),
    "B": Helper(("a", "scale"), "scale*u(a)"),
    "here": Helper((), "beta"),
    "loop": Helper(("x",), "1 + pool(x)"),
    "pool": Helper(("x",), "loop(x)"),
    "peeks": Helper(("x",), "x + m"),
    "typo": Helper(("x",), "x + Pr"),
    "grows": Helper(("x",), "x*(x + 1/x)"),
}
SCOPE = Scope(
    {**SYMBOLS, **PARAMETERS, "V@cntn": V, "m@dcsn": m, "H@arvl": H},
    functions=HELPERS,
    where="Q of stage CONS",
    elsewhere={"sigma_y": 'add `sigma_y: ["sigma_y"]` to the parameters of CONS'},
    ambiguous={"w": "write `w[~]` or `w[>]`"},
    helper_symbols=PARAMETERS,
)
ARRIVAL = Scope({**SYMBOLS, **PARAMETERS, "V": V}, where="A of stage CONS", expect=True)


def refused(text, scope=SCOPE, read_as=parse):
    with pytest.raises(ModelError) as raised:
        read_as(text, scope)
    assert all(d.mark.line >= 1 and d.mark.column >= 1 and d.code for d in raised.value.diagnostics)
    return raised.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("c^2", c**2),
        ("c**2", c**2),
        ("-c^2", -(c**2)),
        ("2*c^-1", 2 / c),
        ("c^2^3", c**8),
        ("a/R*2", 2 * a / R),
        ("1e-5*a", a / 100000),
        ("0.96", Rational(24, 25)),
        ("1/3", Rational(1, 3)),
        ("+c", c),
        ("log(c) + exp(m)", log(c) + exp(m)),
        ("sqrt(m)", sympy.sqrt(m)),
        ("np.log(c) + jnp.exp(m) - numpy.tanh(a)", log(c) + exp(m) - sympy.tanh(a)),
        ("np.maximum(m, 0) + np.minimum(a, 1)", sympy.Max(m, 0) + sympy.Min(a, 1)),
        ("clip(m, 0, 1)", sympy.Min(sympy.Max(m, 0), 1)),
        ("crra(c, gamma) + ces(c, H, 0.5, 2)", crra(c, gamma) + ces(c, H, Rational(1, 2), 2)),
        ("ghh(c, y, gamma, 1, 2)", crra(c - y**2, gamma)),
        ("u(c) + beta*V[>]", c ** (1 - gamma) / (1 - gamma) + beta * V),
        ("B(m, scale=2)", 2 * m ** (1 - gamma) / (1 - gamma)),
        ("B(scale=2, a=m)", 2 * m ** (1 - gamma) / (1 - gamma)),
        ("here()", beta),
        ("m[~] - H[<] + V[ > ]", m - H + V),
        ("2*pi", 2 * sympy.pi),
        ("inf", sympy.oo),
        ("-inf", -sympy.oo),
        ("  c + 1  ", c + 1),
        ("(c +\n 1)", c + 1),
        (3, sympy.Integer(3)),
        (0.1, Rational(1, 10)),
        (float("inf"), sympy.oo),
        (True, sympy.true),
    ],
)
def test_an_equation_means_what_it_says(text, expected):
    assert parse_expression(text, SCOPE) == expected


def test_numbers_are_exact():
    assert parse_expression("0.1 + 0.2", SCOPE) == Rational(3, 10)


def test_names_that_sympy_takes_for_its_own_are_ours():
    names = {name: sympy.Symbol(name, real=True) for name in ("E", "S", "N", "I", "Q", "O", "gamma", "beta", "zeta")}
    for name, symbol in names.items():
        assert parse_expression(name, Scope(names)) is symbol


def test_a_conditional_chooses():
    for text in ("a if c < m else 3", "where(c < m, a, 3)", "np.where(c < m, a, 3)"):
        value = parse_expression(text, SCOPE)
        assert value.subs({c: 1, m: 2}) == a
        assert value.subs({c: 2, m: 1}) == 3


@pytest.mark.parametrize(
    ("text", "true_at"),
    [
        ("c < m and not a >= 2", {c: 1, m: 2, a: 1}),
        ("c > m or a == 1", {c: 1, m: 2, a: 1}),
        ("0 < c <= m != a", {c: 1, m: 2, a: 1}),
        ("not c", {c: 0}),
    ],
)
def test_logic_and_chains(text, true_at):
    assert parse_expression(text, SCOPE).subs(true_at) == sympy.true


def test_an_indicator_in_arithmetic_is_zero_or_one():
    moving = parse_expression("(H_new != H)*m + (1 < 2)*c", SCOPE)
    assert moving.subs({H_new: 1, H: 1}) == c
    assert moving.subs({H_new: 2, H: 1}) == m + c


def test_a_relation_is_not_simplified_away():
    positive = sympy.Symbol("c", positive=True)
    relation = parse_expression("0 < c", Scope({"c": positive}))
    assert relation != sympy.true
    assert relation.args == (0, positive)


def test_a_relation_of_numbers_is_decided():
    assert parse_expression("1 < 2 and 3 != 3", SCOPE) == sympy.false


def test_expectations_are_taken_where_they_may():
    assert parse_expression("E[G^(1-gamma)*V]", ARRIVAL) == EXPECT(G ** (1 - gamma) * V)
    assert refused("E[m]").code == "scope"


@pytest.mark.parametrize("text", ["m = R*a; a_nxt = m - c", "m = R*a\na_nxt = m - c\n"])
def test_statements_have_targets(text):
    assert [(s.target, s.expression) for s in parse(text, SCOPE)] == [("m", R * a), ("a_nxt", m - c)]


def test_a_target_may_carry_a_tag():
    (statement,) = parse("H[>] = H_new", SCOPE)
    assert (statement.target, statement.expression) == ("H@cntn", H_new)


def test_a_bare_expression_has_no_target():
    (statement,) = parse("m - c", SCOPE)
    assert statement.target is None


def test_a_helper_sees_its_arguments_before_the_parameters():
    scope = Scope({"m": m}, {"f": Helper(("gamma",), "gamma + beta")}, helper_symbols=PARAMETERS)
    assert parse_expression("f(m)", scope) == m + beta


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("m +* c", "syntax", 4),
        ("c^2 + )", "syntax", 7),
        ("lambda*c", "syntax", 1),
        ("m - class", "syntax", 5),
        ("m c", "syntax", 3),
        ("m += c", "statement", 1),
        ("a = b = m", "statement", 1),
        ("import os", "statement", 1),
        ("del m", "statement", 1),
        ("f(x) = m", "syntax", 1),
        ("m.x = c", "target", 1),
        ("m, c = 1", "target", 1),
        ("m[t+1]", "index", 1),
        ("c + m[0]", "index", 5),
        ("m[1:2]", "index", 1),
        ("u(c)[>]", "index", 1),
        ("10000000000000000*c", "literal", 1),
        ("1e200", "literal", 1),
        ("1e999", "literal", 1),
        ("1e-999", "literal", 1),
        ("'m'", "literal", 1),
        ("None", "literal", 1),
        ("2j", "literal", 1),
        ("...", "literal", 1),
        ("c + log(0)", "literal", 5),
        ("sqrt(-1)", "literal", 1),
        ("log(-2)", "literal", 1),
        ("(-8)^(1/3)", "literal", 1),
        ("0^-1", "literal", 1),
        ("inf + c", "literal", 1),
        ("inf - inf", "literal", 1),
        ("log(m - m)", "literal", 1),
        ("1/0", "div0", 1),
        ("0/0", "div0", 1),
        ("c^2 + 1/(a-a)", "div0", 7),
        ("_c", "name", 1),
        ("c^2*__class__", "name", 5),
        ("c^2^1 + Pr", "unknown-symbol", 9),
        ("é + c^2 + Pr", "unknown-symbol", 1),
        ("V[<]", "unknown-symbol", 1),
        ("C(2)", "unknown-function", 1),
        ("np.linalg(c)", "unknown-function", 1),
        ("m(2)", "unknown-function", 1),
        ("E(m)", "unknown-function", 1),
        ("c + log", "function-as-value", 5),
        ("u", "function-as-value", 1),
        ("c*sigma_y", "scope", 3),
        ("w + 1", "ambiguous", 1),
        ("c + log(c, m)", "arity", 5),
        ("max()", "arity", 1),
        ("log(x=c)", "arity", 1),
        ("u()", "arity", 1),
        ("u(c, m)", "arity", 1),
        ("u(c, c=m)", "arity", 1),
        ("u(d=m)", "argument", 3),
        ("loop(m)", "circular", 5),
        ("c // m", "operator", 1),
        ("c % m", "operator", 1),
        ("c & m", "operator", 1),
        ("c << m", "operator", 1),
        ("~c", "operator", 1),
        ("c in m", "operator", 1),
        ("c is m", "operator", 1),
        ("m.real", "not-allowed", 1),
        ("[m]", "not-allowed", 1),
        ("m, c", "not-allowed", 1),
        ("", "empty", 1),
        ("  ", "empty", 1),
        ("# nothing", "empty", 1),
        (None, "empty", 1),
        ([1], "statement", 1),
        (float("nan"), "literal", 1),
        ("+".join(["c"] * 400), "too-big", None),
        ("c" * 4001, "too-long", 1),
    ],
)
def test_each_mistake_has_a_code_and_a_column(text, code, column):
    error = refused(text)
    assert error.code == code
    assert column is None or error.column == column


def test_one_expression_is_one_expression():
    assert refused("m = c", read_as=parse_expression).code == "statement"
    assert refused("m; c", read_as=parse_expression).code == "statement"


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("Pr", "`P_r`"),
        ("lgo(c)", "`log`"),
        ("m[t+1]", "no time index"),
        ("lambda*c", "lam"),
        ("sigma_y", "parameters of CONS"),
        ("w", "`w[~]`"),
        ("V[<]", "`V[>]`"),
        ("m(c)", "m*("),
        ("ｍ", "write `m`"),
    ],
)
def test_help_says_what_to_write(text, help):
    assert help in refused(text).help


def test_the_place_of_the_scope_is_said():
    assert "`Pr` is not declared in Q of stage CONS" in str(refused("Pr"))


def test_an_error_in_a_helper_is_reported_in_its_body():
    data = read("f(x): x^2 + Pr\nQ: c + f(c)\n", "model.yml").data
    scope = Scope(SYMBOLS, {"f": Helper(("x",), data["f(x)"])}, helper_symbols=PARAMETERS)
    error = refused(data["Q"], scope)
    assert (error.file, error.line, error.column) == ("model.yml", 1, 13)
    assert "helper f(x)" in str(error)


def test_a_helper_is_pure():
    error = refused("peeks(c)")
    assert error.code == "scope"
    assert "arguments of `peeks`" in error.help


@pytest.mark.parametrize(
    "source",
    [
        "Q: c^2 + Pr*a",
        "Q: 'c^2 + Pr*a'",
        'Q: "c^2 + Pr*a"',
        "Q: c^2\n   + c^3 - Pr*a",
        "Q: |\n  a_nxt = m - c^2\n  b = c^2 + Pr",
        "Q: |\n\n    (c^2 +\n       Pr)",
        "Q: >\n  c^2 +\n  Pr",
        "Q: é^2^2 + Pr",
        "Q: V[>]^2 + Pr",
    ],
)
def test_the_caret_points_at_the_word_however_the_text_is_written(source):
    scope = Scope({**SYMBOLS, "é": a, "V@cntn": V, "P_r": P_r})
    error = refused(read(source).data["Q"], scope)
    mark = error.diagnostics[0].mark
    assert mark.text[mark.column - 1 :][: mark.width] == "Pr"
    assert mark.text == source.splitlines()[mark.line - 1]


def test_a_given_mark_is_where_a_plain_string_begins():
    with pytest.raises(ModelError) as raised:
        parse("c^2 + Pr", SCOPE, Mark("model.yml", 7, 10, "   keep:  c^2 + Pr"))
    assert (raised.value.line, raised.value.column) == (7, 16)


ATTACKS = [
    "__import__('os').system('touch {0}')",
    'exec(\'open("{0}", "w")\')',
    'eval(\'open("{0}", "w")\')',
    "open('{0}', 'w')",
    "open('{0}', 'w').write('x')",
    "().__class__.__bases__[0].__subclasses__()",
    "c.__class__",
    "c.__init__.__globals__",
    "log.__globals__",
    "getattr(c, 'x')",
    "breakpoint()",
    "globals()",
    "print(c)",
    "compile('1', '', 'exec')",
    "np.load('{0}')",
    "np.lib.os.system('touch {0}')",
    "sympy.sympify('c')",
    "import os; os.system('touch {0}')",
    "from os import system",
    "lambda: 0",
    "(lambda x: x)(c)",
    "[c for c in m]",
    "(c for c in m)",
    "{{c for c in m}}",
    "{{c: m for c in m}}",
    'f\'{{open("{0}", "w")}}\'',
    "b'abc'",
    "'a'*1000000000",
    "(c := m)",
    "max(*m)",
    "u(**m)",
    "*m",
    "yield c",
    "await c",
    "def f(): pass",
    "class A: pass",
    "while 1: pass",
    "for c in m: c",
    "with open('{0}', 'w') as f: f",
    "try: c\nexcept: m",
    "assert c",
    "raise c",
    "global c",
    "return c",
    "@c",
    "`c`",
    "c ? m : a",
    "c; __import__('os')",
    "9**9**9",
    "9^9^9^9",
    "2**(10**9)",
    "2^1000000000000000",
    "(((m**99)**99)**99)",
    "(2^(9999*m))^(9999/m)",
    "2^(1000000000 - m)*2^m",
    "log(1e15)^1e15",
    "exp(exp(exp(exp(100))))",
    "exp(1e15)",
    "1.000001^99^9",
    "(1000000000000000^(9999*m))^(1/m)",
    "factorial(100000)",
    "10**15**2",
    "(" * 1000,
    "(" * 1000 + "c" + ")" * 1000,
    "(" * 150 + "c" + ")" * 150 + "[",
    "-" * 3900 + "c",
    "not " * 900 + "c",
    "log(" * 90 + "c" + ")" * 90,
    "grows(" * 40 + "c" + ")" * 40,
    "1 if c else " * 300 + "1",
    "c<" * 700 + "c",
    "c and " * 650 + "c",
    "[" * 500,
    "c\x00",
    "c\x0c+1 \x1b[0m m",
    "c\ud800",
    "c\u200b",
    "c\u202e",
    "с",  # Cyrillic.
    "ｃ",  # Full width.
    "𝑐",  # Mathematical italic.
    "ﬁ",
    "c\u00a0+ m",
    "c × m",
    "c − m",
    "e\u0301",
    "0if c",
    "1(2)",
    "c[m](2)",
    "\\",
    "c \\",
    "'''",
    '"',
    "0xfffffffffffffffff",
    "1_000_000_000_000_000_000",
    "9" * 3990,
    "0777",
]


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_an_attack_is_refused_quickly_and_executes_nothing(attack, tmp_path):
    payload = tmp_path / "executed"
    refused(attack.format(payload) if "{0}" in attack or "{{" in attack else attack)
    assert not payload.exists()


def test_the_attack_would_have_worked_on_sympify(tmp_path):
    payload = tmp_path / "executed"
    sympy.sympify(f"__import__('pathlib').Path('{payload}').write_text('')")
    assert payload.exists()


@pytest.mark.parametrize(
    "text",
    [
        "sqrt(999999999999989)",
        "(999999999999989/999999999999947)^(1/7)",
        "max(" + ", ".join(f"(m + {i})^2*exp(m)" for i in range(40)) + ")",
        "(c + m)^64*(a + 1)^64",
        "1.0123456^40",
        "+".join(f"{i}*c^{i}" for i in range(100)),
        "2^(1/3) + 3^(1/5)",
    ],
)
def test_what_is_legal_stays_as_short_as_it_was_written(text):
    """Nothing is multiplied out, and no number grows digits that nobody wrote."""
    found = parse_expression(text, SCOPE)
    assert sum(1 for _ in sympy.preorder_traversal(found)) <= 3 * len(text) and len(str(found)) <= 1000 + 3 * len(text)


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("0 < c <= m", Bounds(sympy.Integer(0), True, m, False)),
        ("c <= m", Bounds(None, False, m, False)),
        ("c < m", Bounds(None, False, m, True)),
        ("m >= c > 0", Bounds(sympy.Integer(0), True, m, False)),
        ("c >= 0", Bounds(sympy.Integer(0), False, None, False)),
        ("0 <= c", Bounds(sympy.Integer(0), False, None, False)),
        ("0 < c < inf", Bounds(sympy.Integer(0), True, None, False)),
        ("-R*a <= c <= max(m, 0) + 1", Bounds(-R * a, False, sympy.Max(m, 0) + 1, False)),
    ],
)
def test_bounds_are_read_side_by_side(text, bounds):
    assert parse_bounds(text, "c", SCOPE) == bounds


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("c == m", "bounds"),
        ("0 < m", "bounds"),
        ("0 < c and c < m", "bounds"),
        ("0 < c > m", "bounds"),
        ("c < c + 1", "bounds"),
        ("c < m < a", "bounds"),
        ("0 < c < m < a", "bounds"),
        ("2*c < m", "bounds"),
        ("c", "bounds"),
        ("b = c < m", "bounds"),
        ("c < m; c > 0", "bounds"),
        (3, "bounds"),
        ("0 < c <= Pr", "unknown-symbol"),
        ("", "empty"),
    ],
)
def test_any_other_bound_is_refused(text, code):
    error = refused(text, read_as=lambda text, scope: parse_bounds(text, "c", scope))
    assert error.code == code
    assert code != "bounds" or "<= upper" in error.help
