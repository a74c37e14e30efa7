"""Mutations of good models of several stages: each is refused once, with its code, the caret under what is wrong."""

import itertools
import sys
from pathlib import Path

import pytest
import yaml

import heptapod
from heptapod.dialect.codes import CODES

sys.path.insert(0, str(Path(__file__).parent))
import structures as models

TEXTS = {name: models.shared(name) for name in ("ret_choice", "housing", "mortgage_mon", "aiyagari", "portfolio")}
TEXTS |= {"ages": models.AGES, "health": models.HEALTH, "movers": models.MOVERS}

# model: [(what stands in the good file, what replaces it, code, text under the caret)]
WRONG = {
    "ret_choice": [
        # Names of stages, branches and keys.
        ("source: LABR.work, target: WORK", "source: LABR.work, target: WORC", "reference", "WORC"),
        ("source: LABR.work, target: WORK", "source: LABR.wrok, target: WORK", "reference", "LABR.wrok"),
        ("source: LABR.work, target: WORK", "source: LABR, target: WORK", "reference", "LABR"),
        ("source: LABR.work, target: WORK", "source: LABR.work, target: WORK.dcsn", "reference", "WORK.dcsn"),
        ("source: LABR.work, target: WORK", "source: LABR.work, target: [WORK]", "reference", "[WORK]"),
        ("source: LABR.work, target: WORK", "source: 7, target: WORK", "reference", "7"),
        ("source: LABR.work, target: WORK", "target: WORK", "reference", "{target"),
        ("source: LABR.work, target: WORK", "source: LABR.work", "reference", "{source"),
        ("source: LABR.work, target: WORK", "sorce: LABR.work, target: WORK", "unknown-key", "sorce"),
        ("source: WORK, target: LABR", "source: WORK.work, target: LABR", "reference", "WORK.work"),
        ("    intra_period:", "    intra_periods:", "unknown-key", "intra_periods"),
        ("      - {source: LABR.work, target: WORK}\n", "      - 7\n", "type", "7"),
        ("      - {source: LABR.work, target: WORK}\n      - {source: LABR.retire, target: RETD}\n", "      {source: LABR.work}\n", "type", "{source"),
        ("    kind: branching", "    kind: branchy", "value", "branchy"),
        ("    kind: branching\n", "    knid: branching\n", "unknown-key", "knid"),
        ("    kind: branching\n", "", "structure", "branches"),
        ("  LABR:\n", "  LA-BR:\n", "name", "LA-BR"),
        ("  horizon: 20", "  horizon: 20\n  start: LABOR", "reference", "LABOR"),
        ("  horizon: 20", "  horizon: 20\n  start: [LABR, WORC]", "reference", "WORC"),
        ("  horizon: 20", "  horizon: 20\n  start: []", "type", "[]"),
        ("  name: RetirementChoice\n", "  name: RetirementChoice\n  nmae: x\n", "unknown-key", "nmae"),
        ("dialect: 1", "dialect: 2", "dialect", "2"),
        ("dialect: 1", "dialect: true", "dialect", "true"),
        ("dialect: 1", "dialect: 1\nstage: {name: X, math: {}}", "duplicate-key", "stages"),
        # The graph.
        ("      - {source: LABR.retire, target: RETD}\n", "", "connection", "connections"),
        ("      - {source: RETD, target: RETD, mapping: {b: a}}", "", "connection", "connections"),
        ("{source: LABR.retire, target: RETD}", "{source: LABR.retire, target: RETD}\n      - {source: LABR.retire, target: WORK}", "connection", "{source: LABR.retire, target: WORK"),
        ("    inter_period:\n", "      - {source: WORK, target: LABR, mapping: {b: a}}\n    inter_period:\n", "cycle", "{source: LABR.work, target: WORK"),
        ("    inter_period:\n", "      - {source: WORK, target: WORK, mapping: {b: a}}\n    inter_period:\n", "cycle", "WORK, mapping"),
        ("source: LABR.retire, target: RETD", "source: LABR.retire, target: WORK", "start", "model"),
        ("  horizon: 20", "  start: RETD\n  horizon: 20", "unreachable", "{source: LABR.work, target: WORK"),
        # Mappings.
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {bb: a}", "mapping", "bb"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: aa}", "mapping", "aa"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: [a]}", "mapping", "[a]"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: }", "mapping", None),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: b", "type", "b}"),
        ("target: LABR, mapping: {b: a}", "target: LABR", "mapping", "{source: WORK"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, set: {H: 0}", "mapping", "H"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, set: {a: 0}", "mapping", "a}, set"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {}, set: {a: gamma}", "unknown-symbol", "gamma"),
        ("source: LABR.work, target: WORK", "source: LABR.work, target: WORK, survival: 0.9", "structure", "survival"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, survival: 1.2", "domain", "1.2"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, survival: ss", "unknown-symbol", "ss"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, direction: backward", "direction", "direction"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, direction: sideways", "value", "sideways"),
        # Periods.
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, periods: 0..20", "periods", "0..20"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, periods: -1", "periods", "-1"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, periods: 9..4", "periods", "9..4"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, periods: early", "periods", "early"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, periods: []", "periods", "[]"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, periods: [0..9, {}]", "periods", "{}"),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, periods: ..", "periods", ".."),
        ("target: LABR, mapping: {b: a}", "target: LABR, mapping: {b: a}, periods: 0..18", "connection", "0..18"),
        # Terminal values.
        ("  terminal: 0 ", "  terminal: {LABR: 0} ", "terminal", "terminal"),
        ("  terminal: 0 ", "  terminal: {LABR: 0, RETD: 0, RETT: 0} ", "unknown-key", "RETT"),
        ("  terminal: 0 ", "  terminal: {LABR: 0, RETD: b} ", "unknown-symbol", "b"),
        ("  terminal: 0 ", "  terminal: b ", "unknown-symbol", "b"),
        ("  terminal: 0 ", "  terminal: [0] ", "type", "[0]"),
        # Choice and branches.
        ("scale: sigma_eps}", "scale: -0.1}", "domain", "-0.1"),
        ("scale: sigma_eps}", "scale: sigma}", "unknown-symbol", "sigma"),
        ("taste_shock: gumbel, scale: sigma_eps}", "taste_shock: gumbel}", "structure", "choice"),
        ("taste_shock: gumbel, scale: sigma_eps}", "taste_shock: none, scale: sigma_eps}", "structure", "choice"),
        ("taste_shock: gumbel, scale: sigma_eps}", "taste_shock: normal, scale: sigma_eps}", "value", "normal"),
        ("{by: agent, ", "{by: agnet, ", "value", "agnet"),
        ("{by: agent, ", "{by: agent, probs: {work: 1, retire: 0}, ", "structure", "probs"),
        ("{by: agent, taste_shock: gumbel, scale: sigma_eps}", "{by: nature, scale: sigma_eps, probs: {work: 1, retire: 0}}", "structure", "scale"),
        ("{by: agent, taste_shock: gumbel, scale: sigma_eps}", "{by: nature, probs: {work: sigma_eps}}", "stochastic", "probs"),
        ("{by: agent, taste_shock: gumbel, scale: sigma_eps}", "{by: nature, probs: {work: sigma_eps, retire: 0.5}}", "stochastic", "{work"),
        ("{by: agent, taste_shock: gumbel, scale: sigma_eps}", "{by: nature, probs: {work: 1.5, retire: -0.5}}", "stochastic", "{work"),
        ("{by: agent, taste_shock: gumbel, scale: sigma_eps}", "{by: nature, probs: {work: 0.5, retired: 0.5}}", "unknown-key", "retired"),
        ("{by: agent, taste_shock: gumbel, scale: sigma_eps}", "{by: nature}", "stochastic", "choice"),
        ('retire: {g_ve: a = a, Q: "V[>]"}', "retire: {g_ve: a = a}", "objective", "retire"),
        ('retire: {g_ve: a = a, Q: "V[>]"}', "retire: {g_ve: a = a, Q: delta}", "objective", "Q"),
        ('retire: {g_ve: a = a, Q: "V[>]"}', "retire: {g_ve: a = a, q: 'V[>]'}", "unknown-key", "q"),
        ('retire: {g_ve: a = a, Q: "V[>]"}', 'retire: {g_ve: a = a, Q: "V[>]", when: a}', "type", "a}"),
        ('retire: {g_ve: a = a, Q: "V[>]"}', 'retire: {g_ve: a = a, Q: "V[>]", when: true}', "type", "true"),
        ('retire: {g_ve: a = a, Q: "V[>]"}', "retire: 7", "type", "7"),
        ("      choice: {by", "      controls: {c: 0 < c <= a}\n      choice: {by", "structure", "controls"),
        ("        cntn.retire: {", "        cntn.retires: {", "unknown-key", "cntn.retires"),
        ("      controls: {c: 0 < c <= m}", "      branches: {x: {Q: 'V[>]'}}\n      controls: {c: 0 < c <= m}", "structure", "branches"),
        ("      controls: {c: 0 < c <= m}", "      choice: {by: agent}\n      controls: {c: 0 < c <= m}", "structure", "choice"),
        # Scopes.
        ("parameters: {beta: [\"beta\"], r: [\"r\"], w: [\"w\"]}", "parameters: {beta: [\"betta\"], r: [\"r\"], w: [\"w\"]}", "reference", "betta"),
        ("parameters: {beta: [\"beta\"], r: [\"r\"], w: [\"w\"]}", "parameters: {beta: [\"beta\"], r: [\"n\"], w: [\"w\"]}", "reference", "n"),
        ("parameters: {beta: [\"beta\"], r: [\"r\"], w: [\"w\"]}", "parameters: {beta: [\"beta\"], r: [\"r\"]}", "scope", "w"),
        ("    parameters: {delta: [\"delta\"], sigma_eps: [\"sigma_eps\"]}\n", "    parameters: {sigma_eps: [\"sigma_eps\"]}\n", "scope", "delta"),
        ("  parameters: {beta: 0.98,", "  parameters: {beta: [\"betta\"],", "reference", "betta"),
        ("  settings: {n: 500,", "  settings: {n: 500.5,", "type", "n}"),
        ("  settings: {n: 500,", "  settings: {n: beta*500,", "scope", "beta"),
        ("  name: RetirementChoice\n", "  name: RetirementChoice\n  defaults: {inherit: some}\n", "value", "some"),
        ("  name: RetirementChoice\n", "  name: [RetirementChoice]\n", "type", "[Ret"),
    ],
    "housing": [
        ("parameters:\n    beta: 0.93", "parameters:\n    1beta: 0.93\n    beta: 0.93", "name", "1beta"),
        ("g_ve: w = w - P_r*S", "g_ve: w = w - Pr*S", "unknown-symbol", "Pr"),
        ("{source: RNTC, target: TENU, mapping: {a_nxt: a, y: y_pre, H: 0}}", "{source: RNTC, target: TENU, mapping: {a_nxt: a, y: y_pre}}", "mapping", "{source: RNTC"),
        ("{a_nxt: a, y: y_pre, H: 0}", "{a_nxt: a, y: y_pre, H: 0.3}", "set", "0.3"),
        ("{a_nxt: a, y: y_pre, H: 0}", "{a_nxt: y_pre, y: y_pre, H: 0}", "mapping", "y_pre, H"),
        ("{source: OWNC, target: TENU, mapping: {a_nxt: a, y: y_pre}}", "{source: OWNC, target: TENU, mapping: {a_nxt: a, y: y_pre}, set: {H: 5.5}}", "set", "5.5"),
        ("grid: {S: {values: S_vals}, y: {values: z_vals}}", "grid: {S: {values: H_vals}, y: {values: z_vals}}", "set", "{source: RNTH, target: RNTC"),
        ("arvl: {dimensions: [\"a\", \"H\", \"y_pre\"], grid: {H: {values: H_vals}", "arvl: {dimensions: [\"a\", \"H\", \"y_pre\"], grid: {H: {values: [0.0, 1.0]}", "set", None),
        ("grid: {S: {values: S_vals}, y: {values: z_vals}}", "grid: {S: {values: S_val}, y: {values: z_vals}}", "grid", "S_val}"),
        ("grid: {S: {values: S_vals}, y: {values: z_vals}}", "grid: {S: {values: P_r}, y: {values: z_vals}}", "grid", "P_r}"),
        ("grid: {S: {values: S_vals}, y: {values: z_vals}}", "grid: {S: {type: linspace, values: S_vals}, y: {values: z_vals}}", "unknown-key", "values: S_vals"),
        ("grid: {S: {values: S_vals}, y: {values: z_vals}}", "grid: {S: {values: S_vals}}", "grid", "dcsn"),
        ("grid: {S: {values: S_vals}, y: {values: z_vals}}", "grid: {S: {values: S_vals}, yy: {values: z_vals}}", "grid", "yy"),
        ("H_new: {in: H_vals}", "H_new: {in: {type: linspace, min: 0, max: 1, points: 5}}", "grid", "{type"),
        ("H_new: {in: H_vals}", "H_new: {in: [0, 1, 1]}", "grid", "[0, 1"),
        ("H_new: {in: H_vals}", "H_new: {in: []}", "grid", "[]"),
        ("H_new: {in: H_vals}", "H_new: {in: true}", "grid", "true"),
        ("H_new: {in: H_vals}", "H_new: {on: H_vals}", "unknown-key", "on"),
        ("H_new: {in: H_vals}", "H_new: {}", "bounds", "H_new"),
        ("H_new: {in: H_vals}", "H_new: [0, 1]", "bounds", "[0, 1]"),
        ("H_new: {in: H_vals}", "H_new: {in: {nodes_of: incoome}}", "reference", "incoome"),
        ("controls: {S: {in: S_vals}}", "controls: {S: {in: S_vals}, y: {in: z_vals}}", "name", "y"),
        ("constraints: {solvent: w > 0}", "constraints: {solvent: w}", "type", "w}"),
        ("constraints: {solvent: w > 0}", "constraints: {solvent: 1 > 0}", "type", "1 > 0"),
        ("constraints: {solvent: w > 0}", "constraints: [w > 0]", "type", "[w"),
        ("constraints: {solvent: \"w[>] > 0\"}", "constraints: {solvent: w > 0}", "ambiguous", "w > 0"),
        ("constraints: {solvent: \"w[>] > 0\"}", "constraints: {solvent: \"w[<] > 0\"}", "unknown-symbol", "w[<]"),
        ("terminal: alpha*log((1+r)*a + H + 0.01)", "terminal: alpha*log((1+r)*a + S + 0.01)", "unknown-symbol", "S"),
        ("given: y_pre}", "given: y}", "markov", "y}"),
        (", given: y_pre}", "}", "markov", "income"),
        (", given: y_pre}", ", give: y_pre}", "unknown-key", "give"),
        ("[0.01, 0.98, 0.01]", "[0.01, 0.97, 0.01]", "stochastic", "Pi"),
        ("[0.01, 0.98, 0.01]", "[0.01, 1.00, -0.01]", "stochastic", "Pi"),
        ("transition_matrix: Pi", "transition_matrix: [[0.5, 0.5, 0.0], [0.2, 0.2, 0.2], [0.0, 0.0, 1.0]]", "stochastic", "[0.2"),
        ("Pi:      [[0.99, 0.01, 0.0], [0.01, 0.98, 0.01], [0.0, 0.09, 0.91]]", "Pi:      [[0.9, 0.1], [0.1, 0.9]]", "shape", "Pi"),
        ("Pi:      [[0.99, 0.01, 0.0], [0.01, 0.98, 0.01], [0.0, 0.09, 0.91]]", "Pi:      [[0.9, 0.1], [0.1]]", "parameter", "[[0.9"),
        ("transition_matrix: Pi", "transition_matrix: z_vals", "shape", "z_vals"),
        ("S_vals:  [0.25, 0.5,", "S_vals:  [0.5, 0.5,", "grid", None),
        ("g_ve: \"a = a; H = H; y = y\"", "g_ve: \"a = a; H = H; y = y; S = 1\"", "target", "S = 1"),
        ("g_ve: \"a = a; H = H; y = y\"", "g_ve: \"a = a; H = H; H = H; y = y\"", "duplicate-key", "H = H; y"),
        ("g_ve: \"w = (1+r)*a + y + H; y = y\"", "g_ve: \"y = y\"", "missing-equation", "g_ve"),
        ("functions: {g_av: y = z}", "functions: {g_av: y = z + S}", "unknown-symbol", "S"),
        ("functions: {g_av: y = z}", "functions: {g_av: y = H_vals}", "scope", "H_vals"),
        ("controls: {c: 0 < c <= w}\n      state_space:\n        arvl: {dimensions: [\"w\", \"H\", \"y\"]}", "controls: {c: 0 < c <= w, d: 0 <= d <= 1}\n      methods: {}\n      state_space:\n        arvl: {dimensions: [\"w\", \"H\", \"y\"]}", "unknown-key", "methods"),
    ],
    "mortgage_mon": [
        ("when: \"m > f\"", "when: \"m >\"", "syntax", None),
        ("when: \"m > f\"", "when: \"mm > f\"", "unknown-symbol", "mm"),
        ("i: {nodes_of: policy}, r: {nodes_of: policy}", "i: {nodes_of: income}, r: {nodes_of: policy}", "reference", "income"),
        ("i: {nodes_of: policy}, r: {nodes_of: policy}", "i: {nodes_of: REFI.polcy}, r: {nodes_of: policy}", "reference", "REFI.polcy"),
        ("i: {nodes_of: policy}, r: {nodes_of: policy}", "i: {nodes_of: policy, points: 3}, r: {nodes_of: policy}", "unknown-key", "points"),
        ("i: {nodes_of: policy}, r: {nodes_of: policy}", "i: {nodes_of: [policy, income]}, r: {nodes_of: policy}", "reference", "[policy"),
        ("i: {nodes_of: policy}, r: {nodes_of: policy}}}    # rows", "i: {nodes_of: policy}}}", "grid", "dcsn"),
        ("mapping: {a_nxt: a, b_nxt: b, i: i, r: r_pre}", "mapping: {a_nxt: a, b_nxt: a, i: i, r: r_pre}", "mapping", "a, i: i"),
        ("pay(b, i): b*i", "pay(b, i): b*j", "unknown-symbol", "j"),
        ("pay(b, i): b*i", "pay(b, i): m*b*i", "scope", "m*b"),
        ("pay(b, i): b*i", "pay(b, b): b*i", "name", "pay"),
        ("pay(b, i): b*i", "log(b, i): b*i", "name", "log"),
        ("g_av: x = m - pay(b, i)", "g_av: x = m - pay(b)", "arity", "pay(b)"),
        ("rho: rho_r,", "rho: 1.0,", "domain", "1.0"),
        ("shock_method: rouwenhorst, mean", "shock_method: rowenhorst, mean", "value", "rowenhorst"),
        ("shock_method: rouwenhorst, mean", "mean", "shock", "policy"),
        ("dimensions: [\"r_new\"]", "dimensions: [\"r_new\", \"q\"]", "shape", None),
        ("dimensions: [\"r_new\"]", "dimensions: [\"i\"]", "name", "[\"i\"]"),
        ("horizon: 30", "horizon: thirty", "unknown-symbol", "thirty"),
        ("T_m: 30 ", "T_m: {by: age, steps: {25: 30}} ", "by-age", "age"),
        ("T_m: 30 ", "T_m: {by: t, steps: {3: 30}} ", "by-age", "{3"),
        ("T_m: 30 ", "T_m: {by: t, values: [30]} ", "by-age", "[30]"),
        ("T_m: 30 ", "T_m: horizon*2 ", "unknown-symbol", "horizon"),
        ("kappa: 0.05", "kappa: f*b_max", None, None),
    ],
    "aiyagari": [
        ("mapping: {a_nxt: a, z: z_pre}", "mapping: {a_nxt: a, z: z_pre}, periods: 0..3", "periods", "periods"),
        ("horizon: infinite", "horizon: infinite\n  age: {start: 25}", "age", "age"),
        ("C: \"E[c]\"", "C: \"c\"", "aggregate", "c"),
        ("C: \"E[c]\"", "C: \"E[c] + a\"", "aggregate", "E[c]"),
        ("C: \"E[c]\"", "C: \"E[cc]\"", "unknown-symbol", "cc"),
        ("C: \"E[c]\"", "beta: \"E[c]\"", "name", "beta"),
        ("C: \"E[c]\"", "E: \"E[c]\"", "name", "E"),
        ("C: \"E[c]\"", "a: \"E[c]\"", "name", "a"),
        ("unknowns: {r: {", "unknowns: {rr: {", "equilibrium", "rr"),
        ("unknowns: {r: {start: 0.03, in", "unknowns: {r: {start: 0.05, in", "domain", "0.05"),
        ("unknowns: {r: {start: 0.03, in", "unknowns: {r: {start: low, in", "type", "low"),
        ("unknowns: {r: {start: 0.03, in: \"(-0.05, 0.04)\"", "unknowns: {r: {start: 0.03, in: \"-0.05 to 0.04\"", "domain", "-0.05 to"),
        ("unknowns: {r: {start: 0.03, in: \"(-0.05, 0.04)\"", "unknowns: {r: {guess: 0.03, in: \"(-0.05, 0.04)\"", "unknown-key", "guess"),
        ("clear: {capital: A - K_dem}", "clear: {capital: A - K_dem, goods: C - Z}", "equilibrium", "equilibrium"),
        ("clear: {capital: A - K_dem}", "clear: {capital: K_dem}", "equilibrium", "K_dem"),
        ("clear: {capital: A - K_dem}", "clear: {capital: AA - K_dem}", "unknown-symbol", "AA"),
        ("clear: {capital: A - K_dem}", "clear: {capital: A == K_dem}", "type", "A == K_dem"),
        ("  equilibrium:", "  types: {beta: [0.9, 0.95], weights: [0.5, 0.3, 0.2]}\n  equilibrium:", "shape", "[0.9"),
        ("  equilibrium:", "  types: {beta: [0.9, 0.95], weights: [0.5, 0.6]}\n  equilibrium:", "stochastic", "[0.5"),
        ("  equilibrium:", "  types: {beta: [0.9, 0.95], weights: [1.5, -0.5]}\n  equilibrium:", "stochastic", "[1.5"),
        ("  equilibrium:", "  types: {beta: [0.9, 0.95]}\n  equilibrium:", "types", "types"),
        ("  equilibrium:", "  types: {weights: [0.5, 0.5]}\n  equilibrium:", "types", "types"),
        ("  equilibrium:", "  types: {betta: [0.9, 0.95], weights: [0.5, 0.5]}\n  equilibrium:", "types", "betta"),
        ("  equilibrium:", "  types: {w: [0.9, 0.95], weights: [0.5, 0.5]}\n  equilibrium:", "types", "w: [0.9"),
        ("  equilibrium:", "  types: {beta: 0.9, weights: [0.5, 0.5]}\n  equilibrium:", "type", "0.9"),
        ("K_dem: N*(alpha*Z/(r + delta))", "K_dem: N*(alpha*Z/(r - r))", "div0", None),
        ("K_dem: N*(alpha*Z/(r + delta))^(1/(1-alpha))", "K_dem: w*N", "circular", "w*N"),
        ("alpha: 0.36", "alpha: 1.0", "parameter", None),
        ("    K_dem: N", "    N: 3\n    K_dem: N", "duplicate-key", "N: 3"),
        ("rho: rho, std", "rho: rho*2, std", "domain", "rho*2"),
        ("log: true", "log: 1", "type", "1"),
        ("z_pre: {nodes_of: labour}}}", "z_pre: {nodes_of: labour}}, tabulate: 1}", "type", "1}"),
        ("z: {nodes_of: labour}}}", "z: {nodes_of: labour}}, tabulate: true}", "grid", "true"),
        ("arvl: {grid: {a: {type: exp, min: 0.0, max: a_max, points: n_a}, z_pre: {nodes_of: labour}}}", "arvl: {dimensions: [\"a\", \"z_pre\"], tabulate: true}", "grid", "true"),
        ("  controls: {c: 0 < c <= m}", "  methods: {solution: egm}\n    controls: {c: 0 < c <= m}", "unknown-key", "methods"),
    ],
    "portfolio": [
        ("  settings: {n_a: 120,", "  methods: {solution: egm}\n  settings: {n_a: 120,", "method", "egm"),
        ("  settings: {n_a: 120,", "  methods: {solution: newton}\n  settings: {n_a: 120,", "value", "newton"),
        ("  settings: {n_a: 120,", "  methods: {solver: egm}\n  settings: {n_a: 120,", "unknown-key", "solver"),
        ("corr: corr", "corr: 1.2", "domain", "1.2"),
        ("n_points: [7, 5]", "n_points: [7, 5, 3]", "shape", "[7"),
        ("std:  [sigma_r, sigma_y]", "std:  sigma_r", "shape", "sigma_r"),
        ("mapping: {a_nxt: a, share: share_pre}", "mapping: {a_nxt: a, shares: share_pre}", "mapping", "shares"),
        ("share: 0 <= share <= 1", "share: 0 <= share < 1 < 2", "bounds", None),
        ("share: 0 <= share <= 1", "share: 1", "bounds", "1 "),
        ("steps: {25: 1.02, 65: 0.7, 66: 1.0}", "steps: {25: 1.02, old: 0.7}", "by-age", "old"),
        ("steps: {25: 1.02, 65: 0.7, 66: 1.0}", "steps: {25: 1.02, 65: low}", "by-age", "65"),
        ("age: {start: 25, step: 1}", "age: {start: 25, step: 0}", "type", "0}"),
        ("age: {start: 25, step: 1}", "age: {step: 1}", "type", "age"),
        ("age: {start: 25, step: 1}", "ages: {start: 25, step: 1}", "unknown-key", "ages"),
    ],
    "ages": [
        ("periods: 3..,", "periods: 4..,", "connection", "4.."),
        ("        Q: log(c) + beta*V[>]", "        Q: log(c) > beta*V[>]", "type", "log(c) >"),
        ("        Q: log(c) + beta*V[>]", "        A: E[V] > 0\n        Q: log(c) + beta*V[>]", "type", "E[V] >"),
        ("        Q: log(c) + beta*V[>]", "        A: E[w]\n        Q: log(c) + beta*V[>]", "objective", "A"),
        ("        Q: log(c) + beta*V[>]", "        Q: []", "type", "[]"),
        ("R: 1.02, beta: 0.95", "R: 1.02, beta: {by: age, steps: {60: 0.95}, values: [1]}", "parameter", "beta"),
        ("R: 1.02, beta: 0.95", "R: 1.02, beta: {value: [0.95, 0.96], in: \"(0, 0.95]\"}", None, None),
        ("n: 20,", "n: {by: age, steps: {60: 20}},", "parameter", "by"),
        ("R: 1.02, beta: 0.95", "R: 1.02, beta: 0.95 > w", "type", "0.95 >"),
        ("periods: 0..1}", "periods: 0..2}", "connection", "{source: WORK, target: REST"),
        ("periods: 3.., survival: s}", "periods: 3.., survival: s + 0.2}", "domain", "s + 0.2"),
        ("periods: 2}", "periods: 2, mapping: {b: a}}", "duplicate-key", "mapping"),
        ("target: REST, mapping: {b: a}, periods: 2}", "target: REST, mapping: {b: c}, periods: 2}", "mapping", "c}"),
        ("terminal: log(R*a + 1)", "terminal: {WORK: 0}", "terminal", "terminal"),
        (", periods: 3.., survival: s}", ", survival: s}", "start", "model"),
    ],
    "health": [
        ("set: {h: 0}", "set: {h: 2}", "set", "2}"),
        ("set: {h: 0}", "set: {h: [1, 2]}", "type", "[1, 2]"),
        ("set: {h: 0}", "set: [h]", "type", "[h]"),
        ("source: LUCK.ill, target: BUY, set: {h: 0}", "source: LUCK.ill, target: BUY", "mapping", "{source: LUCK.ill"),
        ("source: BUY.cntn, target: CONS.arvl", "source: BUY.buy, target: CONS.arvl", "reference", "BUY.buy"),
        ("source: CONS, target: LUCK", "source: CONS.arvl, target: LUCK", "reference", "CONS.arvl"),
        ("probs: {ill: p/(1 + a), well: 1 - p/(1 + a)}", "probs: {ill: p/(1 + a), well: 1 - p/(1 + c)}", "unknown-symbol", "c)"),
        ("growing: \"D_new >= D[~]\"", "growing: D_new >= D", "ambiguous", "D}"),
        ("{D_last: {values: [0.0, 1.0, 2.0]}}", "{D_last: {values: [0.0, 1.0, 3.0]}}", "set", "{source: LUCK.ill"),
        ("{type: int_range, min: 0, max: 1}", "{type: int_range, min: 1, max: 0}", "grid-bounds", "min"),
        ("{type: int_range, min: 0, max: 1}", "{type: int_range, min: 0, max: cost}", "type", "cost"),
        ("{type: int_range, min: 0, max: 1}", "{type: int_range, min: 0}", "grid", "h"),
        ("{type: int_range, min: 0, max: 1}", "{type: int_range, min: 0, max: 1, points: 2}", "unknown-key", "points"),
        ("{type: int_range, min: 0, max: 1}", "{}", "grid", "h"),
        ("  start: LUCK\n", "  start: BUY\n", None, None),
        ("top: [\"a_max\"]", "top: [\"R\"]", "reference", "R"),
        ("    settings: {n: [\"n\"], top: [\"a_max\"]}", "    settings: {n: [\"n\"]}", "unknown-symbol", "top"),
        ("      functions: {g_ve: \"a = a - cost*(D_new > D); D = D_new\", Q: \"V[>]\"}", "      functions: {g_ve: \"a = a - cost*(D_new > D); D = D_new\"}", "objective", "functions"),
    ],
    "movers": [
        ("functions: {g_av: m = R*a + w}", "functions: {g_ve: m = R*a + w}", "unknown-key", "g_ve"),
        ("    cntn_to_dcsn:", "    cntn_to_dscn:", "unknown-key", "cntn_to_dscn"),
        ("      inherit: true", "      inherit: yes", "type", "yes"),
        ("      inherit: true", "      inherits: true", "unknown-key", "inherits"),
        ("      functions: {g_av: m = R*a + w}", "      functions: {g_av: m = R*a + w}\n      methods: {solution: egm}", "structure", "methods"),
        ("      g_ve: a = m - c\n", "      g_ve: a = m - c\n      Q: u(c) + beta*V[>]\n", "duplicate-key", "Q"),
        ("        v(c): b*u(c) + gamma", "        v(c): b*uu(c) + gamma", "unknown-function", "uu"),
        ("        v(c): b*u(c) + gamma", "        v(c): b*u(c) + a", "scope", "a"),
        ("parameters: {gamma: 3.0, b: 0.5}", "parameters: {gamma: [\"gama\"], b: 0.5}", "reference", "gama"),
        ("  movers:\n", "  movers:\n    dcsn_to_cntn: 7\n", "type", "7"),
        ("stage:\n  name: CONS", "stage:\n  name: main", "name", "main"),
        ("stage:\n  name: CONS", "stage:\n  name: [CONS]", "name", "[CONS]"),
    ],
}  # fmt: skip
CASES = [(model, *case) for model, cases in WRONG.items() for case in cases if case[2] is not None]


