"""What a model of several stages says: its stages, connections, kinds of period, scopes and sets, in numbers."""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import heptapod
from heptapod.formulas.freeze import thaw
from heptapod.reports.explain import written

sys.path.insert(0, str(Path(__file__).parent))
import structures as models


def seen(spec, stage: str, t: int = 0) -> dict:
    """Every value that the equations of a stage may read in a period, at the calibration."""
    leaves = lambda scopes: {s: {n: jnp.asarray(v) for n, v in group.items()} for s, group in scopes.items()}
    return spec.structure.environment(stage, leaves(spec.parameters), leaves(spec.settings), jnp.asarray(t))


def link(spec, source: str, target: str, branch: str = ""):
    return next(x for x in spec.structure.links if (x.source, x.branch, x.target) == (source, branch, target))


def says(formula) -> str:
    return written(thaw(formula))


@pytest.fixture(scope="module")
def ages():
    return heptapod.load(models.AGES)


@pytest.fixture(scope="module")
def health():
    return heptapod.load(models.HEALTH)


@pytest.fixture(scope="module")
def movers():
    return heptapod.load(models.MOVERS)


# Periods.


def test_a_range_of_periods_makes_kinds_of_period(ages):
    blocks = ages.structure.blocks
    assert [(b.first, b.last, b.stages) for b in blocks] == [(0, 1, ("WORK",)), (2, 2, ("WORK",)), (3, 5, ("REST",))]
    assert [b.following(b.stages[0], "").target for b in blocks] == ["WORK", "REST", "REST"]
    assert [ages.structure.block(t).first for t in range(6)] == [0, 0, 2, 3, 3, 3]
    assert [link(ages, "WORK", "REST").holds(t) for t in (1, 2, 3)] == [False, True, False]


def test_the_terminal_value_stands_where_households_arrive_after_the_last_period(ages):
    assert ages.stages["WORK"].num.terminal is None
    terminal = ages.stages["REST"].num.terminal
    assert float(terminal(seen(ages, "REST", 6), jnp.asarray(2.0))) == pytest.approx(np.log(1.02 * 2 + 1))


def test_by_age_values_hold_until_the_next_age(ages):
    assert [float(seen(ages, "WORK", t)["w"]) for t in (0, 1, 2, 5)] == [1.0, 1.0, 0.8, 0.8]
    assert float(seen(ages, "WORK", 3)["age"]) == 63


def test_who_lives_on_is_said_of_a_connection(ages):
    survival = link(ages, "REST", "REST").survival
    assert float(survival(seen(ages, "REST"))) == 0.9 and link(ages, "WORK", "REST").survival is None


def test_a_period_may_hold_several_stages_and_an_absorbing_one():
    spec = heptapod.load(models.shared("ret_choice"))
    (block,) = spec.structure.blocks
    assert block.stages == ("LABR", "WORK", "RETD") and spec.structure.starts == ("LABR",)
    assert block.following("LABR", "retire").target == block.following("RETD", "").target == "RETD"
    assert [x.crosses for x in spec.structure.links] == [False, False, True, True]
    assert spec.stages["LABR"].num.terminal is not None and spec.stages["WORK"].num.terminal is None


def test_the_stages_of_a_period_come_in_forward_order_whatever_the_file_says(health):
    text = models.HEALTH
    head, luck, rest = text.partition("  LUCK:\n    kind")
    turned = heptapod.load(head + rest[rest.index("  BUY:") :] + luck + rest[: rest.index("  BUY:")])
    assert list(turned.stages) == ["BUY", "CONS", "LUCK"]
    assert turned.structure.blocks[0].stages == health.structure.blocks[0].stages == ("LUCK", "BUY", "CONS")
    assert turned.structure.starts == ("LUCK",)


def test_an_infinite_horizon_is_one_period_that_leads_to_itself(health):
    assert health.structure.horizon is None and len(health.structure.blocks) == 1
    assert {x.end for x in health.structure.links if x.crosses} == {"CONS"}


