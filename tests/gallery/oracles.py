"""What the models of the gallery must say, from closed forms and from NumPy alone: nothing of DynX is imported here.

An oracle takes the parameters of its file by name, and returns rows (period, function, states, number).
"""

import numpy as np
from more import bandit, engine, fishery, forest, house_sale, storage, study, yaari
from others import benefits, huggett, investment, lumpy, merton, mortgage, patent, plans, recursive
from savers import ambiguity, buffer, hours, participation
from searches import durable, habit, health, house, job_search, mccall, quasi_hyperbolic, settled, sophisticated


def cake(p):
    """log u: c = m/(1 + beta + ... ), with the worth of what is left as the last term (b_0 = 0)."""
    rows = []
    for t, m in ((0, 10.0), (10, 2.0), (19, 1.0)):
        ahead = sum(p["beta"] ** k for k in range(1, 20 - t)) + p["beta"] ** (20 - t) * p["bequest"]
        rows += [(t, "EAT.c", {"m": m}, m / (1 + ahead)), (t, "EAT.marginal", {"m": m}, (1 + ahead) / m)]
    return rows


def growth(p):
    """Brock and Mirman (1972): c = (1 - alpha beta) y; V = log(y)/(1 - alpha beta) + a constant, with mean log z as drawn."""
    ab = p["alpha"] * p["beta"]
    rows = [(0, "GROW.c", {"y": y}, (1 - ab) * y) for y in (0.05, 0.2, 1.0)]
    return rows + [(0, "GROW.marginal", {"y": y}, 1 / ((1 - ab) * y)) for y in (0.05, 1.0)]


def asset_price(p):
    """V = d^(1-gamma) + beta Pi V, one linear system; the price is (V - d^(1-gamma)) d^gamma."""
    d = p["d_vals"]
    value = np.linalg.solve(np.eye(3) - p["beta"] * p["Pi"], d ** (1 - p["gamma"]))
    return [(0, "TREE.value", {"d": x}, v) for x, v in zip(d, value, strict=True)]


def rouwenhorst(rho, sigma, n):
    """Nodes of mean one in levels and the matrix of an AR(1) in logs (Kopecky and Suen 2010)."""
    q = (1 + rho) / 2
    matrix = np.array([[q, 1 - q], [1 - q, q]])
    for k in range(3, n + 1):
        grown = np.zeros((k, k))
        grown[:-1, :-1] += q * matrix
        grown[:-1, 1:] += (1 - q) * matrix
        grown[1:, :-1] += (1 - q) * matrix
        grown[1:, 1:] += q * matrix
        grown[1:-1] /= 2
        matrix = grown
    nodes = np.linspace(-1, 1, n) * np.sqrt(n - 1) * sigma / np.sqrt(1 - rho**2)
    law = np.linalg.matrix_power(matrix, 10_000)[0]
    return np.exp(nodes) / (law @ np.exp(nodes)), matrix


def exit(p):
    """Hopenhayn (1992): V(z) = max(profit(z) - cost + beta E V, scrap), iterated on the chain."""
    z, law = rouwenhorst(p["rho"], p["sigma"], 9)
    alpha = p["alpha"]
    scale = (1 - alpha) * alpha ** (alpha / (1 - alpha)) * p["wage"] ** (-alpha / (1 - alpha))
    stay = lambda v: scale * z ** (1 / (1 - alpha)) - p["cost"] + p["beta"] * law @ v
    value = settled(lambda v: np.maximum(stay(v), p["scrap"]), np.zeros(9))
    stays = (stay(value) > p["scrap"]).astype(float)
    assert 0 < stays.sum() < 9, "some leave and some stay"
    rows = [(0, "FIRM.value", {"z": z[i]}, value[i]) for i in (0, 4, 8)]
    return rows + [(0, "FIRM.stay", {"z": z[i]}, stays[i]) for i in range(9)]


def inventory(p):
    """Scarf (1960): all orders from all stocks are tried, until nothing moves."""
    s, most = np.arange(11), 10
    demand, chance = p["demand"].astype(int), p["chance"]

    def best(v):
        worth = np.full((11, 11), -np.inf)
        for i in s:
            for q in range(most - i + 1):
                worth[i, q] = -p["hold"] * i - (p["fixed"] + p["price"] * q if q else 0.0) + p["beta"] * v[i + q]
        return worth

    def arrival(v):
        left = np.maximum(s[:, None] - demand, 0)
        sold = np.minimum(s[:, None], demand)
        return (p["sale"] * sold + best(v).max(axis=1)[left]) @ chance

    value = settled(arrival, np.zeros(11))
    order = best(value).argmax(axis=1)
    rows = [(0, "STORE.q", {"s": float(i), "sold": 0.0}, float(order[i])) for i in s]
    return rows + [(0, "STORE.value", {"s": float(i), "sold": 2.0}, best(value).max(axis=1)[i] + 2 * p["sale"]) for i in (0, 5)]


