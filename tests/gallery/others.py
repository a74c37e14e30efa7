"""More oracles of the second twenty: portfolios, firms, search and debt, in NumPy; nothing of DynX is imported here."""

import numpy as np
from searches import eaten, lognormal, settled


def merton(p):
    """The share solves E[(R - safe) R_p^-gamma] = 0, by bisection; 1/k = 1 + (beta E R_p^(1-gamma))^(1/gamma)/k' (Samuelson 1969)."""
    (R, w), gamma, low, high = lognormal(p["mean"], p["sigma"], 7), p["gamma"], 0.0, 1.0
    for _ in range(60):
        share = 0.5 * (low + high)
        more = (R - p["safe"]) * (p["safe"] + (R - p["safe"]) * share) ** -gamma @ w > 0
        low, high = (share, high) if more else (low, share)
    growth = (p["beta"] * (p["safe"] + (R - p["safe"]) * share) ** (1 - gamma) @ w) ** (1 / gamma)
    k, rows = 1.0, []
    for t in range(9, -1, -1):
        k = k if t == 9 else 1 / (1 + growth / k)
        if t in (0, 4, 8):
            rows += [(t, "HOLD.c", {"m": m}, k * m) for m in (0.5, 8.0)] + [(t, "HOLD.share", {"m": 3.0}, share)]
    return rows


def investment(p):
    """Hayashi (1982): V = v + q k with q = z + beta (1 - wear) q', and i = (beta q' - 1)/phi whatever the capital."""
    q, v, rows = p["scrap"], 0.0, []
    for t in range(19, -1, -1):
        i = (p["beta"] * q - 1) / p["phi"]
        v = -i - p["phi"] / 2 * i**2 + p["beta"] * (v + q * i)
        q = p["z"] + p["beta"] * (1 - p["wear"]) * q
        if t in (0, 10, 19):
            rows += [
                (t, "FIRM.i", {"k": 4.0}, i),
                (t, "FIRM.value", {"k": 2.0}, v + 2 * q),
                (t, "FIRM.marginal", {"k": 6.0}, q),
            ]
    return rows


def lumpy(p):
    """Every change of every stock of machines is tried, until nothing moves."""
    k = np.arange(13)
    d = k[None, :] - k[:, None]
    cost = np.where(d > 0, p["fixed"] + d, np.where(d < 0, p["fixed"] + p["resale"] * d, 0.0))
    flow = (p["z_vals"][:, None] * k ** p["alpha"])[:, None, :] - cost

    def worth(v):
        worn = (1 - p["wear"]) * v + p["wear"] * v[:, np.maximum(k - 1, 0)]
        return flow + p["beta"] * (p["Pi"] @ worn)[:, None, :]

    value = settled(lambda v: worth(v).max(axis=2), np.zeros((3, 13)))
    change = worth(value).argmax(axis=2) - k
    assert (change == 0).any() and (change > 1).any() and (change < 0).any(), "inaction, and jumps both ways"
    at = [(z, n) for z in range(3) for n in (0, 2, 5, 9, 12)]
    rows = [(0, "PLANT.value", {"k": float(n), "z": p["z_vals"][z]}, value[z, n]) for z, n in at]
    return rows + [(0, "PLANT.d", {"k": float(n), "z": p["z_vals"][z]}, float(change[z, n])) for z, n in at]


def mortgage(p):
    """Backward over all prices: to keep, to sell or to walk away."""
    later, rows, waits, leaves = p["p_vals"], [], False, False
    for t in range(14, -1, -1):
        keep, sell = p["rent"] - p["pay"] + p["beta"] * later, p["p_vals"] - p["owed"][t]
        leave = np.full(5, -p["stain"])
        value = np.maximum(np.maximum(keep, sell), leave)
        waits, leaves = waits or ((sell < 0) & (value == keep)).any(), leaves or (value == leave).any()
        if t in (0, 5, 10, 14):
            rows += [(t, "OWN.value", {"p": x}, v) for x, v in zip(p["p_vals"], value, strict=True)]
            rows += [(t, "OWN.leave", {"p": x}, float(v == -p["stain"])) for x, v in zip(p["p_vals"], value, strict=True)]
        later = p["Pi"] @ value
    assert waits and leaves, "who owes more than the house is worth waits here, and walks away there"
    return rows


