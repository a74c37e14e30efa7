"""Oracles of the second twenty: closed forms, value iteration and backward induction in NumPy; nothing of DynX is imported here."""

import numpy as np
from searches import eaten, settled


def engine(p):
    """Rust (1987): a logit of keeping and replacing at every mileage, iterated until nothing moves."""
    s = np.arange(31)
    to = np.minimum(s[:, None] + p["steps"].astype(int), 30)

    def worth(v):
        later = v[to] @ p["drift"]
        return np.stack([-p["theta"] * s + p["beta"] * (v @ law(p, to).T), -p["RC"] + p["beta"] * later[0] + 0 * s])

    def joined(v):
        options = worth(v)
        return options.max(axis=0) + np.log(np.exp(options - options.max(axis=0)).sum(axis=0))

    value = settled(joined, np.zeros(31))
    odds = np.exp(worth(value)[1] - value)
    rows = [(0, "BUS.value", {"s": float(k)}, value[k]) for k in (0, 10, 25)]
    return rows + [(0, "BUS.d[1]", {"s": float(k)}, odds[k]) for k in (0, 10, 25)]


def law(p, to):
    """Where a kept engine is in the next period, by mileage."""
    found = np.zeros((31, 31))
    for column, chance in zip(to.T, p["drift"], strict=True):
        np.add.at(found, (np.arange(31), column), chance)
    return found


def lumps(p):
    """Caballero and Engel (1999): every size from every size is tried, until nothing moves."""
    size, i = p["big"] * (1 - p["delta"]) ** np.arange(25), np.arange(25)
    cost = size[None, :] - (1 - p["delta"]) * size[:, None]
    cost = cost + p["fixed"] * (i[None, :] != np.minimum(i[:, None] + 1, 24))
    flow = p["z_vals"][:, None, None] * size[None, :, None] ** p["alpha"] - cost
    worth = lambda v: flow + p["beta"] * (p["Pi"] @ v)[:, None, :]
    value = settled(lambda v: worth(v).max(axis=2), np.zeros((3, 25)))
    choice = worth(value).argmax(axis=2)
    at = [(k, n) for k in range(3) for n in (0, 4, 9, 20)]
    rows = [(0, "FIRM.value", {"i": float(n), "z": p["z_vals"][k]}, value[k, n]) for k, n in at]
    return rows + [(0, "FIRM.j", {"i": float(n), "z": p["z_vals"][k]}, float(choice[k, n])) for k, n in at]


def forest(p):
    """Faustmann (1849), with fires: to cut or not at every age, until nothing moves."""
    n = np.arange(61)
    timber = p["size"] * (1 - np.exp(-p["speed"] * n)) ** 3 - p["plant"]

    def worth(v):
        arrival = (1 - p["fire"]) * v + p["fire"] * v[0]
        return np.stack([p["beta"] * arrival[np.minimum(n + 1, 60)], timber + p["beta"] * arrival[1]])

    value = settled(lambda v: worth(v).max(axis=0), np.zeros(61))
    cut = worth(value).argmax(axis=0)
    assert 0 < cut.argmax() < 60, "an age at which trees are cut"
    rows = [(0, "GROVE.value", {"n": float(k)}, value[k]) for k in (0, 10, 30, 60)]
    return rows + [(0, "GROVE.cut", {"n": float(k)}, float(cut[k])) for k in range(20, 40)]


def yaari(p):
    """No income: c is a share of m, and 1/share = 1 + (beta s R^(1-gamma))^(1/gamma)/share of the next year."""
    share, rows = 1.0, []
    for t in range(39, -1, -1):
        if t < 39:
            share = 1 / (1 + (p["beta"] * p["alive"][t] * p["R"] ** (1 - p["gamma"])) ** (1 / p["gamma"]) / share)
        if t in (0, 20, 35, 38):
            rows += [(t, "LIVE.c", {"m": m}, share * m) for m in (1.0, 10.0)]
    return rows


def bandit(p):
    """Gittins (1979), with an end: backward over all pairs of wins and losses, under Laplace's rule."""
    w, lost = np.meshgrid(np.arange(13), np.arange(13), indexing="ij")
    good, up = (w + 1) / (w + lost + 2), np.minimum(np.arange(13) + 1, 12)
    value, rows = np.zeros((13, 13)), []
    for t in range(11, -1, -1):
        risky = good * (1 + p["beta"] * value[up]) + (1 - good) * p["beta"] * value[:, up]
        sure = p["safe"] + p["beta"] * value
        value = np.maximum(risky, sure)
        if t in (0, 4, 8):
            for at in ((0, 0), (0, 1), (1, 1), (2, 1)):
                states = {"w": float(at[0]), "l": float(at[1])}
                rows += [(t, "CHOOSE.value", states, value[at]), (t, "CHOOSE.risky", states, float(risky[at] > sure[at]))]
    return rows