def option(p):
    """Cox, Ross and Rubinstein (1979): backward along the tree; a step is drawn on arrival, so a node is seen before it is used."""
    n = np.arange(-60, 61)
    payoff = p["strike"] - p["s0"] * np.exp(p["step"] * n)
    up = (np.exp(p["rate"]) - np.exp(-p["step"])) / (np.exp(p["step"]) - np.exp(-p["step"]))
    value, rows = np.maximum(payoff, 0.0), []
    for t in range(49, -1, -1):
        value = np.maximum(payoff, np.exp(-p["rate"]) * value)
        rows += [(t, "HOLD.value", {"n": float(k)}, value[k + 60]) for k in (-8, 0, 6)] if t in (0, 40) else []
        value = up * value[np.minimum(np.arange(121) + 1, 120)] + (1 - up) * value[np.maximum(np.arange(121) - 1, 0)]
    return rows


def career(p):
    """Neal (1999), as in Ljungqvist and Sargent: three choices at every pair, until nothing moves."""
    c, j, odds = p["c_vals"], p["j_vals"], p["odds"]
    flow = c[:, None] + j[None, :]

    def worth(v):
        job = np.broadcast_to((v @ odds)[:, None], v.shape)
        return flow + p["beta"] * np.stack([v, job, np.broadcast_to(odds @ v @ odds, v.shape)])

    value = settled(lambda v: worth(v).max(axis=0), np.zeros((6, 6)))
    choice = worth(value).argmax(axis=0)
    rows = [(0, "LIFE.value", {"c": c[i], "j": j[k]}, value[i, k]) for i, k in ((0, 0), (3, 1), (5, 5))]
    return rows + [(0, "LIFE.choice", {"c": c[i], "j": j[k]}, float(choice[i, k])) for i in (0, 2, 4) for k in (0, 3, 5)]


def resource(p):
    """Hotelling (1931): x^(-1/eta) grows by 1 + r, so x falls by (1 + r)^-eta and all is sold in the end."""
    rows = []
    for t, stock in ((0, 10.0), (0, 1.0), (15, 4.0), (29, 2.0)):
        falls = (1 + p["r"]) ** (-p["eta"] * np.arange(30 - t))
        rows += [(t, "MINE.x", {"stock": stock}, stock / falls.sum())]
        rows += [(t, "MINE.marginal", {"stock": stock}, (stock / falls.sum()) ** (-1 / p["eta"]))]
    return rows


def lognormal(mean, std, n):
    """Gauss-Hermite nodes and weights of a lognormal; `std` is that of the logarithm."""
    x, w = np.polynomial.hermite_e.hermegauss(n)
    return mean * np.exp(std * x - 0.5 * std**2), w / w.sum()


def robust(p):
    """Hansen and Sargent (1995): the last two periods searched on a fine grid; before the last, E becomes -theta log E exp(-V/theta)."""
    y, w = lognormal(1.0, p["sigma"], 5)
    a = np.concatenate([[0.0], np.geomspace(1e-5, 15.0, 6_000)])

    def choose(m, after):
        c = np.maximum(m[:, None] - a, 1e-300)
        worth = np.where(a < m[:, None], np.log(c) + p["beta"] * after, -np.inf)
        best = worth.argmax(axis=1)
        # The peak of a parabola through the best point and its neighbours, on the scale of the grid.
        i = np.clip(best, 1, a.size - 2)
        x0, x1, x2 = a[i - 1], a[i], a[i + 1]
        y0, y1, y2 = (np.take_along_axis(worth, k[:, None], 1)[:, 0] for k in (i - 1, i, i + 1))
        with np.errstate(all="ignore"):
            bottom = (x1 - x0) * (y1 - y2) - (x1 - x2) * (y1 - y0)
            peak = x1 - 0.5 * ((x1 - x0) ** 2 * (y1 - y2) - (x1 - x2) ** 2 * (y1 - y0)) / bottom
        inside = (best > 0) & np.isfinite(peak) & (peak > x0) & (peak < x2)
        saved = np.where(inside, peak, a[best])
        return np.log(m - saved) + p["beta"] * np.interp(saved, a, after), m - saved

    after = np.log(a + 1)
    rows = []
    for t in (9, 8):
        m = np.array([0.6, 1.5, 4.0])
        value, c = choose(m, after)
        rows += [(t, "SAVE.c", {"m": x}, z) for x, z in zip(m, c, strict=True)]
        rows += [(t, "SAVE.value", {"m": x}, z) for x, z in zip(m, value, strict=True)]
        if t == 9:
            draws = p["R"] * a[:, None] + y
            grid = np.geomspace(draws.min(), draws.max(), 1_500)
            level = np.interp(draws, grid, choose(grid, after)[0])
            after = -p["theta"] * np.log(np.exp(-level / p["theta"]) @ w)
    return rows


