"""Words for mistakes that newcomers make: one message each, which says what to write."""

import pytest

import heptapod

MODEL = """
dialect: 1
model:
  name: Cap
  horizon: 3
  terminal: 0
  parameters: {beta: 0.95, cap: 0.5}
  settings: {n: 40}
  defaults: {inherit: all}
  connections: {inter_period: [{source: C, target: C, mapping: {b: a}}]}
stage:
  name: C
  math:
    functions: {g_av: m = a + 1, g_ve: b = m - c, Q: "log(c) + cap*0 + beta*V[>]"}
    controls: {c: 0 < c <= m}
    state_space:
      arvl: {dimensions: ["a"]}
      dcsn: {dimensions: ["m"]}
      cntn: {grid: {b: {type: linspace, min: 0.0, max: 10.0, points: n}}}
"""


@pytest.mark.parametrize(
    ("right", "wrong", "code", "words"),
    [
        ("0 < c <= m", "max(m - cap, 0) <= c <= m", "yaml", 'inside { } a comma ends the entry|"max(m - cap, 0) <= c <= m"'),
        ("0 < c <= m", "max(min(m, 2), 0) <= c <= m, d: 0 <= d <= 1", "yaml", '"max(min(m, 2), 0) <= c <= m"'),
        ("{g_av: m", "{u(c, n): log(c), g_av: m", "yaml", 'inside { } a comma ends the entry|"u(c, n)"'),
        ("{type: linspace, min: 0.0, max: 10.0, points: n}", "{type: list, values: [0, max(cap, 1), 3]}", "yaml",
         'inside [ ] a comma ends the entry|"max(cap, 1)"'),
        ("{n: 40}", "{n: 40.0}", "type", "`n: 40.0` is a real number; write 40"),
        ("0 < c <= m", "c <= m", "bounds", "`c` has no lower bound|write `c: 0 < c"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_once_with_what_to_write(right, wrong, code, words):
    assert right in MODEL
    (found,) = heptapod.check(MODEL.replace(right, wrong))
    assert found.code == code and all(part in str(found) for part in words.split("|")), str(found)


def test_what_a_comma_may_cut_is_read_where_it_is_quoted_or_stands_in_a_block():
    for controls in ('{c: "max(m - cap, 0) < c <= m"}', "\n      c: max(m - cap, 0) < c <= m"):
        assert not heptapod.check(MODEL.replace("{c: 0 < c <= m}", controls))
    # What is never closed is no matter of commas.
    (found,) = heptapod.check(MODEL.replace("0 < c <= m", "0 < c <= (m"))
    assert "was never closed" in str(found)
