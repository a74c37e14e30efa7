"""Stages with controls that enter reward and budget only, and the same by search in NumPy."""

import re

import numpy as np
from scipy.interpolate import CubicSpline

PARAMETERS = {
    "beta": 0.95, "R": 1.03, "w": 1.0, "gamma": 2.0, "psi": 6.0, "phi": 2.0, "chi": 0.8, "lam": 0.9, "tau": 0.18, "eta": 0.4,
    "nu": 2.0,
}  # fmt: skip
MODEL = """
model:
  name: Labour
  horizon: {T}
  terminal: 0
  parameters: {{{parameters}}}
  settings: {{n_b: {points}}}
  defaults: {{inherit: all}}
  connections: {{inter_period: [{{source: HH, target: HH, mapping: {{b: a}}}}]}}
stage:
  name: HH
  methods: {{solution: {method}}}
  math:
    functions: {{{functions}}}
    controls: {{{controls}}}
    state_space:
      arvl: {{dimensions: ["a"]}}
      dcsn: {{dimensions: ["{state}"]}}
      cntn: {{grid: {{b: {{type: exp, min: 0.0, max: {top}, points: n_b}}}}}}
"""
TOP = 12.0
_TAXED, _PLAIN = '"pay(n)": lam*(w*n)^(1-tau)', '"pay(n)": w*n'
_BUDGET = 'g_av: m = R*a, g_ve: "b = m + pay(n) - c"'
_POWER = 'Q: "c^(1-gamma)/(1-gamma) - psi*n^(1+phi)/(1+phi) + beta*V[>]"'
_COBB = 'Q: "(c^eta*(1-n)^(1-eta))^(1-gamma)/(1-gamma) + beta*V[>]"'
_C = 'c: "0 < c <= m + pay(n)"'
# The functions and controls of a stage, and its decision state.
KINDS = {
    "isoelastic": (f"{_TAXED}, {_BUDGET}, {_POWER}", f"{_C}, n: 0 < n < 1", "m"),
    "log leisure": (f'{_PLAIN}, {_BUDGET}, Q: "log(c) + chi*log(1-n) + beta*V[>]"', f"{_C}, n: 0 <= n < 1", "m"),
    "cobb-douglas": (f"{_PLAIN}, {_BUDGET}, {_COBB}", f"{_C}, n: 0 <= n < 1", "m"),
    "cobb-douglas taxed": (f"{_TAXED}, {_BUDGET}, {_COBB}", f"{_C}, n: 0 <= n < 1", "m"),
    "ghh": (f'{_PLAIN}, {_BUDGET}, Q: "(c - n^nu/nu)^(1-gamma)/(1-gamma) + beta*V[>]"',
            'c: "n^nu/nu < c <= m + pay(n)", n: 0 <= n <= 0.7', "m"),
    "no g_av": (f'{_TAXED}, g_ve: "b = R*a + pay(n) - c", {_POWER}', 'c: "0 < c <= R*a + pay(n)", n: 0 < n < 1', "a"),
    "saving": (f'{_TAXED}, g_av: m = R*a, g_ve: b = s, Q: "(m + pay(n) - s)^(1-gamma)/(1-gamma) - psi*n^(1+phi)/(1+phi) + beta*V[>]"',
               's: "0 <= s < m + pay(n)", n: 0 < n < 1', "m"),
    "unbounded": (f"{_PLAIN}, {_BUDGET}, {_POWER}", f"{_C}, n: 0 < n", "m"),
    "spending": ('g_av: m = R*a + w, g_ve: b = m - c - x, Q: "c^(1-gamma)/(1-gamma) + chi*log(1 + x) + beta*V[>]"',
                 'c: "0 < c <= m", x: "0 <= x <= m - c"', "m"),
    "spending at a price": ('g_av: m = R*a + w, g_ve: b = m - c - 0.5*x, Q: "c^(1-gamma)/(1-gamma) + chi*log(1 + x) + beta*V[>]"',
                            'c: "0 < c <= m - 0.5*x", x: "0 <= x"', "m"),
    "two earners": ('"pay(n, h)": lam*(w*n + 0.6*h)^(1-tau), g_av: m = R*a, g_ve: "b = m + pay(n, h) - c", '
                    'Q: "c^(1-gamma)/(1-gamma) - psi*(n^(1+phi) + h^(1+phi))/(1+phi) + beta*V[>]"',
                    'c: "0 < c <= m + pay(n, h)", n: 0 <= n <= 1, h: 0 <= h <= 1', "m"),
}  # fmt: skip


