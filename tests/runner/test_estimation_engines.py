"""The engine on problems whose solutions are certified or known, without any model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynx_runner.estimation.engines import Criterion, Point, minimise
from dynx_runner.estimation.steps import Way, step_of
from dynx_runner.estimation.transforms import Interval


def numbers(text):
    return np.array(text.split(), float)


PRESSURE = numbers("77.6 114.9 141.1 190.8 239.9 289.0 332.8 378.4 434.8 477.3 536.8 593.1 689.1 760.0")
VOLUME = numbers("10.07 14.73 17.94 23.93 29.61 35.18 40.02 44.82 50.76 55.05 61.01 66.40 75.47 81.78")
DAYS, DEMAND = numbers("1 2 3 5 7 10"), numbers("109 149 149 191 213 224")
GROWN, AGE = numbers("8.93 10.8 18.59 22.33 39.35 56.11 61.73 64.62 67.08"), numbers("9 14 21 28 42 57 63 70 79")
RATE = numbers(".1957 .1947 .1735 .16 .0844 .0627 .0456 .0342 .0323 .0235 .0246")
DOSE = numbers("4 2 1 .5 .25 .167 .125 .1 .0833 .0714 .0625")
OHM = numbers("34780 28610 23650 19630 16370 13720 11540 9744 8261 7030 6005 5147 4427 3820 3307 2872")
WARM, LATER = 50 + 5 * np.arange(16.0), 10 * np.arange(33.0)
LEFT = numbers(""".844 .908 .932 .936 .925 .908 .881 .850 .818 .784 .751 .718 .685 .658 .628 .603 .580 .558 .538 .522 .506 .490 .478
               .467 .457 .448 .438 .431 .424 .420 .414 .411 .406""")
# Of each problem the residuals, NIST's first and second start (one of them where the other is known to fail most engines), and
# the certified parameters (Statistical Reference Datasets, nonlinear regression).
NIST = {
    "misra1a": (lambda b: b[0] * (1 - jnp.exp(-b[1] * PRESSURE)) - VOLUME, [(500, 1e-4), (250, 5e-4)],
                (2.3894212918e2, 5.5015643181e-4)),
    "boxbod": (lambda b: b[0] * (1 - jnp.exp(-b[1] * DAYS)) - DEMAND, [(1, 1), (100, 0.75)], (2.1380940889e2, 5.4723748542e-1)),
    "rat42": (lambda b: b[0] / (1 + jnp.exp(b[1] - b[2] * AGE)) - GROWN, [(100, 1, 0.1), (75, 2.5, 0.07)],
              (7.2462237576e1, 2.6180768402, 6.7359200066e-2)),
    "mgh09": (lambda b: b[0] * (DOSE**2 + DOSE * b[1]) / (DOSE**2 + DOSE * b[2] + b[3]) - RATE,
              [(25, 39, 41.5, 39), (0.25, 0.39, 0.415, 0.39)],
              (1.9280693458e-1, 1.9128232873e-1, 1.2305650693e-1, 1.3606233068e-1)),
    "mgh10": (lambda b: b[0] * jnp.exp(b[1] / (WARM + b[2])) - OHM, [(0.02, 4000, 250)],
              (5.6096364710e-3, 6.1813463463e3, 3.4522363462e2)),
    "mgh17": (lambda b: b[0] + b[1] * jnp.exp(-LATER * b[3]) + b[2] * jnp.exp(-LATER * b[4]) - LEFT, [(0.5, 1.5, -1, 0.01, 0.02)],
              (3.7541005211e-1, 1.9358469127, -1.4646871366, 1.2867534640e-2, 2.2122699662e-2)),
    "brown": (lambda b: jnp.stack([b[0] - 1e6, b[1] - 2e-6, b[0] * b[1] - 2]), [(1, 1)], (1e6, 2e-6)),
    "rosenbrock": (lambda b: jnp.stack([10 * (b[1] - b[0] ** 2), 1 - b[0]]), [(-1.2, 1)], (1, 1)),
}  # fmt: skip


def squares(residual, way=None, inside=lambda x: x):
    slopes = jax.jit(jax.jacfwd(lambda x: (lambda r: (r, r))(residual(inside(x))), has_aux=True))

    def both(x):
        return [np.asarray(found) for found in reversed(slopes(jnp.asarray(x)))]

    def point(x):
        found, slope = both(x)
        return Point(float(found @ found), 2 * slope.T @ found, 2 * slope.T @ slope)

    return Criterion(point, lambda x: point(x).value, both, way=way)


@pytest.mark.parametrize("name", NIST)
def test_certified_parameters_are_found_from_every_start(name):
    residual, starts, certified = NIST[name]
    for start in starts:
        found = minimise(squares(residual), np.array(start, float), "damped", 200, lambda value: None)
        assert found.x == pytest.approx(np.array(certified), rel=1e-5), (start, found.outcome)


def test_a_walk_to_a_bound_ends_there_and_the_other_number_where_it_is_best():
    """On the real line of a logit the bound is nowhere; x = 2 is out of reach, and y = 0.5 + x / 8 is best given it."""
    pair = Interval(0.0, 1.0)
    both = lambda x: (np.asarray(pair.inside(x)), np.asarray(pair.inside(x) * (1 - pair.inside(x))))
    way = Way(np.ones(2, bool), np.ones(2, bool), both, lambda z: np.asarray(pair.real(z)))
    criterion = squares(lambda z: jnp.stack([z[0] - 2.0, 3 * (z[1] - 0.5 - z[0] / 8)]), way, pair.inside)
    found = minimise(criterion, np.array([-1.0, 2.0]), "damped", 200, lambda value: None)
    assert both(found.x)[0] == pytest.approx([1.0, 0.625], abs=1e-6)
    assert found.outcome == "converged" and found.evaluations <= 12


def test_a_step_is_the_best_one_in_its_box():
    """No coordinate inside of the box has a slope left, and none at its edge one that leads back."""
    draw = np.random.default_rng(0)
    for _ in range(20):
        root, slope = draw.normal(size=(6, 4)), draw.normal(size=4)
        scale, low, high = np.ones(4), -draw.uniform(0.05, 1.0, 4), draw.uniform(0.05, 1.0, 4)
        curve = root.T @ root
        step, gain = step_of(curve, 0 * curve, slope, 0.1, scale, (low, high), True)
        left = slope + (curve + 0.1 * np.eye(4)) @ step
        edge = np.where(step <= low + 1e-9, -1, np.where(step >= high - 1e-9, 1, 0))
        assert np.all(np.abs(left[edge == 0]) < 1e-9) and np.all(left[edge == 1] <= 0) and np.all(left[edge == -1] >= 0)
        assert gain == pytest.approx(-(slope @ step + 0.5 * step @ curve @ step)) and gain > 0
