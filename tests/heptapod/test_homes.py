"""One room says whose grid a state has; how a stage is solved, the checks of sets and the mass of a distribution ask there."""

import pytest

import heptapod

SET = {"values": [0, 1]}
OWNERS = {
    "its own": ("k_nxt = d", {"k_nxt": SET}, {"k": SET}),
    "a discrete control's": ("k_nxt = d", {}, {"k": SET}),
    "a decision state's": ("k_nxt = k", {}, {"k": SET}),
    "an arrival state's": ("k_nxt = k", {}, {}),
}


def model(transition, at_end, at_decision, arrival=SET):
    """A saver with a contract `k`, found by search."""
    spaces = {
        "arvl": {"dimensions": ["a", "k"], "grid": {"k": arrival}},
        "dcsn": {"dimensions": ["m", "k"], "grid": {"m": {"min": 0.5, "max": 12.0, "points": 8}, **at_decision}},
        "cntn": {"dimensions": ["a_nxt", "k_nxt"], "grid": {"a_nxt": {"min": 0.0, "max": 10.0, "points": 8}, **at_end}},
    }
    functions = {
        "g_av": "m = 1.02*a + 1",
        "g_ve": f"a_nxt = m - c - 0.2*d\n{transition}",
        "Q": "log(c) + 0.3*k + beta*V[>]",
    }
    math = {"functions": functions, "controls": {"c": "0 < c <= m - 0.2*d", "d": {"in": [0, 1]}}, "state_space": spaces}
    link = {"source": "S", "target": "S", "mapping": {"a_nxt": "a", "k_nxt": "k"}}
    main = {"name": "X", "horizon": 3, "terminal": "log(1.02*a + 1)", "connections": {"inter_period": [link]}}
    stage = {"name": "S", "parameters": {"beta": 0.95}, "methods": {"solution": "vfi"}, "math": math}
    return {"model": main, "stage": stage}


@pytest.mark.parametrize("owner", OWNERS)
def test_the_search_keeps_a_post_state_on_the_grid_of_its_owner(owner):
    """A control's set is the set of the post-state that it becomes, as the check of connections has it."""
    structure = heptapod.load(model(*OWNERS[owner])).structure
    grids = dict(structure.stage("S").solution.post_grids)
    assert grids["k_nxt"].discrete and [f.tree for f in grids["k_nxt"].values] == [("num", 0, 1), ("num", 1, 1)]
    assert structure.homes["S"]["k"][2] == grids["k_nxt"]


# That of an arrival state is the one set of both ends.
@pytest.mark.parametrize("owner", [owner for owner in OWNERS if owner != "an arrival state's"])
def test_the_check_of_sets_asks_the_same_owner(owner):
    """Households that leave with 0 or 1 cannot enter where the set is {0, 2}."""
    transition, at_end, at_decision = OWNERS[owner]
    with pytest.raises(heptapod.ModelError, match="two different sets: 0, 1 and 0, 2"):
        heptapod.load(model(transition, at_end, at_decision, arrival={"values": [0, 2]}))
