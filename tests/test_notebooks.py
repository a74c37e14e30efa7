"""Notebooks run from top to bottom, are stored without outputs, and say of their models what NumPy alone says of them."""

import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import nbformat
import numpy as np
import pytest

import stagecraft as sc

sys.path.insert(0, str(Path(__file__).parent / "gallery"))
import searches
from oracles import settled
from referee import lognormal
from scores import parameters_of

matplotlib.use("Agg")
sc.enable_x64()
ROOT = Path(__file__).parents[1]
BOOKS = {path.stem: path for path in sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))}


def cells(name: str, kind: str) -> list[str]:
    """The text of the cells of one kind."""
    return [cell.source for cell in nbformat.read(BOOKS[name], 4).cells if cell.cell_type == kind]


@pytest.mark.parametrize("name", BOOKS)
def test_a_notebook_is_small_is_prose_and_holds_no_outputs(name):
    book = nbformat.read(BOOKS[name], 4)
    nbformat.validate(book)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in book.cells if cell.cell_type == "code")
    prose, code = cells(name, "markdown"), cells(name, "code")
    assert prose[0].startswith("# ") and "Run the cells" in prose[0]
    assert len(prose) >= 4 and sum(len(text.splitlines()) for text in code) <= 110
    assert "stagecraft" in code[0] and not re.search(r"^[!%]", "\n".join(code), flags=re.M)


def test_every_notebook_has_its_page():
    page = (ROOT / "docs" / "notebooks.md").read_text()
    assert sorted(re.findall(r"\(notebooks/(\w+)\.ipynb\)", page)) == list(BOOKS) and "<!-- pages notebooks -->" in page
    for name, title in re.findall(r"\[([^]]+)\]\(notebooks/(\w+)\.ipynb\)", page):
        assert cells(title, "markdown")[0].startswith(f"# {name}\n")


def run(name: str) -> dict:
    """What a notebook leaves, all of its cells run in order in this process; pictures are closed."""
    from matplotlib import pyplot as plt

    module = type(sys)(f"notebook_{name}")
    sys.modules[module.__name__] = module  # A dataclass looks for its module by name.
    try:
        for number, text in enumerate(cells(name, "code")):
            exec(compile(text, f"{name}.ipynb, cell {number}", "exec"), module.__dict__)
    finally:
        plt.close("all")
        del sys.modules[module.__name__]
    return module.__dict__


@pytest.mark.slow
def test_the_quick_start_has_the_derivative_of_central_differences():
    left = run("quick_start")
    mean = lambda beta: left["savings_at_45"]({"main": {"beta": beta}})
    assert left["gradient"]["beta"] == pytest.approx(float(mean(0.96 + 1e-5) - mean(0.96 - 1e-5)) / 2e-5, rel=1e-4)
    assert (left["panel"]["a_nxt"] >= 0).all() and float(left["panel"]["a_nxt"][-1].max()) == 0


@pytest.mark.slow
def test_the_last_year_of_retirement_has_its_threshold():
    """In the last year all is eaten, so work pays where log((1+r)a + w) - log((1+r)a) > delta."""
    left = run("retirement")
    p = parameters_of(left["circuit"])
    threshold = p["w"] / (1 + p["r"]) / (np.exp(p["delta"]) - 1)
    odds = left["hard"][19]["LABR"].dcsn.sol.probability["work"](a=threshold + np.array([-1e-3, 1e-3]))
    np.testing.assert_array_equal(odds, [1.0, 0.0])
    assert (np.diff(left["at_work"]) <= 1e-12).all() and left["at_work"][0] == 1


@pytest.mark.slow
def test_houses_are_chosen_as_by_a_search():
    left = run("housing")
    last = {29: 11, 28: 10}  # A shorter life, whose last two years are those of the file.
    for t, what, at, expected in searches.house(parameters_of(left["circuit"])):
        stage, _, name = what.partition(".")
        sol = left["solved"][last[t]][stage].dcsn.sol
        found = sol.value(**at) if name == "value" else sol.probability[name](**at)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_last_hour_pays_what_it_costs():
    """psi n^phi = c^-gamma (1 - tau) lam w^(1-tau) n^-tau, in the budget that the file has."""
    left = run("labour")
    for panel, tau in ((left["panel"], 0.18), (left["other"], 0.0)):
        n, c, m, after = (np.asarray(panel[name])[:, 0] for name in ("n", "c", "m", "a_nxt"))
        wage = parameters_of(left["circuit"])["wage"]
        np.testing.assert_allclose(6 * n**2, c**-2.0 * (1 - tau) * 0.9 * wage ** (1 - tau) * n**-tau, rtol=1e-6)
        np.testing.assert_allclose(after, m + 0.9 * (wage * n) ** (1 - tau) - c, atol=1e-9)
    assert (left["other"]["n"] > left["panel"]["n"]).all()