def test_where_households_begin_may_be_one_stage_or_several(ages):
    several = models.AGES.replace("  horizon: 6", "  start: [WORK, REST]\n  horizon: 6").replace(", periods: 3..,", ",")
    assert heptapod.load(several).structure.starts == ("WORK", "REST")
    assert ages.structure.starts == ("WORK",)


def test_one_stage_leads_to_itself_where_no_connection_is_written():
    text = models.MOVERS
    spec = heptapod.load(text)
    (only,) = spec.structure.links
    assert (only.source, only.target, only.mapping, only.crosses) == ("CONS", "CONS", (("a", "a"),), True)


# Connections.


def test_names_are_renamed_carried_and_set(health):
    ill, well = link(health, "LUCK", "BUY", "ill"), link(health, "LUCK", "BUY", "well")
    assert dict(ill.mapping) == {"a": "a", "D": "D"} and dict(well.mapping) == {"a": "a", "h": "h", "D": "D"}
    assert [(n, float(f({"t": 0.0}))) for n, f in ill.constants] == [("h", 0.0)] and well.constants == ()
    assert dict(link(health, "CONS", "LUCK").mapping) == {"b": "a", "D": "D_last"}


def test_a_number_in_a_mapping_is_read_as_a_constant_with_a_note():
    spec = heptapod.load(models.shared("housing"))
    assert [(d.severity, d.code) for d in spec.diagnostics] == [("note", "older")]
    assert [n for n, _ in link(spec, "RNTC", "TENU").constants] == ["H"]
    clean = heptapod.load(models.shared("housing").replace("y: y_pre, H: 0}}", "y: y_pre}, set: {H: 0}}"))
    assert clean.diagnostics == () and clean.structure == spec.structure


def test_what_nobody_takes_is_dropped_with_a_note():
    text = models.HEALTH.replace('dimensions: ["b", "D"]', 'dimensions: ["b", "D", "c"]')
    text = text.replace('"c"], grid: {b:', '"c"], grid: {c: {min: 0, max: 9, points: 5}, b:')
    (note,) = heptapod.load(text).diagnostics
    assert (note.severity, note.code) == ("note", "dropped") and "`c` of CONS.cntn ends here" in note.message


# Branches, sets and conditions.


def test_nature_draws_branches_with_probabilities_of_the_state(health):
    num = health.stages["LUCK"].num
    assert (num.choice.by, num.method) == ("nature", "choice")
    values = {"a[~]": jnp.asarray(1.0), **seen(health, "LUCK")}
    assert {n: float(f(values)) for n, f in num.choice.probs} == pytest.approx({"ill": 0.1, "well": 0.9})


def test_a_branch_carries_what_it_does_not_write(health):
    moves = health.stages["LUCK"].num.branch("well").to_continuation
    got = moves(seen(health, "LUCK"), {"a": jnp.asarray(3.0), "D_last": jnp.asarray(2.0)})
    assert {n: float(v) for n, v in got.items()} == {"a": 3.0, "h": 1.0, "D": 2.0}
    ill = health.stages["LUCK"].num.branch("ill").to_continuation
    assert float(ill(seen(health, "LUCK"), {"a": jnp.asarray(3.0), "D_last": jnp.asarray(2.0)})["a"]) == pytest.approx(2.7)


def test_two_branches_may_share_a_target(health):
    assert {x.target for x in health.structure.links if x.source == "LUCK"} == {"BUY"}


def test_a_discrete_control_has_its_set_and_conditions(health):
    num = health.stages["BUY"].num
    ((name, grid),) = num.discrete
    assert name == "D_new" and grid.discrete and np.allclose(grid.build(seen(health, "BUY")), [0, 1, 2])
    (branch,) = num.branches
    conditions = dict(branch.conditions)
    assert set(conditions) == {"solvent", "growing"}
    at = lambda a, d, new: {"a[>]": a, "D[~]": d, "D_new": new}
    assert bool(conditions["solvent"](at(0.0, 1, 1))) and not bool(conditions["solvent"](at(-0.1, 1, 1)))
    assert not bool(conditions["growing"](at(0.0, 2, 1)))


