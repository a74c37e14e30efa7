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