def claiming(p):
    """Rust and Phelan (1997), without savings: what each claim pays for life, and a logit between now and later."""
    crra = lambda c: (c ** (1 - p["gamma"]) - 1) / (1 - p["gamma"])
    age = np.arange(28)
    alive = np.exp(-0.01 * np.exp(0.09 * age))
    paid = crra(p["other"] + 0.4 * (1 + 0.07 * np.arange(9)))
    worth = np.zeros((29, 9))
    for t in range(27, -1, -1):
        worth[t] = paid + p["beta"] * alive[t] * worth[t + 1]
    value, rows = 0.0, []
    for t in range(27, -1, -1):
        options = np.array([worth[t, min(t, 8)], crra(p["other"]) + p["beta"] * alive[t] * value])
        top = options.max()
        value = top + p["sigma_v"] * np.log(np.exp((options - top) / p["sigma_v"]).sum())
        odds = np.exp((options[0] - value) / p["sigma_v"])
        if t in (0, 4, 8, 20):
            rows += [(t, "WAIT.value", {"none": 0.0}, value), (t, "WAIT.claim", {"none": 0.0}, odds)]
    return rows


def occupation(p):
    """Three alternatives with Gumbel tastes: backward over all pairs of experience."""
    n = np.arange(11.0)
    pay = np.stack([np.full((11, 11), p["home"]), np.broadcast_to((p["w_a"] * np.exp(p["r_a"] * n))[:, None], (11, 11)),
                    np.broadcast_to(p["w_b"] * np.exp(p["r_b"] * n), (11, 11))])  # fmt: skip
    value, rows, sigma = np.zeros((11, 11)), [], p["sigma_v"]
    up = np.minimum(np.arange(11) + 1, 10)
    for t in range(9, -1, -1):
        worth = pay + p["beta"] * np.stack([value, value[up], value[:, up]])
        top = worth.max(axis=0)
        value = top + sigma * np.log(np.exp((worth - top) / sigma).sum(axis=0))
        if t in (0, 5, 9):
            at = {"here": 0.0, "there": 0.0}
            rows += [(t, "JOB.value", at, value[0, 0])]
            rows += [(t, f"JOB.d[{k}]", at, np.exp((worth[k, 0, 0] - value[0, 0]) / sigma)) for k in range(3)]
    return rows


def default(p):
    """Livshits, MacGee and Tertilt (2007), with a given price: the last two periods by search; the choice to file is a logit."""
    y, law, sigma = p["y_vals"], p["Pi"], p["sigma_v"]
    grid = np.linspace(p["debt"], 8.0, 18_001)
    gross = np.where(grid < 0, 1 + p["r_b"], 1 + p["r_s"])
    arrival = np.log(np.maximum(grid, -0.5) + 1)[:, None] * np.ones(3)
    zero = np.searchsorted(grid, 0.0)
    rows = []
    for t in (11, 10):
        live = np.full((grid.size, 3), -np.inf)
        # What is asked for in the rows, and what the period before needs: cash at every asset, by search over what is kept.
        asked = np.array([0.3, 1.2, 3.0])
        cash = np.stack([y[k] + gross * grid for k in range(3)], axis=1)
        ask = np.concatenate([asked, cash[::60].ravel()])
        worth, c = _best(ask, grid, arrival, p["beta"])
        rows += [(t, "LIVE.c", {"m": m, "y": y[k]}, c[i, k]) for i, m in enumerate(asked) for k in (0, 2)]
        points = cash[::60].shape[0]
        pay = np.stack([worth[3:].reshape(points, 3, 3)[:, k, k] for k in range(3)], axis=1)
        pay = np.where(cash[::60] + 0.9 > 0, pay, -np.inf)
        file = np.log((1 - p["garnish"]) * y) + p["beta"] * arrival[zero]
        top = np.maximum(pay, file)
        value = top + sigma * np.log(np.exp((pay - top) / sigma) + np.exp((file - top) / sigma))
        odds = np.exp((file - value) / sigma)
        coarse = grid[::60]
        rows += [
            (t, "FILE.default", {"a": a, "y": y[k]}, np.interp(a, coarse, odds[:, k])) for a in (-0.7, -0.4) for k in (0, 1)
        ]
        fine = np.stack([np.interp(grid, coarse, value[:, k]) for k in range(3)], axis=1)
        arrival = fine @ law.T
        del live
    return rows