@pytest.mark.slow
def test_firms_invest_as_in_value_iteration():
    left = run("firms")
    p = parameters_of(left["circuit"])
    size, i = p["big"] * (1 - p["delta"]) ** np.arange(25), np.arange(25)
    cost = size[None, :] - (1 - p["delta"]) * size[:, None]
    cost = cost + p["fixed"] * (i[None, :] != np.minimum(i[:, None] + 1, 24))
    flow = p["z_vals"][:, None, None] * size[None, :, None] ** p["alpha"] - cost
    worth = lambda v: flow + p["beta"] * (p["Pi"] @ v)[:, None, :]
    value = settled(lambda v: worth(v).max(axis=2), np.zeros((3, 25)))
    for k, z in enumerate(p["z_vals"]):
        sol = left["solved"][0]["FIRM"].dcsn.sol
        np.testing.assert_allclose(sol.value(i=i, z=z), value[k], rtol=1e-8)
        np.testing.assert_array_equal(sol.policy["j"](i=i, z=z), worth(value)[k].argmax(axis=1))


@pytest.mark.slow
def test_whoever_has_no_wage_holds_the_share_of_samuelson():
    """The share maximises E[R_p^(1-gamma)]/(1-gamma) of the portfolio, at any age and wealth."""
    left = run("portfolio")
    p = parameters_of(left["circuit"])
    returns, weights = lognormal(p["R_f"] + p["premium"], p["sigma_r"], 7)
    shares = np.linspace(0.0, 1.0, 100_001)[:, None]
    worth = (p["R_f"] + shares * (returns - p["R_f"])) ** (1 - p["gamma"]) / (1 - p["gamma"]) @ weights
    found = [left["merton"][t]["PORT"].dcsn.sol.policy["share"](m=jnp.array([1.0, 5.0, 20.0])) for t in (0, 30, 58)]
    np.testing.assert_allclose(found, shares[worth.argmax(), 0], atol=2e-4)


@pytest.mark.slow
def test_the_buses_have_the_published_estimates():
    """Rust (1987), group 4, linear cost."""
    fit = run("estimation")["fit"]
    assert fit.parameters == pytest.approx({"main.RC": 10.0749422, "main.theta": 2.29309298}, rel=1e-4)
    assert fit.loglik == pytest.approx(-163.584, abs=1e-3) and fit.converged


@pytest.mark.slow
def test_a_sweep_tells_what_single_solves_tell():
    left = run("sweep")
    draws = left["draws"]
    assert (draws["status"] == "ok").all() and len(draws) == 64
    for _, row in draws.head(3).iterrows():
        circuit = sc.load(ROOT / "examples" / "gallery" / "robust.yml")
        solved = sc.solve(circuit.with_parameters({name: row[name] for name in ("main.beta", "main.theta")}))
        assert row["saved"] == pytest.approx(1 - float(solved[0]["SAVE"].dcsn.sol.policy["c"](m=2.0)) / 2, rel=1e-8)


@pytest.mark.slow
def test_the_horse_of_a_notebook_finds_what_ours_finds():
    """It may only look at shares a thousandth apart, so it is never better, and nearly as good."""
    left = run("own_horse")
    ours, own = (left[name][0]["SAVE"].dcsn.sol.value(m=left["m"]["m"]) for name in ("ours", "own"))
    assert left["own"][0]["SAVE"].num.method == "shares" and float(left["gap"].max()) < 0.02
    assert (own <= ours + 1e-6).all() and (own >= ours - 0.03).all()


def test_a_cell_that_comes_too_early_says_what_to_call_first():
    circuit = sc.load(ROOT / "examples" / "gallery" / "asset_price.yml")
    solved = sc.solve(circuit)
    sol = circuit[0]["TREE"].dcsn.sol
    calls = [
        lambda: circuit.plot("TREE.value"), lambda: circuit[0]["TREE"].plot(), lambda: circuit.stage("TREE"),
        lambda: solved.compare(circuit, "TREE.value"), lambda: sc.stationary(circuit), lambda: sc.euler_errors(circuit),
        lambda: sc.simulate(circuit, {"d_pre": 1.0}, key=jax.random.key(0)), lambda: sc.push_forward(circuit, {"d_pre": 1.0}),
        lambda: sol.value(d=1.0), lambda: sol.policy["c"](d=1.0), lambda: sol.at(d=1.0),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises((ValueError, AttributeError), match=r"not solved.*(stagecraft|sc)\.solve"):
            call()
    for call in (lambda: solved.plot("TREE.d", kind="density"), lambda: solved[0]["TREE"].dcsn.dist.mean("d")):
        with pytest.raises((ValueError, AttributeError), match=r"no households yet.*sc\.push_forward"):
            call()
