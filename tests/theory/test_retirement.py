"""Retirement without risk (Iskhakov, Jørgensen, Rust and Schjerning 2017) against its exact solution, date by date."""

import functools
import itertools

import jax
import numpy as np
import pytest

import stagecraft as sc

MODEL = """
model:
  name: Retirement
  horizon: {T}
  terminal: 0
  parameters: {{beta: 0.98, r: 0.02, w: 20.0, delta: 1.0, sigma_eps: 0.0}}
  settings: {{n: {n}, a_max: 500.0}}
  connections:
    intra_period: [{{source: LABR.work, target: WORK}}, {{source: LABR.retire, target: RETD}}]
    inter_period: [{{source: WORK, target: LABR, mapping: {{b: a}}}}, {{source: RETD, target: RETD, mapping: {{b: a}}}}]
stages:
  LABR:
    kind: branching
    parameters: {{delta: [delta], sigma_eps: [sigma_eps]}}
    math:
      branches:
        work:   {{g_ve: a = a, Q: "V[>] - delta"}}
        retire: {{g_ve: a = a, Q: "V[>]"}}
      choice: {{by: agent, taste_shock: gumbel, scale: sigma_eps}}
      state_space: {{arvl: {{dimensions: [a]}}, cntn.work: {{dimensions: [a]}}, cntn.retire: {{dimensions: [a]}}}}
  WORK: &consume
    parameters: {{beta: [beta], r: [r], w: [w]}}
    settings: {{n: [n], a_max: [a_max]}}
    math: &math
      functions: {{g_av: m = (1+r)*a + w, g_ve: b = m - c, Q: "log(c) + beta*V[>]"}}
      controls: {{c: 0 < c <= m}}
      state_space:
        arvl: {{dimensions: [a]}}
        dcsn: {{dimensions: [m]}}
        cntn: {{grid: {{b: {{type: power, min: 0.0, max: a_max, points: n}}}}}}
  RETD:
    <<: *consume
    parameters: {{beta: [beta], r: [r]}}
    math:
      <<: *math
      functions: {{g_av: m = (1+r)*a, g_ve: b = m - c, Q: "log(c) + beta*V[>]"}}
"""
PAPER = dict(beta=0.98, r=0.02, w=20.0, delta=1.0)
CALIBRATIONS = {
    "paper": PAPER,
    "patience and interest cancel": PAPER | dict(beta=1 / 1.02),
    "impatient": PAPER | dict(beta=0.9, r=0.03),
    "patient": PAPER | dict(beta=0.99, r=0.06, delta=0.6),
    "no interest, no discounting": PAPER | dict(beta=1.0, r=0.0),
    "work is light": PAPER | dict(delta=0.3),
    "work is hard": PAPER | dict(delta=1.8, w=40.0),
    "low wage": PAPER | dict(w=8.0, delta=0.7, r=0.04),
}


class Exact:
    """The value of working now with cash m, the best over the dates of retirement and of running out of assets.

    With K more periods of work the problem is concave, and its optimum runs out of assets for the first time in some period;
    until then consumption grows by beta*(1+r). Every candidate is tried, and those that would borrow are dropped.
    """

    def __init__(self, *, T, beta, r, w, delta):
        self.T, self.beta, self.R, self.w, self.delta = T, beta, 1 + r, w, delta
        self._after = {}

    def plan(self, m, left, work):
        """Value and consumption with `left` periods, this one included, and wages in the next `work` of them."""
        m = np.asarray(m, float)
        best, choice = np.full(m.shape, -np.inf), np.full(m.shape, np.nan)
        growth, R = self.beta * self.R, self.R
        for n in itertools.chain(range(1, work + 1), [left]):
            k = np.arange(n)
            income = np.where((k >= 1) & (k <= work), self.w, 0.0)
            first = (m + (income * R**-k).sum()) / ((growth / R) ** k).sum()
            feasible, assets, value = np.ones(m.shape, bool), m, np.zeros(m.shape)
            for j in range(n):
                assets = assets + income[j] - first * growth**j if j else m - first
                feasible &= (assets >= -1e-12 * (1 + m)) | (j == n - 1)
                with np.errstate(all="ignore"):
                    value = value + self.beta**j * np.log(first * growth**j)
                assets = R * assets
            if n < left:
                value = value + self.beta**n * self._penniless(left - n, work - n)
            better = feasible & (value > best)
            best, choice = np.where(better, value, best), np.where(better, first, choice)
        return best, choice

    def _penniless(self, left, work):
        """The value of arriving with nothing but this period's wage."""
        if (left, work) not in self._after:
            self._after[left, work] = float(self.plan(self.w, left, work)[0])
        return self._after[left, work]

    def worker(self, t, m):
        """Value and consumption of who works in period t; the toil of this period is not in it."""
        left = self.T - t
        toil = lambda work: self.delta * (self.beta ** np.arange(1, work + 1)).sum()
        plans = [self.plan(m, left, work) for work in range(left)]
        values = np.stack([value - toil(work) for work, (value, _) in enumerate(plans)])
        best = values.argmax(axis=0)
        return values.max(axis=0), np.take_along_axis(np.stack([c for _, c in plans]), best[None], axis=0)[0], best

    def retiree(self, t, m):
        """Value and consumption of who is retired in period t."""
        return self.plan(m, self.T - t, 0)

    def gain(self, t, a):
        """What work is worth above retirement, on arrival with assets a."""
        with np.errstate(divide="ignore"):
            return self.worker(t, self.R * a + self.w)[0] - self.delta - self.retiree(t, self.R * a)[0]