def test_a_set_may_be_a_range_of_integers(health):
    grid = health.stages["BUY"].num.grid("arvl", "h")
    assert grid.discrete and np.array_equal(grid.build(seen(health, "BUY")), [0.0, 1.0])


def test_when_and_taste_shocks_are_read():
    spec = heptapod.load(models.shared("mortgage_mon"))
    num = spec.stages["REFI"].num
    assert says(num.choice.scale) == "0.02" or float(num.choice.scale({"t": 0.0})) == 0.02
    assert [label for label, _ in num.branch("refi").conditions] == ["when"] and num.branch("keep").conditions == ()
    ((_, when),) = num.branch("refi").conditions
    assert bool(when({"m[~]": 0.05, "f": 0.04})) and not bool(when({"m[~]": 0.03, "f": 0.04}))
    labr = heptapod.load(models.shared("ret_choice")).stages["LABR"].num
    assert says(labr.choice.scale) == "sigma_eps" and labr.choice.by == "agent"


def test_constraints_of_the_stage_hold_in_every_branch_and_those_of_a_branch_in_it_alone():
    text = models.shared("ret_choice").replace(
        'retire: {g_ve: a = a, Q: "V[>]"}',
        'retire: {g_ve: a = a, Q: "V[>]", constraints: {rich: a > 1}}\n      constraints: {sane: "a >= 0"}',
    )
    num = heptapod.load(text).stages["LABR"].num
    assert {b.name: [n for n, _ in b.conditions] for b in num.branches} == {"work": ["sane"], "retire": ["sane", "rich"]}


def test_nodes_of_a_shock_of_another_stage_are_the_rows_of_this_one():
    spec = heptapod.load(models.shared("mortgage_mon"))
    rows = dict(spec.stages["CONS"].num.solution.passive)
    own, other = seen(spec, "REFI"), seen(spec, "CONS")
    nodes = spec.stages["REFI"].num.shocks[0].nodes(own)[0]["r_new"]
    assert np.allclose(rows["i"].build(other), nodes) and np.allclose(rows["r"].build(other), nodes)
    assert float(np.mean(nodes)) == pytest.approx(0.04)
    tagged = heptapod.load(
        models.shared("mortgage_mon").replace("i: {nodes_of: policy}, r: {", "i: {nodes_of: REFI.policy}, r: {")
    )
    assert tagged.structure == spec.structure


def test_values_on_arrival_may_be_stored():
    text = models.shared("aiyagari").replace("z_pre: {nodes_of: labour}}}", "z_pre: {nodes_of: labour}}, tabulate: true}")
    assert dict(heptapod.load(text).stages["CONS"].num.spaces)["arvl"].tabulate
    assert not dict(heptapod.load(models.shared("aiyagari")).stages["CONS"].num.spaces)["arvl"].tabulate


def test_a_choice_downstream_calls_for_the_envelope_and_an_absorbing_stage_does_without():
    spec = heptapod.load(models.shared("ret_choice"))
    assert spec.stages["WORK"].num.solution.upper_envelope and "(LABR)" in spec.stages["WORK"].num.solution.reason
    assert not spec.stages["RETD"].num.solution.upper_envelope
    asked = models.shared("ret_choice").replace(
        "    settings: {n: [", "    methods: {upper_envelope: none}\n    settings: {n: [", 1
    )
    assert not heptapod.load(asked).stages["WORK"].num.solution.upper_envelope


# Scopes.


def test_brackets_are_references_to_one_owner(health):
    assert set(health.parameters["main"]) == {"R", "beta", "p", "D_vals", "cost"} and health.parameters["CONS"] == {}
    assert float(seen(health, "CONS")["R"]) == 1.02 and float(seen(health, "CONS")["top"]) == 10.0
    assert "cost" not in seen(health, "CONS") and "R" not in seen(health, "BUY")