def refused(text: str):
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(text)
    return caught.value


def assert_once(error, code: str, text: str, under: str | None) -> None:
    """One error, with its code, on a line of the file, the caret under what is wrong."""
    found = error.diagnostics
    assert [d.code for d in found] == [code], str(error)
    mark = found[0].mark
    line = text.splitlines()[mark.line - 1]
    assert mark.text == line and f":{mark.line}:{mark.column}: error[{code}]" in str(error)
    if under is not None:
        assert line[mark.column - 1 :].startswith(under), str(error)


@pytest.mark.parametrize("case", CASES, ids=[f"{c[0]}-{i}-{c[3]}" for i, c in enumerate(CASES)])
def test_one_mistake_is_one_error_where_it_stands(case):
    model, good, bad, code, under = case
    assert good in TEXTS[model], good
    text = TEXTS[model].replace(good, bad, 1)
    assert_once(refused(text), code, text, under)


# Several files: {part: text}, what is wrong in which part.
FILES = {"master": models.MASTER, "stages__own": models.STAGE_FILE}
WRONG_FILES = [
    ("master", "- {file: stages/own.yml, alias: OLD}", "- {file: stages/owner.yml, alias: OLD}", "file", "stages/owner.yml"),
    ("master", "- {file: stages/own.yml, alias: OLD}", "- {file: /etc/own.yml, alias: OLD}", "import", "/etc/own.yml"),
    ("master", "- {file: stages/own.yml, alias: OLD}", "- {file: 'C:/own.yml', alias: OLD}", "import", "C:/own.yml"),
    ("master", "- {file: stages/own.yml, alias: OLD}", "- {file: stages/own.txt, alias: OLD}", "import", "stages/own.txt"),
    ("master", "- {file: stages/own.yml, alias: OLD}", "- {file: master.yml, alias: OLD}", "import", "model"),
    ("master", "- {file: stages/own.yml, alias: OLD}", "- {file: ., alias: OLD}", "import", "."),
    ("master", "- {file: stages/own.yml, alias: OLD}", "- {alias: OLD}", "import", "{alias"),
    ("master", "- {file: stages/own.yml, alias: OLD}", "- 7", "import", "7"),
    ("master", "- {file: stages/own.yml, alias: OLD}", "- {file: stages/own.yml, alais: OLD}", "unknown-key", "alais"),
    ("master", "- {file: stages/own.yml, alias: OLD}", "- {file: stages/own.yml, alias: [OLD]}", "name", "[OLD]"),
    ("master", "- {file: stages/own.yml, alias: OLD}", "- {file: stages/own.yml, alias: YOUNG}", "duplicate-key", "{file"),
    ("master", "- {file: stages/own.yml, alias: OLD}", "- {file: stages/own.yml, alias: OLD, stage: OWNER}", "import", "{file"),
    ("master", "imports:\n  - {file: stages/own.yml, alias: YOUNG}", "imports: {file: stages/own.yml}\nnothing:\n  - {file: stages/own.yml, alias: YOUNG}", "type", "{file"),
    ("master", "target: OLD, mapping: {b: a}, periods: 1", "target: OLDER, mapping: {b: a}, periods: 1", "reference", "OLDER"),
    ("master", "w: 1.0}", "ww: 1.0}", "reference", "w"),
    ("stages__own", "R*a + w", "R*a + ww", "unknown-symbol", "ww"),
    ("stages__own", "  name: OWN\n", "  name: [OWN]\n", "name", "[OWN]"),
    ("stages__own", "stage:\n", "dialect: 3\nstage:\n", "dialect", "3"),
    ("stages__own", "stage:\n", "model: {}\nstage:\n", "import", "model"),
    ("stages__own", "stage:\n", "imports: [own.yml]\nstage:\n", "import", "imports"),
    ("stages__own", "stage:\n", "parameters: {x: 1}\nstage:\n", "unknown-key", "parameters"),
    ("stages__own", "stage:\n", "stage: 7\nstates:\n", None, None),
    ("stages__own", "  math:\n", "  maths:\n", "unknown-key", "maths"),
    ("stages__own", "Q: log(c)", "Q: log(c", "syntax", None),
    ("stages__own", "n: [\"n\"]", "n: [\"n\"", "yaml", None),
]  # fmt: skip