def text(kind, T=3, points=120, method="auto", values=PARAMETERS):
    """The model of a kind."""
    functions, controls, state = KINDS[kind]
    used = {n: v for n, v in values.items() if re.search(rf"\b{n}\b", functions + controls)}
    parameters = ", ".join(f"{n}: {v}" for n, v in used.items())
    return MODEL.format(T=T, points=points, method=method, functions=functions, controls=controls, state=state, top=TOP,
                        parameters=parameters)  # fmt: skip


def _told(kind, p):
    """What is enjoyed, what may be spent on consumption and savings, the range of the other control, and cash on hand."""
    taxed = lambda n: p["lam"] * (p["w"] * n) ** (1 - p["tau"])
    power = lambda c: c ** (1 - p["gamma"]) / (1 - p["gamma"])
    toil = lambda n: p["psi"] * n ** (1 + p["phi"]) / (1 + p["phi"])
    cobb = lambda c, n: power(c ** p["eta"] * (1 - n) ** (1 - p["eta"]))
    ghh = lambda c, n: np.where(c > n ** p["nu"] / p["nu"], power(np.maximum(c - n ** p["nu"] / p["nu"], 1e-12)), -np.inf)
    plain = lambda m, n: m + p["w"] * n
    # Of two earners the second works as her wage bids her, given the hours of the first.
    second = lambda n: np.minimum(0.6 ** (1 / p["phi"]) * n, 1.0)
    both = lambda m, n: m + p["lam"] * (p["w"] * n + 0.6 * second(n)) ** (1 - p["tau"])
    saved = {price: (lambda m, x, price=price: m - price * x) for price in (0.5, 1.0)}
    drugs = lambda c, x: power(c) + p["chi"] * np.log(1 + x)
    cash = lambda a: p["R"] * a
    isoelastic = (lambda c, n: power(c) - toil(n), lambda m, n: m + taxed(n), (0, 1), cash)
    return {
        "isoelastic": isoelastic, "no g_av": isoelastic, "saving": isoelastic,
        "unbounded": (lambda c, n: power(c) - toil(n), plain, (0, 4), cash),
        "log leisure": (lambda c, n: np.log(c) + p["chi"] * np.log(1 - n), plain, (0, 1 - 1e-9), cash),
        "cobb-douglas": (cobb, plain, (0, 1 - 1e-9), cash),
        "cobb-douglas taxed": (cobb, lambda m, n: m + taxed(n), (0, 1 - 1e-9), cash),
        "ghh": (ghh, plain, (0, 0.7), cash),
        "spending": (drugs, saved[1.0], 1.0, lambda a: cash(a) + p["w"]),
        "spending at a price": (drugs, saved[0.5], 0.5, lambda a: cash(a) + p["w"]),
        "two earners": (lambda c, n: power(c) - toil(n) - toil(second(n)), both, (0, 1), cash),
    }[kind]  # fmt: skip


def by_search(kind, assets, T=3, p=PARAMETERS, knots=220):
    """(value, consumption, the other control, savings) in the first period: a lattice of savings and the other, ever closer."""
    enjoyed, spent, ends, cash = _told(kind, p)
    shares = np.linspace(0, 1, knots)
    after = None

    def best(m):
        m, centre, width, look = m[:, None, None], np.full((len(m), 2), 0.5), 0.5, np.linspace(-1, 1, 41)
        for _ in range(12):
            near = lambda i, axis, centre=centre, width=width: np.clip(
                centre[:, i, None, None] + width * look.reshape((1, -1, 1) if axis == 1 else (1, 1, -1)), 0, 1
            )
            low, high = ends if isinstance(ends, tuple) else (0, (m - 1e-6) / ends)
            other = low + near(1, 2) * (high - low)
            rest = spent(m, other)
            saved = near(0, 1) * np.clip(rest, 0, TOP)
            eaten = rest - saved
            good = eaten > 1e-9
            worth = enjoyed(np.where(good, eaten, 1.0), other) + (0 if after is None else p["beta"] * after(saved))
            worth = np.where(good, worth, -np.inf)
            at = worth.reshape(len(m), -1).argmax(1)
            pick = lambda x, at=at, worth=worth: np.broadcast_to(x, worth.shape).reshape(len(m), -1)[np.arange(len(m)), at]
            centre, width = np.stack([pick(near(0, 1)), pick(near(1, 2))], 1), width * 0.35
        return tuple(map(pick, (worth, eaten, other, saved)))

    for _ in range(T - 1):
        line = CubicSpline(shares, best(cash(shares**2.5 * TOP))[0])
        after = lambda b, line=line: line((np.maximum(b, 0) / TOP) ** (1 / 2.5))
    return best(cash(assets))