def test_with_defaults_a_stage_sees_all_names_of_the_model_and_its_own_win(ages):
    assert {"R", "beta", "w", "n", "a_max"} <= set(seen(ages, "REST"))
    own = heptapod.load(models.AGES.replace("  REST:\n", "  REST:\n    parameters: {R: 1.5}\n"))
    assert float(seen(own, "REST")["R"]) == 1.5 and float(seen(own, "WORK")["R"]) == 1.02
    assert [(d.code, d.mark.text.strip()) for d in own.diagnostics] == [("shadowed", "parameters: {R: 1.5}")]


def test_a_mover_sees_its_own_parameters_and_where_it_inherits_its_stage_s(movers):
    num = movers.stages["CONS"].num
    values = seen(movers, "CONS")
    assert float(values["gamma"]) == 2.0 and float(values["cntn_to_dcsn.gamma"]) == 3.0
    assert float(values["arvl_to_dcsn.R"]) == 1.03
    (equation,) = [f for n, f in num.to_decision.equations if n == "m"]
    assert float(equation({**values, "a[<]": jnp.asarray(2.0)})) == pytest.approx(1.03 * 2 + 1)
    # u is a helper of the stage and keeps the stage's gamma = 2; the mover's own gamma = 3 is what Q adds.
    q = num.branches[0].objective
    at = {**values, "c": jnp.asarray(2.0), "V[>]": jnp.asarray(0.0)}
    assert float(q(at)) == pytest.approx(0.5 * (-1 / 2.0) + 3.0)


def test_without_inherit_a_mover_sees_its_own_names_only():
    text = models.MOVERS.replace("g_av: m = R*a + w", "g_av: m = R*a + w + gamma")
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(text)
    (found,) = caught.value.diagnostics
    assert found.code == "unknown-symbol" and found.mark.text[found.mark.column - 1 :].startswith("gamma}")
    fixed = heptapod.load(text.replace("    arvl_to_dcsn:\n", "    arvl_to_dcsn:\n      inherit: true\n"))
    assert not [d for d in fixed.diagnostics if d.severity == "error"]


@pytest.mark.parametrize("place", ["g_ve: a = m - c + b", "controls: {c: 0 < c <= m + b}", "terminal: b"])
def test_an_equation_of_the_stage_never_sees_a_mover_s_parameters(place):
    key = place.split(":")[0]
    line = next(x for x in models.MOVERS.splitlines() if x.strip().startswith(f"{key}:"))
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(models.MOVERS.replace(line.strip(), place))
    assert [d.code for d in caught.value.diagnostics] == ["unknown-symbol"]


def test_the_mover_has_the_last_word_on_the_method(movers):
    assert movers.stages["CONS"].methods == {"solution": "egm", "interp": "auto", "upper_envelope": "auto"}
    text = models.MOVERS.replace("  settings: {n: 10}\n", "  settings: {n: 10}\n  methods: {solution: vfi, interp: linear}\n")
    assert heptapod.load(text).stages["CONS"].methods == {"solution": "egm", "interp": "linear", "upper_envelope": "auto"}


def test_perch_tags_name_the_same_letters_on_three_perches():
    text = models.shared("housing")
    num = heptapod.load(text).stages["RNTH"].num
    ((_, solvent),) = num.branches[0].conditions
    assert solvent.names == {"w[~]", "P_r", "S"} or solvent.names == {"w[>]"}
    tagged = text.replace("g_ve: w = w - P_r*S", 'g_ve: "w[>] = w[~] - P_r*S"')
    assert heptapod.load(tagged).structure == heptapod.load(text).structure
    arrival = models.MOVERS.replace("g_av: m = R*a + w", '"g_av": "m[~] = R*a[<] + w"')
    assert heptapod.load(arrival).structure == heptapod.load(models.MOVERS).structure


