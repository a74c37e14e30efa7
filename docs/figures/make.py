"""The drawings of the documentation, as inline SVG in the colours of the page.

python docs/figures/make.py [NAME ...]
"""

import html
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
FORWARD, BACKWARD = "#2a7ab9", "#d0602e"
KNOTS, HORIZON, PERIOD = 9, 12, 4


class Picture:
    """Boxes, arrows and words on a canvas of a given size, in points, y downwards."""

    def __init__(self, width: float, height: float, label: str):
        self.size, self.label, self.parts = (width, height), label, []

    def text(self, x, y, words, *, size=13, anchor="middle", **style):
        extra = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in style.items())
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="currentColor" stroke="none"'
            f"{extra}>{html.escape(words)}</text>"
        )

    def code(self, x, y, words, **style):
        self.text(x, y, words, size=12, font_family="monospace", **style)

    def box(self, x, y, width, height, lines, *, radius=12, faint=False):
        look = 'fill="currentColor" fill-opacity="0.05" stroke-opacity="0.3"' if faint else 'stroke-width="1.2"'
        self.parts.append(
            f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'rx="{radius}" {look}/>'
        )
        start = y - 17 * (len(lines) - 1) / 2 + 4.5
        for i, words in enumerate(lines):
            self.text(x, start + 17 * i, words, **({"font_weight": "bold"} if i == 0 else {"opacity": 0.85}))

    def arrow(self, start, end, colour, *, dashed=False, bend=0.0):
        (x0, y0), (x1, y1) = start, end
        dx, dy = x1 - x0, y1 - y0
        length = (dx * dx + dy * dy) ** 0.5
        nx, ny = dy / length * bend, -dx / length * bend
        c0, c1 = (x0 + dx / 3 + nx, y0 + dy / 3 + ny), (x1 - dx / 3 + nx, y1 - dy / 3 + ny)
        ux, uy = x1 - c1[0], y1 - c1[1]
        norm = (ux * ux + uy * uy) ** 0.5
        ux, uy = ux / norm, uy / norm
        bx, by = x1 - 8 * ux, y1 - 8 * uy
        dashes = ' stroke-dasharray="5 3"' if dashed else ""
        self.parts.append(
            f'<path d="M{x0:.1f} {y0:.1f}C{c0[0]:.1f} {c0[1]:.1f} {c1[0]:.1f} {c1[1]:.1f} {bx:.1f} {by:.1f}" '
            f'stroke="{colour}" stroke-width="1.7"{dashes}/>'
            f'<path d="M{x1:.1f} {y1:.1f}L{bx - 3.6 * uy:.1f} {by + 3.6 * ux:.1f}L{bx + 3.6 * uy:.1f} {by - 3.6 * ux:.1f}Z" '
            f'fill="{colour}" stroke="none"/>'
        )

    def line(self, points, colour="currentColor", *, width=1.2, dashes=None, opacity=1.0):
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.parts.append(f'<path d="M{path}" stroke="{colour}" stroke-width="{width}" opacity="{opacity}"{dash}/>')

    def dot(self, x, y, colour="currentColor", radius=4.0):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}" stroke="none"/>')

    def svg(self):
        width, height = self.size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{html.escape(self.label)}" '
            f'viewBox="0 0 {width} {height}" style="width:100%;max-width:{width}px;height:auto;display:block;margin:1em auto" '
            f'font-family="sans-serif" fill="none" stroke="currentColor">'
        )
        return "\n".join([head, *self.parts, "</svg>"]) + "\n"

    def save(self, name):
        (HERE / name).write_text(self.svg())


def stage():
    """Three perches, two movers forward and two backward."""
    picture = Picture(760, 225, "A stage: arrival, decision and continuation, with two movers forward and two backward")
    centres, middle = (130, 380, 630), 98
    names = (("arvl", "arrival  xₐ"), ("dcsn", "decision  xᵥ"), ("cntn", "continuation  xₑ"))
    for x, (name, words) in zip(centres, names, strict=True):
        picture.box(x, middle, 132, 74, [name, words, "sol, dist"])
    for x, name, words in ((255, "arvl_to_dcsn", "shocks, g_av"), (505, "dcsn_to_cntn", "choice, g_ve")):
        picture.arrow((x - 56, middle - 20), (x + 56, middle - 20), FORWARD, bend=12)
        picture.code(x, middle - 62, name)
        picture.text(x, middle - 45, words, opacity=0.85)
    for x, name, words in ((255, "dcsn_to_arvl", "expectation, A"), (505, "cntn_to_dcsn", "optimisation, Q")):
        picture.arrow((x + 56, middle + 20), (x - 56, middle + 20), BACKWARD, dashed=True, bend=12)
        picture.code(x, middle + 55, name)
        picture.text(x, middle + 72, words, opacity=0.85)
    for x in (34, 728):
        picture.arrow((x - 28, middle - 20), (x + 26, middle - 20), FORWARD)
        picture.arrow((x + 26, middle + 20), (x - 28, middle + 20), BACKWARD, dashed=True)
    _legend(picture, 216)
    picture.save("stage.svg")


