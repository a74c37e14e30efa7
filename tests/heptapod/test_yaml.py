"""YAML is read as version 1.2, with the place of everything, and never as code."""

import math

import pytest
import yaml

from heptapod.errors import ModelError
from heptapod.text.yaml import Text, read

MODEL = """\
model:
  name: ConsIndShock   # a comment
  beta: 0.96
stages:
  CONS:
    functions: {u(c): 'c^(1-gamma)', "Q": u(c)}
    grid: [0, 1e-5, "2*a_max"]
    math: |
      m = R*a
        + y

      a_nxt = m - c
"""


def refused(text):
    with pytest.raises(ModelError) as raised:
        read(text, "model.yml")
    assert raised.value.file == "model.yml"
    return raised.value


@pytest.mark.parametrize(
    ("spelled", "value"),
    [
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3),
        ("010", 10),
        ("1000000000000000", 10**15),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("2001-01-01", "2001-01-01"),
        ("1_000", "1_000"),
        ("inf", "inf"),
        ("'1'", "1"),
        ('"<<"', "<<"),
    ],
)
def test_scalars_follow_yaml_1_2(spelled, value):
    data = read(f"a: {spelled}").data["a"]
    assert data == value
    assert type(data) is (Text if isinstance(value, str) else type(value))


def test_nan_is_a_float():
    assert math.isnan(read("a: .nan").data["a"])


def test_reading_leaves_the_global_loader_alone():
    read("a: 1e-5")
    assert yaml.safe_load("[1e-5, no]") == ["1e-5", False]


def test_every_value_and_key_has_a_place():
    document = read(MODEL, "model.yml")
    assert str(document.mark(("model", "beta"))) == "model.yml:3:9"
    assert str(document.mark(("model", "beta"), key=True)) == "model.yml:3:3"
    assert document.mark(("model", "beta"), key=True).width == 4
    assert str(document.mark(("stages", "CONS", "grid", 1))) == "model.yml:7:15"
    assert document.mark(("stages", "CONS", "functions", "Q"), key=True).column == 38


def test_what_is_missing_is_placed_at_its_nearest_parent():
    document = read(MODEL)
    assert document.mark(("model", "gamma", "value")) == document.mark(("model",))
    assert document.mark(("model", "gamma"), key=True).line == 1


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("model", "name"), 2, 9),
        (("stages", "CONS", "functions", "u(c)"), 6, 24),
        (("stages", "CONS", "grid", 2), 7, 22),
        (("stages", "CONS", "math"), 9, 7),
    ],
)
def test_a_text_knows_where_its_content_begins(path, line, column):
    document = read(MODEL)
    text = document.data
    for step in path:
        text = text[step]
    assert (text.mark.line, text.mark.column) == (line, column) == (document.mark(path).line, document.mark(path).column)
    assert text.block == (path[-1] == "math")


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("a: one TARGET", "TARGET"),
        ("a: 'it''s TARGET'", "TARGET"),
        (r'a: "q\" \u0041 \\ TARGET"', "TARGET"),
        ("a: one\n   two\n   TARGET", "TARGET"),
        ("a: 'one\n\n   two TARGET'", "TARGET"),
        ('a: "one\\\n   two TARGET"', "TARGET"),
        ("a: |\n  one\n    two\n\n  TARGET", "TARGET"),
        ("a: >\n  one\n  two\n  TARGET", "TARGET"),
        ("a: é TARGET", "TARGET"),
    ],
)
def test_every_character_of_a_text_has_a_place(source, word):
    text = read(source).data["a"]
    mark = text.place(text.index(word))
    assert mark.text[mark.column - 1 :].startswith(word)


def test_aliases_and_merges_are_legal_and_own_keys_win():
    data = read("base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}\nboth: {<<: [{x: 9}, *b]}\nsame: *b").data
    assert data["more"] == {"x": 1, "y": 3}
    assert data["both"] == {"x": 9, "y": 2}
    assert data["same"] == {"x": 1, "y": 2}


def test_numbers_as_keys_become_text():
    assert read("steps: {25: 1.03, 45.5: 1}").data == {"steps": {"25": 1.03, "45.5": 1}}


def test_bytes_are_utf_8():
    assert read("\ufeffa: é".encode()).data == {"a": "é"}


def test_an_empty_file_has_no_data():
    document = read("# nothing\n")
    assert document.data is None
    assert document.mark(("model",)).line == 1


def test_all_duplicate_keys_are_reported_at_once():
    error = refused("a: 1\nb: {x: 1, x: 2}\na: 3\n")
    assert [(d.code, d.mark.line, d.mark.column) for d in error.diagnostics] == [
        ("duplicate-key", 2, 11),
        ("duplicate-key", 3, 1),
    ]
    assert "first at line 1" in error.diagnostics[1].message


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{','.join(['*' + old] * 10)}]}}\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: !!python/object/apply:os.system ['true']", "yaml-tag", 1),
        ("a: !!str 5", "yaml-tag", 1),
        ("b: 1\na: !mine 5", "yaml-tag", 2),
        ("a: ! 5", "yaml-tag", 1),
        (BOMB, "yaml-bomb", 1),
        (MERGE_BOMB, "yaml-bomb", 2),
        ("a: &x [*x]", "yaml-depth", 1),
        ("a: &x {<<: *x}", "yaml-depth", 1),
        ("a: " + "[" * 5000, "yaml-depth", 1),
        ("a: " + "{a: " * 5000, "yaml-depth", 1),
        ("".join(" " * i + "a:\n" for i in range(100)), "yaml-depth", 60),
        ("a: 1000000000000001", "literal", 1),
        ("a: " + "9" * 6000, "literal", 1),
        ("a: 1e999", "literal", 1),
        ("a: 1e-999", "literal", 1),
        ("? [1, 2]\n: 3", "yaml-key", 1),
        ("? {a: 1}\n: 3", "yaml-key", 1),
        ("~: 3", "yaml-key", 1),
        (": 3", "yaml", 1),
        ("a: {<<: 3}", "yaml-key", 1),
        ("a: 1\n---\nb: 2", "yaml", 2),
        ("a: 1\nb: [1, 2", "yaml", 2),
        ("a: b: c", "yaml", 1),
        ("\ta: 1", "yaml", 1),
        ("a: *nowhere", "yaml", 1),
        ("a: 1\nb: x\x00y", "yaml", 2),
        ("a: \x1b[31m", "yaml", 1),
        ("a: \ud800", "yaml", 1),
        (r'a: "\0"', "yaml", 1),
        (r'a: "\ud800"', "yaml", 1),
        (r'a: "\U00110000"', "yaml", 1),
        (r'a: "\UFFFFFFFF"', "yaml", 1),
        ("a: 1\n@", "yaml", 2),
        ("%YAML 9.9\n---\na: 1", "yaml", 1),
        (b"a: 1\nb: \xff\xfe", "yaml", 2),
        ("a: " + "x" * 1_000_001, "yaml-size", 1),
    ],
    ids=lambda value: str(value)[:24].encode("ascii", "backslashreplace").decode() if len(str(value)) > 6 else None,
)
def test_what_is_not_the_dialect_is_refused_at_its_place(text, code, line):
    error = refused(text)
    assert (error.code, error.line) == (code, line)
    assert error.column >= 1
    assert str(error)


def test_a_control_character_is_named():
    error = refused("a: 1\nb: x\x00y")
    assert (error.line, error.column) == (2, 5)
    assert "U+0000" in str(error)