def test_anchors_and_merges_are_expanded_and_own_keys_win():
    spec = heptapod.load(models.shared("ret_choice"))
    assert set(seen(spec, "RETD")) >= {"beta", "r", "n", "a_max"} and "w" not in seen(spec, "RETD")
    (_, work), (_, rest) = (dict(spec.stages[n].num.to_decision.equations).popitem() for n in ("WORK", "RETD"))
    values = {**seen(spec, "WORK"), "a[<]": jnp.asarray(1.0)}
    assert float(work(values)) - float(rest(values)) == 20.0
    # What is merged keeps the place where it is written.
    broken = models.shared("ret_choice").replace("controls: {c: 0 < c <= m}", "controls: {c: 0 < c <= mm}")
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(broken)
    assert {d.mark.line for d in caught.value.diagnostics} == {38}


def test_provenance_says_where_each_name_comes_from(health, movers):
    origin = health.stages["CONS"].provenance
    assert origin["R"].startswith('inherited from the model by ["R"]') and ":6)" in origin["R"]
    assert origin["top"].startswith('inherited from the model by ["a_max"]')
    assert "overridden in cntn_to_dcsn" in movers.stages["CONS"].provenance["gamma"]


def test_definitions_and_bounds_of_grids_are_arithmetic():
    spec = heptapod.load(models.shared("aiyagari"))
    values = seen(spec, "CONS")
    demand = (0.36 / (0.03 + 0.08)) ** (1 / 0.64)
    assert float(values["K_dem"]) == pytest.approx(demand)
    assert float(values["w"]) == pytest.approx(0.64 * demand**0.36)
    assert "K_dem" not in spec.parameters["main"]


# The whole economy.


def test_types_aggregates_and_markets_are_read():
    text = models.shared("aiyagari").replace(
        "  equilibrium:", "  types: {beta: [0.94, 0.97], weights: [0.3, 0.7]}\n  equilibrium:"
    )
    spec = heptapod.load(text)
    assert spec.types.paths == ("main.beta",) and np.allclose(spec.types.values[0], [0.94, 0.97])
    assert np.allclose(spec.types.weights, [0.3, 0.7])
    assert set(spec.aggregates) == {"A", "C"}
    ((path, (start, domain)),) = spec.equilibrium.unknowns.items()
    assert (path, start, str(domain)) == ("main.r", 0.03, "(-0.05, 0.04)")
    clear = spec.equilibrium.clear["capital"]
    assert clear.names == {"A", "K_dem"} and float(clear({"A": 5.0, "K_dem": 3.0})) == 2.0


def test_an_unknown_starts_at_its_calibration_where_nothing_is_said():
    text = models.shared("aiyagari").replace('r: {start: 0.03, in: "(-0.05, 0.04)"}', "r: {}")
    assert heptapod.load(text).equilibrium.unknowns == {"main.r": (0.03, None)}


def test_types_may_differ_in_a_parameter_of_one_stage():
    text = models.MOVERS.replace("  terminal: 0\n", "  terminal: 0\n  types: {CONS.gamma: [1.5, 2.5], weights: [0.5, 0.5]}\n")
    assert heptapod.load(text).types.paths == ("CONS.gamma",)


# Several files.


def test_one_file_may_be_imported_twice_under_two_names(tmp_path):
    spec = heptapod.load(models.folder(tmp_path, master=models.MASTER, stages__own=models.STAGE_FILE) / "master.yml")
    assert list(spec.stages) == ["YOUNG", "OLD"] and spec.structure.starts == ("YOUNG",)
    young, old = (spec.stages[n].num for n in ("YOUNG", "OLD"))
    assert young.to_decision == old.to_decision and young.name != old.name
    assert [(b.first, b.last, b.stages) for b in spec.structure.blocks] == [
        (0, 0, ("YOUNG",)), (1, 1, ("YOUNG",)), (2, 3, ("OLD",))
    ]  # fmt: skip