def _legend(picture, y):
    x = picture.size[0] / 2
    picture.line([(x - 225, y - 4), (x - 195, y - 4)], FORWARD, width=1.7)
    picture.text(x - 188, y, "forward: states and distributions", anchor="start", size=12)
    picture.line([(x + 45, y - 4), (x + 75, y - 4)], BACKWARD, width=1.7, dashes="5 3")
    picture.text(x + 82, y, "backward: values", anchor="start", size=12)


def circuit():
    """Periods of one stage, joined by connections, closed by the terminal value."""
    picture = Picture(820, 190, "A circuit: periods joined by connections, with initial states and a terminal value")
    middle, groups = 82, ((220, "period t"), (520, "period t + 1"))
    for x, title in groups:
        picture.box(x, middle, 224, 110, [], faint=True, radius=10)
        picture.text(x - 100, middle - 37, title, anchor="start", font_weight="bold", opacity=0.75)
        for dx, name in ((-74, "arvl"), (0, "dcsn"), (74, "cntn")):
            picture.box(x + dx, middle + 4, 50, 28, [name], radius=14)
        for dx in (-37, 37):
            picture.arrow((x + dx - 11, middle - 1), (x + dx + 11, middle - 1), FORWARD)
            picture.arrow((x + dx + 11, middle + 10), (x + dx - 11, middle + 10), BACKWARD, dashed=True)
    picture.box(52, middle + 4, 84, 44, ["initial", "states"], radius=8)
    picture.box(764, middle + 4, 96, 44, ["terminal", "value"], radius=8)
    for left, right in ((320, 420), (620, 715)):
        picture.arrow((left, middle - 1), (right, middle - 1), FORWARD)
        picture.arrow((right, middle + 10), (left, middle + 10), BACKWARD, dashed=True)
    picture.arrow((95, middle - 1), (120, middle - 1), FORWARD)
    for x in (370, 667):
        picture.code(x, middle - 10, "a_nxt → a")
    picture.text(370, middle + 29, "the next", size=11, opacity=0.8)
    picture.text(370, middle + 43, "arrival", size=11, opacity=0.8)
    _legend(picture, 176)
    picture.save("circuit.svg")


def rooms():
    """Who does what, from the file to the function."""
    picture = Picture(880, 175, "From a model file to a functional object: heptapod, whisperer, record, horse")
    middle = 86
    for x, width, title in ((205, 396, "heptapod"), (645, 458, "stagecraft")):
        picture.box(x, middle, width, 150, [], faint=True, radius=10)
        picture.text(x - width / 2 + 12, middle - 54, title, anchor="start", font_weight="bold", opacity=0.75)
    boxes = (
        (82, 118, ["model file", "equations", "spaces, shocks"]),
        (305, 172, ["pointwise functions", "written, and derived", "with a certificate"]),
        (480, 104, ["whisperer", "reads names,", "fills a record"]),
        (630, 104, ["horse", "arrays in,", "arrays out"]),
        (796, 136, ["functional object", "value, marginal,", "policy"]),
    )
    for x, width, lines in boxes:
        picture.box(x, middle + 10, width, 74, lines, radius=8)
    for left, right in ((141, 219), (391, 428), (532, 578), (682, 728)):
        picture.arrow((left + 3, middle + 10), (right - 3, middle + 10), "currentColor")
    picture.text(180, middle + 2, "derive", size=12)
    picture.text(555, middle + 2, "record", size=12)
    picture.text(704, middle + 2, "rows", size=12)
    picture.save("rooms.svg")


def endogenous_grid():
    """A policy on few knots, and the cell below the first one, on a grid that does not reach the lowest post-state."""
    import stagecraft as sc

    sc.enable_x64()
    text = (HERE.parents[1] / "examples" / "cons_indshock" / "cons_indshock.yml").read_text()
    for old, new in (
        ("n_a: 200, n_y: 7, a_max: 60.0", f"n_a: {KNOTS}, n_y: 7, a_max: 4.0"),
        ("horizon: 65", f"horizon: {HORIZON}"),
        ("cntn: {grid: {a_nxt: {type: exp, min: 0.0", "cntn: {grid: {a_nxt: {type: exp, min: 0.3"),
    ):
        assert old in text
        text = text.replace(old, new)
    rows = sc.solve(sc.load(text))[PERIOD]["CONS"].dcsn.sol.rows
    state, control = np.asarray(rows.state), np.asarray(rows.control)

    picture = Picture(760, 360, "A policy on its endogenous knots, and the bound that replaces it below the first")
    left, bottom, width, height, right, top = 60, 310, 660, 280, 3.2, 1.4
    to = lambda m, c: (left + width * m / right, bottom - height * c / top)
    picture.line([to(0, top), to(0, 0), to(right, 0)])
    for tick in range(4):
        picture.text(to(tick, 0)[0], bottom + 20, f"{tick}", size=11, opacity=0.7)
    picture.text(left + width, bottom + 40, "cash on hand m", anchor="end")
    picture.text(left + 8, bottom - height + 4, "consumption c", anchor="start")

    slope = (control[1] - control[0]) / (state[1] - state[0])
    cross = (control[0] - slope * state[0]) / (1 - slope)
    shown = state <= right
    picture.line([to(0, 0), to(top, top)], BACKWARD, dashes="5 3", width=1.5)
    picture.text(*to(top + 0.03, top - 0.02), "the bound c = m", anchor="start", size=12)
    picture.line([to(0.1, control[0] + slope * (0.1 - state[0])), to(cross, cross)], FORWARD, dashes="2 3", width=1.5)
    knots = list(zip(state[shown], control[shown], strict=True))
    picture.line([to(0, 0), to(cross, cross), *(to(m, c) for m, c in knots)], FORWARD, width=2)
    for m, c in knots:
        picture.dot(*to(m, c), FORWARD)
        picture.line([to(m, 0), to(m, 0.04)], FORWARD, width=2)
    below, note = to(cross, cross), to(cross + 0.5, 0.52)
    picture.line([(below[0] + 3, below[1] + 6), (note[0] - 8, note[1] - 6)], opacity=0.5)
    picture.text(*note, "below the first knot: the line of the first cell, continued,", anchor="start", size=12)
    picture.text(note[0], note[1] + 18, "until it meets the bound; then the bound", anchor="start", size=12)
    picture.text(note[0], to(0, 0.11)[1], "knots m = a_nxt + c, found and not chosen", anchor="start", size=12)
    picture.save("egm.svg")