@pytest.mark.parametrize("case", [c for c in WRONG_FILES if c[3]], ids=lambda c: f"{c[0]}-{c[3]}-{c[4]}")
def test_one_mistake_in_one_of_several_files_is_one_error_in_that_file(tmp_path, case):
    part, good, bad, code, under = case
    assert good in FILES[part]
    files = FILES | {part: FILES[part].replace(good, bad, 1)}
    models.folder(tmp_path, **files)
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(tmp_path / "master.yml")
    found = caught.value.diagnostics
    assert [d.code for d in found] == [code], str(caught.value)
    mark = found[0].mark
    # A name that the master lacks is missed where it is used; its own model makes the master no stage file.
    where = next(p for p in FILES if mark.file == p.rpartition("__")[2] + ".yml")
    line = files[where].splitlines()[mark.line - 1]
    assert mark.text == line and (under is None or line[mark.column - 1 :].startswith(under)), str(caught.value)


def test_a_folder_says_what_it_lacks(tmp_path):
    def told(**files):
        folder = models.folder(tmp_path / str(len(list(tmp_path.iterdir()))), **files)
        with pytest.raises(heptapod.ModelError) as caught:
            heptapod.load(folder)
        (found,) = caught.value.diagnostics
        return found.code, found.mark.file

    head = models.MASTER[: models.MASTER.index("imports:")]
    old, young = (models.STAGE_FILE.replace("OWN", name) for name in ("OLD", "YOUNG"))
    links = "connections:\n  inter_period: []\n"
    assert told(stages__old=old)[0] == "file"
    assert told(master=head, stages__old=old, stages__young=young, notes="hello: 1")[0] == "unknown-key"
    assert told(master=head, stages__old=old, stages__young=young, notes="- 1") == ("import", "notes.yml")
    assert told(master=head, stages__old=old, stages__young=young, stages__younger=young) == ("duplicate-key", "younger.yml")
    assert told(master=head, stages__old=old, stages__young=young, connections=links) == ("duplicate-key", "connections.yml")
    assert told(master="dialect: 1\n", stages__old=old) == ("model", "master.yml")


