"""The toy model of the package dcegm, solved by it and by us: its solution as a fixture, and what either costs.

Run with dcegm, pandas and this package installed, in an environment of its own; alone it times ours only:
python benchmarks/dcegm_toy.py [tests/theory/fixtures/dcegm_toy.json]
"""

import importlib.util
import json
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from timing import best

import stagecraft as sc

MODEL = Path(__file__).parents[1] / "tests" / "theory" / "fixtures" / "dcegm_toy.yml"
PERIODS = (0, 5, 12, 20, 23)
CASH = np.concatenate([np.linspace(0.05, 4.0, 40), np.linspace(4.5, 49.0, 60)])


def peer():
    """dcegm's own model, parameters, grid and functions."""
    import dcegm.toy_models.cons_ret_model_dcegm_paper as toy
    from dcegm.interfaces.model_class import setup_model

    model = setup_model(
        model_config=toy.example_model_config_ret_model_with_shocks(),
        model_specs=toy.example_model_specs_ret_model_with_shocks(),
        utility_functions=toy.create_utility_function_dict(),
        utility_functions_final_period=toy.create_final_period_utility_function_dict(),
        budget_constraint=toy.budget_constraint,
        state_space_functions=toy.create_state_space_function_dict(),
    )
    return model, toy.example_params_ret_model_with_shocks()


def asked(period: int, retired: int, choice: int, cash) -> dict:
    """States and choices as dcegm wants them."""
    full = lambda x: np.full(np.shape(cash), x)
    states = {"period": full(period), "lagged_choice": full(retired), "assets_begin_of_period": cash}
    return {"states": states, "choices": full(choice)}


def write(path: str) -> None:
    """Policies, values and probabilities at a few ages."""
    model, params = peer()
    solved, found = model.get_solve_func()(params), {"m": CASH.tolist()}
    for t in PERIODS:
        for stage, retired in (("WORK", 0), ("RETD", 1)):
            c, v = solved.policy_and_value_for_states_and_choices(**asked(t, retired, retired, CASH))
            found[f"{stage} {t}"] = {"c": np.asarray(c).tolist(), "value": np.asarray(v).tolist()}
        chances = solved.choice_probabilities_for_states(asked(t, 0, 0, CASH)["states"])
        found[f"LABR {t}"] = {"work": np.asarray(chances)[:, 0].tolist()}
    Path(path).write_text(json.dumps(found) + "\n")


def times(solve, value, params) -> dict:
    """Cold and warm solves, and the reverse gradient of one value."""
    cold, warm = best(lambda: solve(params), 1), best(lambda: solve(params), 20)
    gradient = jax.jit(jax.grad(value))
    cold_gradient = best(lambda: gradient(params), 1)
    warm_gradient = best(lambda: gradient(params), 10)
    spoilt = sum(int(not np.isfinite(np.asarray(x)).all()) for x in jax.tree.leaves(gradient(params)))
    return {
        "solve cold [s]": cold,
        "solve warm [ms]": 1e3 * warm,
        "gradient cold [s]": cold_gradient,
        "gradient warm [ms]": 1e3 * warm_gradient,
        "gradient / solve": warm_gradient / warm,
        "not finite": spoilt,
    }


def ours() -> dict:
    """This package's times, compiled anew."""
    jax.clear_caches()
    circuit = sc.load(MODEL)
    solved = lambda params: sc.solve(circuit.with_parameters(params))
    return times(lambda p: solved(p).stored, lambda p: solved(p)[0]["WORK"].dcsn.sol.value(m=10.0), circuit.parameters)


def theirs() -> dict:
    """dcegm's times, compiled anew."""
    jax.clear_caches()
    model, params = peer()
    solve, place = model.get_solve_func(), asked(0, 0, 0, np.array([10.0]))
    value = lambda p: solve(p).value_for_states_and_choices(**place).sum()
    return times(lambda p: solve(p).value, value, params)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    if len(sys.argv) > 1:
        write(sys.argv[1])
    makers = [ours, theirs] if importlib.util.find_spec("dcegm") else [ours]
    # Compile times are noisy: the best of three rounds, in turn.
    rounds = [pd.DataFrame([make() for make in makers]) for _ in range(3)]
    table = pd.concat(rounds).groupby(level=0).min()
    table.index = [make.__name__ for make in makers]
    table = table.astype(float)
    if len(makers) == 2:
        table.loc["ratio"] = table.loc["ours"] / table.loc["theirs"]
    print(table.to_string(float_format="{:.3g}".format))
