"""Pictures of a circuit: nothing overlaps, everything is there, and none of it needs a backend."""

import itertools
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import matplotlib
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from stagecraft.board.circuit_board import CircuitBoard
from stagecraft.board.draw import draw, mermaid, svg
from stagecraft.board.layout import arrange

matplotlib.use("Agg")

STAGE = (("arvl", "dcsn"), ("dcsn", "cntn"))


def board_of(pairs, groups=None):
    names = dict.fromkeys(name for pair in pairs for name in pair)
    return CircuitBoard(names, forward=pairs, backward=[(t, s) for s, t in pairs], groups=groups)


def period(branches):
    """A choice whose branches are stages that all lead to a last one."""
    pairs = [("CHOI.arvl", "CHOI.dcsn")]
    for branch in branches:
        pairs += [("CHOI.dcsn", f"CHOI.cntn.{branch}"), (f"CHOI.cntn.{branch}", f"{branch}.arvl")]
        pairs += [(f"{branch}.{s}", f"{branch}.{t}") for s, t in STAGE] + [(f"{branch}.cntn", "LAST.arvl")]
    pairs += [(f"LAST.{s}", f"LAST.{t}") for s, t in STAGE]
    return board_of(pairs, {name: name.split(".")[0] for pair in pairs for name in pair})


BOARDS = {
    "stage": board_of(STAGE),
    "chain": board_of([(f"perch {i}", f"perch {i + 1}") for i in range(14)] + [("perch 0", "perch 9")]),
    "period": period(["KEEP", "REFI", "SELL"]),
    "infinite": board_of([*STAGE, ("cntn", "arvl")], dict.fromkeys(("arvl", "dcsn", "cntn"), "CONS")),
    "loop": CircuitBoard("ab", forward=[("a", "b"), ("b", "b")], backward=[("b", "b", None, "back")]),
    "one": CircuitBoard(["alone"]),
}


@pytest.fixture(params=BOARDS)
def board(request):
    return BOARDS[request.param]


def test_no_two_perches_and_no_two_groups_overlap(board):
    layout = arrange(board)
    assert layout.perches.keys() == set(board.perches)
    for boxes in (layout.perches, layout.groups):
        for a, b in itertools.combinations(boxes.values(), 2):
            assert abs(a.x - b.x) >= (a.width + b.width) / 2 or abs(a.y - b.y) >= (a.height + b.height) / 2


def test_perches_lie_within_their_group():
    layout = arrange(BOARDS["period"])
    for name, box in layout.perches.items():
        group = layout.groups[name.split(".")[0]]
        assert abs(box.x - group.x) + box.width / 2 < group.width / 2
        assert abs(box.y - group.y) + box.height / 2 < group.height / 2


def test_forward_movers_lead_to_the_right_and_stay_above_their_transposes():
    layout = arrange(BOARDS["chain"])
    assert all(layout.perches[e.source].x < layout.perches[e.target].x for e in BOARDS["chain"].forward)
    for kind, _, (_, first, last, _) in layout.arcs:
        assert (first[1] < 0 and last[1] < 0) == (kind == "forward")


def test_a_drawing_shows_every_perch_and_both_directions(board):
    ax = draw(board)
    assert isinstance(ax, Axes)
    layout = arrange(board)
    boxes = [*layout.perches.values(), *layout.groups.values()]
    assert sorted(text.get_text() for text in ax.texts) == sorted(box.text for box in boxes)
    legend = ax.get_legend()
    assert (legend is None) == (not board.forward)
    if legend:
        assert [t.get_text() for t in legend.get_texts()] == ["forward: pushes dist", "backward: pulls sol"]
    plt.close(ax.figure)


def test_labels_stay_inside_their_boxes(board):
    ax = draw(board)
    ax.figure.canvas.draw()
    for box in arrange(board).perches.values():
        (text,) = [t for t in ax.texts if t.get_text() == box.text and t.get_position() == (box.x, box.y)]
        left, right = (ax.transData.transform((box.x + s * box.width / 2, box.y))[0] for s in (-1, 1))
        extent = text.get_window_extent()
        assert left < extent.x0 and extent.x1 < right
    plt.close(ax.figure)


def test_whatever_has_a_board_is_drawn_on_the_axes_given():
    figure, ax = plt.subplots()
    assert draw(SimpleNamespace(board=BOARDS["stage"]), ax) is ax
    plt.close(figure)
    with pytest.raises(ValueError, match="Expected a CircuitBoard"):
        mermaid("a stage")


def test_mermaid_of_a_branching_board():
    branching = CircuitBoard(
        ["L.dcsn", "L.cntn", 'the "end"'],
        forward=[("L.dcsn", "L.cntn"), ("L.cntn", 'the "end"', None, "leave #1")],
        backward=[("L.cntn", "L.dcsn")],
        groups={"L.dcsn": "L", "L.cntn": "L"},
    )
    assert mermaid(branching) == (
        "flowchart LR\n"
        '  subgraph g0 ["L"]\n'
        '    p0(["dcsn"])\n'
        '    p1(["cntn"])\n'
        "  end\n"
        '  p2(["the #quot;end#quot;"])\n'
        "  p0 --> p1\n"
        '  p1 -->|"leave #35;1"| p2\n'
        "  p1 -.-> p0\n"
    )


def test_svg_is_well_formed_and_complete(board):
    root = ET.fromstring(svg(board))
    space = "{http://www.w3.org/2000/svg}"
    texts = [node.text for node in root.iter(f"{space}text")]
    layout = arrange(board)
    assert sorted(texts) == sorted(box.text for box in (*layout.perches.values(), *layout.groups.values()))
    assert len(list(root.iter(f"{space}title"))) == len(board.forward) + len(board.backward)


def test_svg_escapes_what_xml_reserves():
    root = ET.fromstring(svg(CircuitBoard(["a<b & c", "d"], forward=[("a<b & c", "d")])))
    assert "a<b & c" in [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]


def test_svg_of_a_period_is_short():
    """A notebook keeps it in its file, once for every cell that shows it."""
    board = BOARDS["period"]
    things = len(board.forward) + len(board.backward) + len(list(arrange(board).perches))
    assert len(svg(board)) < 700 * things


def test_text_and_svg_start_no_backend_and_import_no_graph_library():
    # A platform that does not exist makes JAX raise as soon as anything asks for a backend.
    script = (
        "import sys\n"
        "from stagecraft.board.circuit_board import CircuitBoard\n"
        "from stagecraft.board.draw import mermaid, svg\n"
        "cycle = [('b', 'a'), ('a', 'b', None, 'again')]\n"
        "board = CircuitBoard('ab', forward=[('a', 'b', lambda dist, sol: dist)], backward=cycle)\n"
        "svg(board), mermaid(board), repr(board)\n"
        "assert not {'networkx', 'matplotlib'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"JAX_PLATFORMS": "nowhere"})