def test_a_file_in_the_folder_that_is_not_imported_is_told_of(tmp_path):
    models.folder(tmp_path, **FILES, stages__third=models.STAGE_FILE)
    (found,) = heptapod.load(tmp_path).diagnostics
    assert (found.severity, found.code, found.mark.file) == ("warning", "unused", "third.yml")
    assert heptapod.check(tmp_path) == (found,)


# What is legal and strange: (model, good, what replaces it, code, text under the caret).
WARNED = [
    ("ret_choice", "w: 20.0,", "w: 20.0, idle: 1.0,", "unused", "idle"),
    ("ret_choice", "{n: 500,", "{n: 500, idle: 1,", "unused", "idle"),
    ("ret_choice", '{delta: ["delta"],', '{delta: ["delta"], w: ["w"],', "unused", "w"),
    ("ret_choice", "        u(c): log(c)\n", "        u(c): log(c)\n        v(c): c\n", "unused", "v(c)"),
    ("housing", "    iota: 0.01\n", "    iota: 0.01\n    idle: [1.0, 2.0]\n", "unused", "idle"),
    ("housing", "  OWNC:\n", "  OWNC:\n    parameters: {beta: 0.9}\n", "shadowed", "beta"),
    ("housing", "        u(c, S): alpha*log(c) + (1-alpha)*log(kappa*(S + iota))", "        u(c, beta): alpha*log(c) + (1-alpha)*log(kappa*(beta + iota))", "shadowed", "u(c, beta)"),
    ("aiyagari", "    K_dem: N", "    idle: 2*N\n    K_dem: N", "unused", "idle"),
    ("ages", "terminal: log(R*a + 1)", "terminal: {REST: 0, WORK: 0}", "unused", "WORK"),
    ("ages", "steps: {60: 1.0, 62: 0.8}", "steps: {60: 1.0, 62: 0.8, 70: 0.5}", "by-age", "{60"),
    ("ages", "  terminal: log(R*a + 1)\n", "  terminal: log(R*a + 1)\n  types:\n", "empty", "types"),
    ("health", "well: 1 - p/(1 + a)}", "well: 1 - p}", "stochastic", "{ill"),
    ("health", "    parameters: {p: [\"p\"]}\n", "    parameters: {p: [\"p\"], R: [\"R\"]}\n", "unused", "R"),
    ("mortgage_mon", "controls: {c: 0 < c <= x}", "controls: {c: 0 < c <= x + 0*i}", None, None),
    ("portfolio", "+ y\n      g_ve", "\n      g_ve", "unused", '["R_r"'),
    ("health", "u(c, D): log(c) + 0.1*D", "u(c, D): log(c)", "unused", "u(c, D)"),
    ("ages", "controls: {c: 0 < c <= m}", "controls: {c: 0 < c <= m, d: {in: [0, 1]}}", "unused", "d: {in"),
    ("ages", 'arvl: {dimensions: ["a"]}', 'arvl: {dimensions: ["a", "q"]}', None, None),
    ("health", 'dcsn: {dimensions: ["m", "D"], grid: {', 'dcsn: {dimensions: ["m", "D", "h"], grid: {h: {values: [0.0, 1.0]}, ', "unused", "dcsn"),
    ("portfolio", "corr: 0.15\n", "corr: 0.15\n    idle: corr*2\n", "unused", "idle"),
]  # fmt: skip