def test_imports_say_what_the_same_stages_inline_say(tmp_path):
    models.folder(tmp_path, master=models.MASTER, stages__own=models.STAGE_FILE)
    body = "\n".join(models.STAGE_FILE.splitlines()[2:])
    inline = (
        models.MASTER[: models.MASTER.index("imports:")] + f"stages:\n  YOUNG:\n  {body.replace(chr(10), chr(10) + '  ')}\n"
    )
    inline += f"  OLD:\n  {body.replace(chr(10), chr(10) + '  ')}\n"
    assert heptapod.load(inline).structure == heptapod.load(tmp_path / "master.yml").structure


def test_a_folder_is_a_master_file_connections_and_stages(tmp_path):
    head, _, rest = models.MASTER.partition("  connections:\n")
    connections = "connections:\n" + rest[: rest.index("imports:")].replace("\n    ", "\n  ").removeprefix("  ")
    old = models.STAGE_FILE.replace("OWN", "OLD")
    young = old.replace("OLD", "YOUNG").removeprefix("stage:\n").replace("\n  ", "\n").removeprefix("  ")
    models.folder(tmp_path, master=head, connections=connections, stages__old=old, stages__young=young)
    spec = heptapod.load(tmp_path)
    models.folder(tmp_path / "other", master=models.MASTER, stages__own=models.STAGE_FILE)
    other = heptapod.load(tmp_path / "other")
    assert set(spec.stages) == {"YOUNG", "OLD"} and spec.structure.links == other.structure.links
    assert spec.structure.blocks[0].stages == ("YOUNG",) and spec.diagnostics == ()


def test_a_stage_beside_imports_is_one_of_them(tmp_path):
    own = models.STAGE_FILE.replace("OWN", "YOUNG")
    text = models.MASTER.replace("  - {file: stages/own.yml, alias: YOUNG}\n", "") + own
    models.folder(tmp_path, master=text, stages__own=models.STAGE_FILE)
    assert set(heptapod.load(tmp_path / "master.yml").stages) == {"YOUNG", "OLD"}


def test_one_stage_of_a_file_with_several_is_taken_by_name(tmp_path):
    several = "stages:\n" + models.CONS.format(name="A", income="w") + models.CONS.format(name="B", income="2*w")
    text = models.MASTER.replace("stages/own.yml, alias", "two.yml, stage: A, alias", 1)
    text = text.replace("stages/own.yml, alias", "two.yml, stage: B, alias").replace(
        "  connections:", "  defaults: {inherit: all}\n  connections:"
    )
    spec = heptapod.load(models.folder(tmp_path, main=text, two=several) / "main.yml")
    ((_, income),) = spec.stages["OLD"].num.to_decision.equations
    assert float(income({**seen(spec, "OLD"), "a[<]": jnp.asarray(0.0)})) == 2.0


@pytest.mark.parametrize("part", ["stages__own", "master", "connections"])
def test_a_mark_points_into_the_file_where_the_mistake_stands(tmp_path, part):
    head, _, rest = models.MASTER.partition("  connections:\n")
    connections = "connections:\n" + rest[: rest.index("imports:")].replace("\n    ", "\n  ").removeprefix("  ")
    files = {
        "master": head + models.MASTER[models.MASTER.index("imports:") :],
        "connections": connections,
        "stages__own": models.STAGE_FILE,
    }
    old, new = {
        "stages__own": ("R*a + w", "R*a + ww"),
        "master": ("w: 1.0", "w: 1.0 +"),
        "connections": ("b: a}, periods: 1", "b: aa}, periods: 1"),
    }[part]
    files[part] = files[part].replace(old, new)
    models.folder(tmp_path, **files)
    with pytest.raises(heptapod.ModelError) as caught:
        heptapod.load(tmp_path)
    found = caught.value.diagnostics
    line = next(i for i, x in enumerate(files[part].splitlines(), 1) if new in x)
    assert {(d.mark.file, d.mark.line) for d in found} == {(part.rpartition("__")[2] + ".yml", line)}, str(caught.value)
    assert all(d.mark.text == files[part].splitlines()[line - 1] for d in found)