def study(p):
    """Ben-Porath (1967), in years: a logit of school and work, backward over all skills."""
    h = np.arange(13)
    arrival, rows, sigma = np.zeros(13), [], p["sigma_v"]
    for t in range(19, -1, -1):
        work = p["pay"] * np.exp(p["growth"] * h) + p["beta"] * arrival
        school = -p["fee"] + p["beta"] * arrival[np.minimum(h + 1, 12)]
        top = np.maximum(work, school)
        value = top + sigma * np.log(np.exp((work - top) / sigma) + np.exp((school - top) / sigma))
        if t in (0, 5, 12):
            odds = np.exp((school - value) / sigma)
            rows += [(t, "YEAR.value", {"h": float(k)}, value[k]) for k in (0, 6)]
            rows += [(t, "YEAR.d[1]", {"h": float(k)}, odds[k]) for k in (0, 6)]
        arrival = (1 - p["fade"]) * value + p["fade"] * value[np.maximum(h - 1, 0)]
    return rows


def storage(p):
    """Every trade from every stock at every price is tried, until nothing moves."""
    s, q = np.arange(9), np.arange(9)[None, :] - np.arange(9)[:, None]
    price = p["p_vals"][:, None, None] + p["spread"] * (q > 0)
    flow = -price * q - p["wear"] * q**2 - p["rent"] * s[None, None, :]
    worth = lambda v: flow + p["beta"] * (p["Pi"] @ v)[:, None, :]
    value = settled(lambda v: worth(v).max(axis=2), np.zeros((4, 9)))
    trade = worth(value).argmax(axis=2) - s
    at = [(k, n) for k in range(4) for n in (0, 3, 8)]
    rows = [(0, "TRADE.value", {"s": float(n), "p": p["p_vals"][k]}, value[k, n]) for k, n in at]
    return rows + [(0, "TRADE.q", {"s": float(n), "p": p["p_vals"][k]}, float(trade[k, n])) for k, n in at]


def fishery(p):
    """Levhari and Mirman (1980): V = b log(fish) + a constant with b = 1 + alpha beta b', and c = fish/b."""
    rows, weight = [], 1 / p["alpha"]  # What comes after the last season is worth log(x) on arrival, hence b' = 1/alpha.
    for t in range(14, -1, -1):
        weight = 1 + p["alpha"] * p["beta"] * weight
        if t in (0, 7, 13, 14):
            rows += [(t, "LAKE.c", {"fish": x}, x / weight) for x in (0.1, 0.6)]
            rows += [(t, "LAKE.marginal", {"fish": 0.4}, weight / 0.4)]
    return rows


def house_sale(p):
    """Offers are taken where they beat what a week more is worth, backward from the last day."""
    later, rows = 60.0, []
    for t in range(25, -1, -1):
        wait = -p["cost"] + p["beta"] * later
        value = np.maximum(p["p_vals"], wait)
        if t in (0, 15, 23, 25):
            rows += [(t, "OFFER.value", {"none": 0.0, "p": x}, v) for x, v in zip(p["p_vals"], value, strict=True)]
            rows += [(t, "OFFER.sell", {"none": 0.0, "p": x}, float(x > wait)) for x in p["p_vals"]]
        later = value @ p["odds"]
    return rows


def buffer(p):
    """Carroll (1997): u'(c) = beta R G^-gamma E u'(c'), by bisection at every point of a fine grid."""
    grid, marginal = 1e-6 + 25 * np.linspace(0, 1, 4_000) ** 3, lambda c: c ** -p["gamma"]
    policy, rows = grid, []
    for t in range(18, 9, -1):
        later = lambda a, policy=policy: (
            p["beta"] * p["R"] * p["G"] ** -p["gamma"]
            * (marginal(np.interp(p["R"] / p["G"] * a[..., None] + p["y_vals"], grid, policy)) @ p["odds"])
        )  # fmt: skip
        if t in (18, 15, 10):
            m = np.array([0.3, 1.0, 2.0, 6.0])
            rows += [(t, "BUF.c", {"m": x}, c) for x, c in zip(m, eaten(m, marginal, later), strict=True)]
        policy = eaten(grid, marginal, later)
    return rows


def huggett(p):
    """Huggett (1993): the Euler equation by bisection at every point of a fine grid, until the policy settles."""
    low = p["q"] * p["limit"]
    room, marginal = 1e-6 + 10.0 * np.linspace(0, 1, 1_200) ** 3, lambda c: c ** -p["gamma"]
    policy = np.stack([room, room])  # By what could be eaten at most, m - q limit.

    def later(saved, k, policy):
        """What a unit saved is worth; `saved` is above the limit."""
        after = (saved + low) / p["q"]
        found = [marginal(np.interp(after + e - low, room, policy[j])) for j, e in enumerate(p["e_vals"])]
        return p["beta"] / p["q"] * (p["Pi"][k] @ np.stack(found).reshape(2, -1)).reshape(np.shape(saved))

    for _ in range(400):
        new = np.stack([eaten(room, marginal, lambda a, k=k: later(a, k, policy)) for k in (0, 1)])
        policy, gap = new, np.abs(new - policy).max()
        if gap < 1e-10:
            break
    m = np.array([-0.5, 0.2, 1.0, 3.0])
    found = [(k, x, np.interp(x - low, room, policy[k])) for k in (0, 1) for x in m]
    return [(0, "HOME.c", {"m": x, "e": p["e_vals"][k]}, c) for k, x, c in found]