@pytest.mark.parametrize("case", [c for c in WARNED if c[3]], ids=lambda c: f"{c[0]}-{c[3]}-{c[4]}")
def test_what_is_strange_and_legal_is_a_warning_with_a_place(case):
    model, good, bad, code, under = case
    assert good in TEXTS[model]
    text = TEXTS[model].replace(good, bad, 1)
    before = {(d.code, d.message) for d in heptapod.check(TEXTS[model])}
    (found,) = [d for d in heptapod.load(text).diagnostics if (d.code, d.message) not in before]
    assert (found.severity, found.code) == ("warning", code), str(found)
    line = text.splitlines()[found.mark.line - 1]
    assert found.mark.text == line and line[found.mark.column - 1 :].startswith(under), str(found)


# Older spellings: read with a note as the text on the right, or refused with the new spelling.
READ_AS = [
    ("ages", "        Q: log(c) + beta*V[>]", '        Q: {expr: "log(c) + beta*V[>]"}', "expr"),
    ("ages", "        g_ve: b = m - c", "        g_ve: {expr: b = m - c}", "expr"),
    ("movers", "      u(c): c^(1-gamma)/(1-gamma)", "      u(c): {expr: c^(1-gamma)/(1-gamma)}", "expr"),
    ("movers", "      inherit: true", "      inherit_parameters: true", "inherit_parameters"),
    ("movers", "      inherit: true", "      inherit_settings: true", "inherit_settings"),
    ("ages", "mapping: {b: a}, periods: 2}", "mapping: {b: a}, periods: 2, direction: forward}", "direction"),
    ("health", "set: {h: 0}", "mapping: {h: 0}", "h: 0"),
]
REFUSED_FOR = [
    ("ages", "        Q: log(c) + beta*V[>]", "        Q: log(c) + beta*vlu_cntn", "unknown-symbol", "write `V[>]`"),
    (
        "movers",
        "      u(c): c^(1-gamma)/(1-gamma)",
        "      u_func: c^(1-gamma)/(1-gamma)",
        "unknown-key",
        "`u(arguments): ...`",
    ),
    ("ages", "        g_ve: b = m - c", "        g_ve: b = m[t+1] - c", "index", "x[<]"),
    (
        "ages",
        "mapping: {b: a}, periods: 2}",
        "mapping: {b: a}, periods: 2, direction: backward}",
        "direction",
        "drop this connection",
    ),
]