def _best(m, grid, after, beta):
    """The best of all points that are kept, at every m and in every state; and what is eaten."""
    worth, eaten = np.empty((m.size, 3)), np.empty((m.size, 3))
    for i, x in enumerate(m):
        with np.errstate(all="ignore"):
            values = np.where(grid < x, np.log(x - grid), -np.inf)[:, None] + beta * after
        best = values.argmax(axis=0)
        worth[i], eaten[i] = values[best, np.arange(3)], x - grid[best]
    return worth, eaten


# Model -> its oracle, where its numbers come from, the parameter of patience, and how near its rows are met, relative to the
# larger of 1 and the number.
ORACLES = {
    "cake": (cake, "closed form", "main.beta", 1e-8),
    "growth": (growth, "closed form (Brock and Mirman 1972)", "main.beta", 1e-6),
    "asset_price": (asset_price, "linear system (Lucas 1978)", "main.beta", 1e-10),
    "exit": (exit, "value iteration", "main.beta", 1e-9),
    "inventory": (inventory, "value iteration", "main.beta", 1e-9),
    "option": (option, "binomial tree (Cox, Ross and Rubinstein 1979)", "main.rate", 1e-10),
    "career": (career, "value iteration", "main.beta", 1e-9),
    "resource": (resource, "closed form (Hotelling 1931)", "main.r", 1e-8),
    "robust": (robust, "search on a fine grid", "main.beta", 5e-4),
    "default": (default, "search on a fine grid", "main.beta", 5e-3),
    "claiming": (claiming, "backward induction", "main.beta", 1e-10),
    "occupation": (occupation, "backward induction", "main.beta", 1e-10),
    "mccall": (mccall, "closed form (McCall 1970)", "main.beta", 1e-9),
    "job_search": (job_search, "search on a fine grid", "main.beta", 1e-3),
    "quasi_hyperbolic": (quasi_hyperbolic, "Euler equations by bisection", "main.beta", 2e-4),
    "sophisticated": (sophisticated, "backward induction by search", "SELF.beta", 2e-4),
    "habit": (habit, "backward induction by search", "CONS.beta", 1e-4),
    "health": (health, "Euler equations by bisection", "main.beta", 5e-4),
    "durable": (durable, "search on a fine grid", "main.beta", 1e-4),
    "house": (house, "search on a fine grid", "main.beta", 1e-4),
    "engine": (engine, "value iteration", "main.beta", 1e-8),
    "forest": (forest, "value iteration", "main.beta", 1e-8),
    "yaari": (yaari, "closed form (Yaari 1965)", "main.beta", 1e-8),
    "bandit": (bandit, "backward induction", "main.beta", 1e-10),
    "study": (study, "backward induction", "main.beta", 1e-10),
    "storage": (storage, "value iteration", "main.beta", 1e-8),
    "fishery": (fishery, "closed form (Levhari and Mirman 1980)", "main.beta", 1e-6),
    "house_sale": (house_sale, "backward induction", "main.beta", 1e-10),
    "merton": (merton, "closed form (Samuelson 1969)", "main.beta", 1e-10),
    "recursive": (recursive, "closed form (Epstein and Zin 1989)", "main.beta", 1e-8),
    "investment": (investment, "closed form (Hayashi 1982)", "main.beta", 1e-10),
    "lumpy": (lumpy, "value iteration", "main.beta", 1e-8),
    "mortgage": (mortgage, "backward induction", "main.beta", 1e-10),
    "benefits": (benefits, "value iteration", "main.beta", 1e-7),
    "plans": (plans, "value iteration", "main.beta", 1e-8),
    "patent": (patent, "backward induction", "main.beta", 1e-10),
    "huggett": (huggett, "Euler equations by bisection", "main.beta", 5e-4),
    "hours": (hours, "Euler equations by bisection", "main.beta", 1e-3),
    "buffer": (buffer, "endogenous grids in NumPy", "main.beta", 2e-4),
    "ambiguity": (ambiguity, "Euler equations by bisection", "main.beta", 1e-4),
    "participation": (participation, "search on a fine grid", "main.beta", 1e-3),
}
