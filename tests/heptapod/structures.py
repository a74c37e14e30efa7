"""Models of several stages, as text and as files, for tests to load and to break."""

from pathlib import Path

SHARED = Path(__file__).parents[1] / "models"
EXAMPLES = Path(__file__).parents[2] / "examples"

# One consumption stage; what differs between stages is written in.
CONS = """  {name}:
    math:
      functions:
        g_av: m = R*a + {income}
        g_ve: b = m - c
        Q: log(c) + beta*V[>]
      controls: {{c: 0 < c <= m}}
      state_space:
        arvl: {{dimensions: ["a"]}}
        dcsn: {{dimensions: ["m"]}}
        cntn: {{grid: {{b: {{type: power, min: 0.0, max: a_max, points: n}}}}}}
"""

# Work until a given age, then rest: two kinds of period, one connection with a share that lives on.
AGES = (
    """dialect: 1
model:
  name: Ages
  horizon: 6
  age: {start: 60, step: 1}
  terminal: log(R*a + 1)
  parameters: {R: 1.02, beta: 0.95, w: {by: age, steps: {60: 1.0, 62: 0.8}}, s: 0.9}
  settings: {n: 20, a_max: 10.0}
  defaults: {inherit: all}
  connections:
    inter_period:
      - {source: WORK, target: WORK, mapping: {b: a}, periods: 0..1}
      - {source: WORK, target: REST, mapping: {b: a}, periods: 2}
      - {source: REST, target: REST, mapping: {b: a}, periods: 3.., survival: s}
stages:
"""
    + CONS.format(name="WORK", income="w")
    + CONS.format(name="REST", income="0.4")
)

# A health state drawn by nature, a durable set back to nothing, and a discrete control: several perches, several sets.
HEALTH = """dialect: 1
model:
  name: Health
  horizon: infinite
  start: LUCK
  parameters: {R: 1.02, beta: 0.95, p: 0.2, w: [0.5, 1.0], D_vals: [0.0, 1.0, 2.0], cost: 0.3}
  settings: {n: 20, a_max: 10.0}
  connections:
    intra_period:
      - {source: LUCK.ill, target: BUY, set: {h: 0}}
      - {source: LUCK.well, target: BUY}
      - {source: BUY.cntn, target: CONS.arvl}
    inter_period:
      - {source: CONS, target: LUCK, mapping: {b: a, D: D_last}}
stages:
  LUCK:
    kind: branching
    parameters: {p: ["p"]}
    math:
      branches:
        ill: {g_ve: "a = a - 0.1*a; D = D_last", Q: "V[>]"}
        well: {g_ve: "h = 1; D = D_last", Q: "V[>]"}
      choice: {by: nature, probs: {ill: p/(1 + a), well: 1 - p/(1 + a)}}
      state_space:
        arvl: {dimensions: ["a", "D_last"], grid: {D_last: {values: [0.0, 1.0, 2.0]}}}
        cntn.ill: {dimensions: ["a", "D"]}
        cntn.well: {dimensions: ["a", "h", "D"]}
  BUY:
    parameters: {D_vals: ["D_vals"], cost: ["cost"]}
    math:
      functions: {g_ve: "a = a - cost*(D_new > D); D = D_new", Q: "V[>]"}
      controls: {D_new: {in: D_vals}}
      constraints: {solvent: "a[>] >= 0", growing: "D_new >= D[~]"}
      state_space:
        arvl: {dimensions: ["a", "h", "D"], grid: {h: {type: int_range, min: 0, max: 1}, D: {values: D_vals}}}
        cntn: {dimensions: ["a", "h", "D"]}
  CONS:
    parameters: {R: ["R"], beta: ["beta"], D_vals: ["D_vals"]}
    settings: {n: ["n"], top: ["a_max"]}
    math:
      functions:
        u(c, D): log(c) + 0.1*D
        g_av: m = R*a + 0.5 + 0.5*h
        g_ve: b = m - c
        Q: u(c, D) + beta*V[>]
      controls: {c: 0 < c <= m}
      state_space:
        arvl: {dimensions: ["a", "h", "D"]}
        dcsn: {dimensions: ["m", "D"], grid: {D: {values: D_vals}}}
        cntn: {dimensions: ["b", "D"], grid: {b: {type: power, min: 0.0, max: top, points: n}}}
""".replace("w: [0.5, 1.0], ", "")

# Equations at the movers: each sees its own parameters, and the stage's where it inherits.
MOVERS = """dialect: 1
model:
  name: Movers
  horizon: 3
  terminal: 0
  parameters: {beta: 0.9}
stage:
  name: CONS
  parameters: {beta: ["beta"], gamma: 2.0, R: 1.1}
  settings: {n: 10}
  math:
    functions:
      u(c): c^(1-gamma)/(1-gamma)
      g_ve: a = m - c
    controls: {c: 0 < c <= m}
    state_space:
      arvl: {dimensions: ["a"]}
      dcsn: {dimensions: ["m"]}
      cntn: {grid: {a: {type: exp, min: 0.0, max: 20.0, points: n}}}
  movers:
    arvl_to_dcsn:
      parameters: {R: 1.03, w: 1.0}
      functions: {g_av: m = R*a + w}
    cntn_to_dcsn:
      inherit: true
      parameters: {gamma: 3.0, b: 0.5}
      methods: {solution: egm}
      functions:
        v(c): b*u(c) + gamma
        Q: v(c) + beta*V[>]
"""


def shared(name: str) -> str:
    """The text of one of the six shared models."""
    return (SHARED / f"{name}.yml").read_text()


# The same two stages in one file each, for imports and folders.
STAGE_FILE = """stage:
  name: OWN
  parameters: {R: ["R"], beta: ["beta"], w: ["w"]}
  settings: {n: ["n"], a_max: ["a_max"]}
  math:
    functions:
      g_av: m = R*a + w
      g_ve: b = m - c
      Q: log(c) + beta*V[>]
    controls: {c: 0 < c <= m}
    state_space:
      arvl: {dimensions: ["a"]}
      dcsn: {dimensions: ["m"]}
      cntn: {grid: {b: {type: power, min: 0.0, max: a_max, points: n}}}
"""
MASTER = """dialect: 1
model:
  name: Files
  horizon: 4
  terminal: 0
  start: YOUNG
  parameters: {R: 1.02, beta: 0.95, w: 1.0}
  settings: {n: 20, a_max: 10.0}
  connections:
    inter_period:
      - {source: YOUNG, target: YOUNG, mapping: {b: a}, periods: 0}
      - {source: YOUNG, target: OLD, mapping: {b: a}, periods: 1}
      - {source: OLD, target: OLD, mapping: {b: a}, periods: 2..}
imports:
  - {file: stages/own.yml, alias: YOUNG}
  - {file: stages/own.yml, alias: OLD}
"""


def folder(path: Path, **files: str) -> Path:
    """A folder with files; `stages__own` stands for `stages/own.yml`."""
    for name, text in files.items():
        file = path / (name.replace("__", "/") + ".yml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return path