@pytest.mark.parametrize(("model", "new", "old", "under"), READ_AS)
def test_older_spellings_are_read_with_a_note(model, new, old, under):
    text = TEXTS[model].replace(new, old, 1)
    spec = heptapod.load(text)
    (found,) = [d for d in spec.diagnostics if d.code == "older"]
    assert found.severity == "note"
    assert text.splitlines()[found.mark.line - 1][found.mark.column - 1 :].startswith(under)
    assert spec.structure == heptapod.load(TEXTS[model]).structure


@pytest.mark.parametrize(("model", "new", "old", "code", "help"), REFUSED_FOR)
def test_other_older_spellings_are_refused_with_the_new_one(model, new, old, code, help):
    (found,) = refused(TEXTS[model].replace(new, old, 1)).diagnostics
    assert found.code == code and help in found.help


# Anything anywhere.
ODD = (None, 7, -1.5, True, "", "x y", "x = y", "..", [], {}, [None], ["x"], {"x": 1}, {"1": None}, [[1]])


def places(node, path=()):
    """Every path of a tree."""
    yield path
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(value, (*path, key))


def replaced(node, path, value):
    """A copy of a tree with another value at a path."""
    if not path:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = replaced(node[path[0]], path[1:], value)
    return copy


def broken(model: str, some: int):
    """Every `some`-th pair of a place of a model and an odd value put there."""
    tree = yaml.safe_load(TEXTS[model])
    pairs = itertools.product(places(tree), ODD)
    for path, value in itertools.islice(pairs, None, None, some):
        yield path, value, yaml.safe_dump(replaced(tree, path, value), sort_keys=False) + "\n"


def only_model_errors(model: str, some: int) -> None:
    """Whatever stands anywhere, a model is read or refused, and each complaint has a code, a place and words."""
    for path, value, text in broken(model, some):
        found = heptapod.check(text)
        assert all(d.code in CODES and d.message and d.mark.line >= 1 for d in found), (path, value)
        assert len([d for d in found if d.severity == "error"]) <= 24, (path, value, [str(d) for d in found])


@pytest.mark.parametrize("model", ["ages", "health", "movers"])
def test_odd_values_anywhere_are_refused_and_nothing_else_is_raised(model):
    only_model_errors(model, 23)


@pytest.mark.slow
@pytest.mark.parametrize("model", TEXTS)
def test_odd_values_anywhere_in_every_model_are_refused_and_nothing_else_is_raised(model):
    only_model_errors(model, 5)