def board():
    """The five perches of examples/circuitCraft, as stagecraft draws any board."""
    from stagecraft.board.circuit_board import CircuitBoard
    from stagecraft.board.draw import svg

    pairs = [("arrival", "cash"), ("cash", "saved"), ("saved", "work"), ("saved", "retire")]
    drawn = CircuitBoard(["arrival", "cash", "saved", "work", "retire"], forward=pairs, backward=[(b, a) for a, b in pairs])
    (HERE / "board.svg").write_text(svg(drawn) + "\n")


def model():
    """The stage of the example, as stagecraft draws it from the text."""
    import stagecraft as sc
    from stagecraft.board.draw import svg

    drawn = sc.load(HERE.parents[1] / "examples" / "cons_indshock" / "cons_indshock.yml")[0]["CONS"].board
    (HERE / "cons.svg").write_text(svg(drawn) + "\n")


def wings():
    """Who imports whom in stagecraft: a dot for each, and none above the diagonal."""
    sys.path.insert(0, str(HERE.parent))
    import _layout

    rows = _layout.ORDER["stagecraft"]
    columns, cell, left, top = ["heptapod", *rows], 22, 130, 100
    size = (left + cell * len(columns) + 60, top + cell * len(rows) + 12)
    picture = Picture(*size, "A triangle of dots: every wing of stagecraft imports only from wings above it")
    middle = lambda k: cell * k + cell / 2
    for j, name in enumerate(columns):
        x, y = left + middle(j), top - 8
        picture.text(x, y, name, size=12, anchor="start", transform=f"rotate(-55 {x:.1f} {y:.1f})")
        picture.line([(left + cell * j, top), (left + cell * j, top + cell * len(rows))], opacity=0.12)
    for i, name in enumerate(rows):
        picture.text(left - 10, top + middle(i) + 4, name, size=12, anchor="end")
        picture.line([(left, top + cell * i), (left + cell * len(columns), top + cell * i)], opacity=0.12)
        picture.line([(left + middle(i + 1) - 6, top + middle(i)), (left + middle(i + 1) + 6, top + middle(i))], opacity=0.4)
        for other in _layout.arrows("stagecraft", name):
            picture.dot(left + middle(columns.index(other)), top + middle(i), FORWARD)
    return picture


def cluster():
    """What survives on a cluster: tasks come and go, the store stays."""
    picture = Picture(760, 230, "A scheduler starts tasks, which write what they have done into one store")
    picture.box(90, 115, 140, 74, ["scheduler", "starts tasks,", "and ends them"])
    for y, words in ((40, "task 0: draws 0, n, 2n, ..."), (115, "task 1: draws 1, n+1, ..."), (190, "one that died: again")):
        picture.box(330, y, 220, 48, [words], radius=8, faint=words.startswith("one"))
        picture.arrow((163, 115 + (y - 115) / 4), (217, y), "currentColor", dashed=words.startswith("one"))
        picture.arrow((443, y), (507, 115 + (y - 115) / 4), FORWARD, dashed=words.startswith("one"))
    picture.box(580, 115, 140, 74, ["store", "a file for each task,", "nothing lost"])
    picture.arrow((653, 115), (693, 115), FORWARD)
    picture.text(725, 119, "table")
    return picture


if __name__ == "__main__":
    for draw in (stage, circuit, rooms, endogenous_grid, board, model):
        if draw.__name__ in (sys.argv[1:] or [draw.__name__]):
            draw()
    for draw in (wings, cluster):
        if draw.__name__ in (sys.argv[1:] or [draw.__name__]):
            draw().save(f"{draw.__name__}.svg")
