"""Small model texts that several tests share, so that one compilation serves many."""

BUFFER = """
model:
  name: Buffer
  horizon: 12
  age: {start: 30, step: 1}
  terminal: log(a + 1)
  parameters: {beta: 0.95, R: 1.03}
  connections: {inter_period: [{source: CONS, target: CONS, mapping: {a_nxt: a}}]}
stage:
  name: CONS
  parameters:
    beta: ["beta"]
    R: ["R"]
    gamma: {value: 2.0, in: "(0, inf)"}
    sigma_y: 0.15
    G: {by: age, steps: {30: 1.02, 36: 1.0}}
    floor: {value: 0.3, in: "[0, 1)"}
  settings: {n: 40, n_y: 5, top: 20.0}
  math:
    functions:
      u(c): c^(1-gamma)/(1-gamma)
      g_av: m = R/G*a + floor + (1-floor)*y
      g_ve: a_nxt = m - c
      Q: u(c) + beta*V[>]
      A: E[G^(1-gamma)*V]
    controls: {c: 0 < c <= m}
    shocks: {income: {dimensions: ["y"], shock_method: lognormal, mean: 1.0, std: sigma_y, n_points: n_y}}
    state_space:
      arvl: {dimensions: ["a"]}
      dcsn: {dimensions: ["m"]}
      cntn: {grid: {a_nxt: {type: exp, min: 0.0, max: top, points: n}}}
"""

# Every kind of draw with listed odds but a choice: a chain, nature, a discrete shock, a point mass, death.
ODDS = """
model:
  name: Odds
  horizon: 3
  terminal: log(a + 1)
  parameters: {beta: 0.95, R: 1.03, stay: 0.8, luck: 0.4, up: 0.3, q: 0.2, s: 0.8}
  settings: {n: 25}
  defaults: {inherit: all}
  connections:
    intra_period:
      - {source: FATE.good, target: CONS, set: {inc: 1.0}}
      - {source: FATE.bad, target: CONS, set: {inc: 0.4}}
    inter_period: [{source: CONS, target: FATE, mapping: {a_nxt: a, z: z_pre}, survival: s}]
stages:
  FATE:
    kind: branching
    math:
      functions: {g_av: "a = a; z = w"}
      shocks:
        chain: {dimensions: ["w"], shock_method: markov, values: [0.5, 1.5], transition_matrix: [[stay, 1-stay], [1-stay, stay]],
                given: z_pre}
      branches:
        good: {g_ve: "a = a; z = z", Q: "V[>]"}
        bad: {g_ve: "a = a; z = z", Q: "V[>]"}
      choice: {by: nature, probs: {good: luck, bad: 1 - luck}}
      state_space:
        arvl: {dimensions: ["a", "z_pre"], grid: {z_pre: {values: [0.5, 1.5]}}}
        dcsn: {dimensions: ["a", "z"], grid: {z: {values: [0.5, 1.5]}}}
        cntn.good: {dimensions: ["a", "z"]}
        cntn.bad: {dimensions: ["a", "z"]}
  CONS:
    math:
      functions:
        g_av: m = R*a + z*inc + tip + y; z = z
        g_ve: a_nxt = m - c; z = z
        Q: log(c) + beta*V[>]
      controls: {c: 0 < c <= m}
      shocks:
        gift: {dimensions: ["tip"], shock_method: discrete, values: [0.2, 0.8], probs: [1-up, up]}
        pay: {dimensions: ["y"], shock_method: lognormal, mean: 1.0, std: 0.1, n_points: 3, point_mass: {value: 0.3, prob: q}}
      state_space:
        arvl: {dimensions: ["a", "z", "inc"], grid: {z: {values: [0.5, 1.5]}, inc: {values: [0.4, 1.0]}}}
        dcsn: {dimensions: ["m", "z"], grid: {z: {values: [0.5, 1.5]}}}
        cntn: {dimensions: ["a_nxt", "z"], grid: {a_nxt: {type: exp, min: 0.0, max: 20.0, points: n}}}
"""