def benefits(p):
    """Every effort at every number of weeks left, until nothing moves; a job lasts for ever."""
    left, e = np.arange(13), np.arange(9)
    found = 1 - np.exp(-p["speed"] * e)
    flow = (p["home"] + np.where(left > 0, p["benefit"], 0.0))[:, None] - p["toil"] * e**2
    hired = p["wage"] / (1 - p["beta"])
    worth = lambda v: flow + p["beta"] * (found * hired + (1 - found) * v[np.maximum(left - 1, 0)][:, None])
    value = settled(lambda v: worth(v).max(axis=1), np.zeros(13))
    effort = worth(value).argmax(axis=1)
    assert effort[0] > effort[12], "who has none left looks harder"
    rows = [(0, "LOOK.value", {"left": float(k)}, value[k]) for k in (0, 1, 6, 12)]
    return rows + [(0, "LOOK.e", {"left": float(k)}, float(effort[k])) for k in (0, 3, 12)]


def recursive(p):
    """V = k m: c/(m - c) = ((1 - beta)/(beta (k' CE)^rho))^psi with rho = 1 - 1/psi, CE = (E R^(1-gamma))^(1/(1-gamma))."""
    (R, w), beta, psi, rows = lognormal(p["mean"], p["sigma"], 5), p["beta"], p["psi"], []
    rho, certain = 1 - 1 / psi, (R ** (1 - p["gamma"]) @ w) ** (1 / (1 - p["gamma"]))
    ahead = (1 - beta) ** (1 / rho)
    for t in range(7, -1, -1):
        odds = ((1 - beta) / (beta * ahead**rho)) ** psi
        share = odds / (1 + odds)
        k = ((1 - beta) * share**rho + beta * (ahead * (1 - share)) ** rho) ** (1 / rho)
        if t in (0, 3, 7):
            rows += [(t, "LIVE.c", {"m": m}, share * m) for m in (1.0, 8.0)] + [(t, "LIVE.value", {"m": 4.0}, 4 * k)]
        ahead = k * certain
    return rows


def huggett(p):
    """The Euler equation by bisection on savings at fixed cash, until nothing moves."""
    e, cash = p["e_vals"], p["limit"] + 16 * np.linspace(0.0, 1.0, 400) ** 2 + p["e_vals"].min() * 0.9
    room = cash - p["limit"]

    def better(c):
        def later(z, a):
            after = np.stack([np.interp(p["R"] * (a + p["limit"]) + e[k], cash, c[k]) for k in range(2)])
            return p["beta"] * p["R"] * p["Pi"][z] @ after ** -p["gamma"]

        return np.stack([eaten(room, lambda x: x ** -p["gamma"], lambda a, z=z: later(z, a)) for z in range(2)])

    c = np.stack([room, room])
    for _ in range(60):
        c = better(c)
    at = [(z, m) for z in range(2) for m in (-0.3, 0.5, 2.0, 6.0)]
    return [(0, "LIVE.c", {"m": m, "e": e[z]}, float(np.interp(m, cash, c[z]))) for z, m in at]


def plans(p):
    """A logit of three plans, given the last one and the bills, iterated until nothing moves."""
    d, last, bills = np.arange(3), np.arange(3)[:, None, None], p["bills"][None, :, None]
    flow = -p["premium"] * d - (1 - p["cover"] * d) * bills - p["hassle"] * (d != last)
    worth = lambda v: (flow + p["beta"] * (v @ p["Pi"].T).T[None]) / p["sigma_v"]

    def joined(v):
        q = worth(v)
        return p["sigma_v"] * (q.max(axis=2) + np.log(np.exp(q - q.max(axis=2, keepdims=True)).sum(axis=2)))

    value = settled(joined, np.zeros((3, 2)))
    odds = np.exp(worth(value) - value[..., None] / p["sigma_v"])
    at = [(k, h) for k in (0, 2) for h in (0, 1)]
    rows = [(0, "YEAR.value", {"plan": float(k), "b": p["bills"][h]}, value[k, h]) for k, h in at]
    return rows + [(0, "YEAR.d[2]", {"plan": float(k), "b": p["bills"][h]}, odds[k, h, 2]) for k, h in at]


def patent(p):
    """Backward over all returns: renewed where they and what may come of them are worth the fee."""
    later, rows = np.zeros(5), []
    for t in range(16, -1, -1):
        renew = p["r_vals"] - p["fee"][t] + p["beta"] * later
        if t in (0, 6, 12, 16):
            rows += [(t, "HELD.value", {"r": r}, max(v, 0.0)) for r, v in zip(p["r_vals"], renew, strict=True)]
            rows += [(t, "HELD.renew", {"r": r}, float(v > 0)) for r, v in zip(p["r_vals"], renew, strict=True)]
        later = p["Pi"] @ np.maximum(renew, 0.0)
    return rows
