"""Pictures of a circuit: matplotlib axes, mermaid text and inline SVG, all from one layered layout."""

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from stagecraft.circuit_board import CircuitBoard, Edge, _sorted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Lengths are in points, y downwards as in SVG. Blue and vermilion differ to every eye, and the dashes without colour.
_STYLES = {"forward": ("#0b62a4", None, "forward: pushes dist"), "backward": ("#c8501e", (5, 3), "backward: pulls sol")}
_HEIGHT, _LETTER, _GAP, _ROW, _PAD, _TITLE = 26.0, 7.2, 48.0, 34.0, 16.0, 16.0

Point = tuple[float, float]
Arc = tuple[Point, ...]


class Box(NamedTuple):
    """A rectangle with a text: its centre and its size."""

    text: str
    x: float
    y: float
    width: float
    height: float


class Layout(NamedTuple):
    """Where everything goes: `perches` and `groups` by name, and a cubic Bézier arc for each mover."""

    perches: dict[str, Box]
    groups: dict[str, Box]
    arcs: list[tuple[str, Edge, Arc]]

    @property
    def kinds(self) -> set[str]:
        """The directions that occur."""
        return {kind for kind, _, _ in self.arcs}

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the whole picture."""
        boxes = [*self.perches.values(), *self.groups.values()]
        middles = [_at(arc, 0.5) for _, _, arc in self.arcs]
        xs = [b.x + s * b.width / 2 for b in boxes for s in (-1, 1)] + [x for x, _ in middles]
        ys = [b.y + s * b.height / 2 for b in boxes for s in (-1, 1)] + [y for _, y in middles]
        return min(xs) - 8, min(ys) - 8, max(xs) + 8, max(ys) + 8


def draw(thing: Any, ax: "Axes | None" = None) -> "Axes":
    """Draw a circuit from left to right: forward movers solid above the line, backward movers dashed below it.

    **Arguments:**

    - `thing`: a `CircuitBoard`, or whatever offers one as `.board`: a stage, a period, a circuit.
    - `ax`: matplotlib axes to draw on; new ones of a fitting size if left out.

    **Returns:** the axes. `ValueError` if there is no board.
    """
    from matplotlib import pyplot as plt

    layout = _layout(_board(thing))
    left, top, right, bottom = layout.bounds
    bottom += 26  # Room for the legend.
    width, height = max(right - left, 300), bottom - top
    if ax is None:
        figure, ax = plt.subplots(figsize=(width / 60, height / 60))
        figure.subplots_adjust(0.01, 0.01, 0.99, 0.99)
    # Text keeps its proportion to the boxes on axes of any size; large axes are left partly empty.
    area = ax.get_window_extent()
    unit = min(area.width / width, area.height / height) * 72 / ax.figure.dpi
    empty, unit = max(unit / 1.2, 1) / 2, min(unit, 1.2)
    x, y = (left + right) / 2, (top + bottom) / 2
    ax.set(xlim=(x - empty * width, x + empty * width), ylim=(y + empty * height, y - empty * height), aspect="equal")
    ax.set_axis_off()
    _paint(ax, layout, unit)
    handles = [ax.plot([], [], label=_STYLES[k][2], **_line(k, unit))[0] for k in _STYLES if k in layout.kinds]
    if handles:
        place = {"loc": "lower center", "bbox_to_anchor": (x, bottom), "bbox_transform": ax.transData}
        ax.legend(handles=handles, **place, ncols=2, frameon=False, fontsize=10 * unit, borderaxespad=0)
    return ax


def mermaid(thing: Any) -> str:
    """The circuit as a mermaid flowchart: forward movers solid, backward movers dotted, groups as subgraphs.

    Perches are `p0`, `p1`, … in the order declared; a mover with a name of its own shows it.

    **Arguments:**

    - `thing`: a `CircuitBoard`, or whatever offers one as `.board`.

    **Returns:** the text. `ValueError` if there is no board.
    """
    board = _board(thing)
    ids = {name: f"p{i}" for i, name in enumerate(board.perches)}
    lines = ["flowchart LR"]
    for i, group in enumerate(dict.fromkeys(board.groups)):
        members = [name for name, its in zip(board.perches, board.groups, strict=True) if its == group]
        nodes = [f'  {ids[name]}(["{_quoted(_label(name, group))}"])' for name in members]
        if group is None:
            lines += nodes
        else:
            lines += [f'  subgraph g{i} ["{_quoted(group)}"]', *(f"  {node}" for node in nodes), "  end"]
    for edges, arrow in ((board.forward, "-->"), (board.backward, "-.->")):
        for edge in edges:
            own = edge.name != f"{edge.source}_to_{edge.target}"
            text = f'|"{_quoted(edge.name)}"|' if own else ""
            lines.append(f"  {ids[edge.source]} {arrow}{text} {ids[edge.target]}")
    return "\n".join(lines) + "\n"


def svg(thing: Any) -> str:
    """The circuit as one self-contained `<svg>` element in the colours of the page; names of movers are tooltips.

    Nothing is imported and no array is touched, so that a notebook may show it at any time.

    **Arguments:**

    - `thing`: a `CircuitBoard`, or whatever offers one as `.board`.

    **Returns:** well-formed XML. `ValueError` if there is no board.
    """
    layout = _layout(_board(thing))
    left, top, right, bottom = layout.bounds
    width, height = right - left, bottom - top
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="circuit" '
        f'width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{left:.1f} {top:.1f} {width:.1f} {height:.1f}" style="max-width:100%;height:auto" '
        f'font-family="sans-serif" font-size="12" fill="none" stroke="currentColor">'
    ]
    for box in layout.groups.values():
        parts.append(_rectangle(box, 8, 'fill="currentColor" fill-opacity="0.05" stroke-opacity="0.3"'))
        place = (box.x - box.width / 2 + 9, box.y - box.height / 2 + 17)
        parts.append(_text(box.text, place, 'font-weight="bold" opacity="0.75"'))
    for kind, edge, arc in layout.arcs:
        colour, dash, _ = _STYLES[kind]
        start, *rest = (f"{x:.1f} {y:.1f}" for x, y in arc)
        dashes = f' stroke-dasharray="{dash[0]} {dash[1]}"' if dash else ""
        parts.append(
            f'<g stroke="{colour}" stroke-width="1.5"><title>{html.escape(f"{edge.name} ({kind})")}</title>'
            f'<path d="M{start}C{" ".join(rest)}"{dashes}/>'
            f'<path d="{_head(arc)}" fill="{colour}" stroke="none"/></g>'
        )
    for box in layout.perches.values():
        parts.append(_rectangle(box, box.height / 2, 'stroke-width="1.2"'))
        parts.append(_text(box.text, (box.x, box.y + 4), 'text-anchor="middle"'))
    return "".join(parts) + "</svg>"


def _paint(ax: "Axes", layout: Layout, unit: float) -> None:
    """Boxes and arcs in the coordinates of the layout; `unit` is the size of a point of the layout on paper."""
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
    from matplotlib.path import Path

    def patch(box: Box, radius: float, **style: Any) -> None:
        corner = (box.x - box.width / 2 + radius, box.y - box.height / 2 + radius)
        size = (box.width - 2 * radius, box.height - 2 * radius)
        ax.add_patch(FancyBboxPatch(corner, *size, boxstyle=f"round,pad={radius}", **style))

    text = {"fontsize": 11.3 * unit, "va": "center", "parse_math": False}
    halo = {"facecolor": "#f4f4f1", "edgecolor": "none", "pad": 1}
    for box in layout.groups.values():
        patch(box, 8, facecolor="#f4f4f1", edgecolor="#c9c9c2", zorder=0)
        place = (box.x - box.width / 2 + 9, box.y - box.height / 2 + 13)
        ax.text(*place, box.text, weight="bold", color="#55554f", zorder=1.5, bbox=halo, **text)
    head = f"-|>,head_length={5 * unit},head_width={2.5 * unit}"
    for kind, _, arc in layout.arcs:
        path = Path(arc, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
        ax.add_patch(FancyArrowPatch(path=path, arrowstyle=head, mutation_scale=1, zorder=1, **_line(kind, unit)))
    for box in layout.perches.values():
        patch(box, box.height / 2, facecolor="white", edgecolor="#33332f", linewidth=1.2 * unit, zorder=2)
        ax.text(box.x, box.y, box.text, ha="center", zorder=3, **text)


def _line(kind: str, unit: float) -> dict[str, Any]:
    colour, dash, _ = _STYLES[kind]
    return {"color": colour, "linewidth": 1.5 * unit, "linestyle": (0, dash) if dash else "-"}


def _board(thing: Any) -> CircuitBoard:
    board = thing if isinstance(thing, CircuitBoard) else getattr(thing, "board", None)
    if not isinstance(board, CircuitBoard):
        raise ValueError(f"Expected a CircuitBoard, or something that offers one as `.board`; found {thing!r}.")
    return board


def _label(name: str, group: str | None) -> str:
    return name.removeprefix(f"{group}.") if group else name


def _quoted(text: str) -> str:
    """Text inside mermaid's quotes, where a hash begins an entity."""
    for mark, entity in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("\n", " ")):
        text = text.replace(mark, entity)
    return text


def _rectangle(box: Box, radius: float, style: str) -> str:
    x, y = box.x - box.width / 2, box.y - box.height / 2
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="{radius:.0f}" {style}/>'
    )


def _text(text: str, place: Point, style: str) -> str:
    style += ' fill="currentColor" stroke="none"'
    return f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" {style}>{html.escape(text)}</text>'


def _head(arc: Arc) -> str:
    """A triangle of 7 by 6 points at the end of an arc, in SVG's path language."""
    _, _, (x1, y1), (x2, y2) = arc
    length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1e-9)
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    bx, by = x2 - 7 * ux, y2 - 7 * uy
    return f"M{x2:.1f} {y2:.1f}L{bx - 3 * uy:.1f} {by + 3 * ux:.1f}L{bx + 3 * uy:.1f} {by - 3 * ux:.1f}Z"


def _layout(board: CircuitBoard) -> Layout:
    """Groups in columns along the forward graph, and inside each group its perches likewise."""
    group_of = dict(zip(board.perches, board.groups, strict=True))
    # A backward mover points against the picture; where it is some forward mover's transpose it says nothing new.
    pairs = dict.fromkeys([e[1:] for e in board.forward] + [(e.target, e.source) for e in board.backward])
    blocks: dict[tuple, list[str]] = {}
    for name, group in group_of.items():
        blocks.setdefault(("perch", name) if group is None else ("group", group), []).append(name)
    block_of = {name: block for block, names in blocks.items() for name in names}

    sizes, offsets = {}, {}
    for (kind, text), names in blocks.items():
        pills = {n: (max(len(_label(n, group_of[n])) * _LETTER + 18, 44), _HEIGHT) for n in names}
        within = [(s, t, 0.0) for s, t in pairs if s in pills and t in pills]
        places, (width, height) = _columns(pills, within, _GAP, _ROW)
        boxed = kind == "group"
        if boxed:
            width, height = max(width, len(text) * _LETTER + 4) + 2 * _PAD, height + 2 * _PAD + _TITLE
        sizes[kind, text] = width, height
        offsets |= {n: (x, y + boxed * _TITLE / 2, pills[n]) for n, (x, y) in places.items()}

    between = [
        (block_of[s], block_of[t], offsets[s][1] - offsets[t][1]) for s, t in pairs if block_of[s] != block_of[t]
    ]
    centres, _ = _columns(sizes, between, _GAP, _ROW)
    perches = {}
    for name, (x, y, size) in offsets.items():
        centre = centres[block_of[name]]
        perches[name] = Box(_label(name, group_of[name]), centre[0] + x, centre[1] + y, *size)
    groups = {text: Box(text, *centres[k, text], *sizes[k, text]) for k, text in blocks if k == "group"}
    return Layout(perches, groups, list(_arcs(board, perches)))


def _columns(sizes: dict, pairs: list[tuple], gap: float, row: float) -> tuple[dict, Point]:
    """Centres of boxes of given sizes in columns, every pair (source, target, descent) pointing right.

    Inside a column the boxes follow the heights from which they are reached (the barycentre rule of Sugiyama, 1981).
    """
    layer = {}
    for key in _sorted(sizes, [pair[:2] for pair in pairs])[0]:
        layer[key] = 1 + max((layer[s] for s, t, _ in pairs if t == key and s in layer), default=-1)
    places, x = {}, 0.0
    for column in range(max(layer.values()) + 1):
        reached = {}
        for key in (key for key in sizes if layer[key] == column):
            heights = [places[s][1] + descent for s, t, descent in pairs if t == key and s in places]
            reached[key] = sum(heights) / len(heights) if heights else 0.0
        width = max(sizes[key][0] for key in reached)
        total = sum(sizes[key][1] for key in reached) + row * (len(reached) - 1)
        y = sum(reached.values()) / len(reached) - total / 2
        for key in sorted(reached, key=reached.__getitem__):
            places[key] = x + width / 2, y + sizes[key][1] / 2
            y += sizes[key][1] + row
        x += width + gap
    top = min(y - sizes[key][1] / 2 for key, (_, y) in places.items())
    bottom = max(y + sizes[key][1] / 2 for key, (_, y) in places.items())
    size = x - gap, bottom - top
    return {key: (px - size[0] / 2, py - (top + bottom) / 2) for key, (px, py) in places.items()}, size


def _arcs(board: CircuitBoard, perches: dict[str, Box]) -> Iterator[tuple[str, Edge, Arc]]:
    """Every mover bends to its left, so that it never lies on its transpose, and as far as it needs to pass others."""
    taken = set()
    for kind in ("forward", "backward"):
        for edge in getattr(board, kind):
            start, end = perches[edge.source], perches[edge.target]
            if start is end:
                side = -1 if kind == "forward" else 1
                y = start.y + side * (start.height / 2 + 2)
                steps = ((-10, 0), (-22, 30), (22, 30), (10, 0))
                yield kind, edge, tuple((start.x + dx, y + side * dy) for dx, dy in steps)
                continue
            others = [box for name, box in perches.items() if name not in edge[1:]]
            bends = [10, 30, 48, 70, 96, 126][edge[1:] in taken :]
            arcs = (_bent(start, end, bend) for bend in bends)
            arc = next((arc for arc in arcs if _is_free(arc, others)), _bent(start, end, bends[-1]))
            taken.add(edge[1:])
            yield kind, edge, _trimmed(arc, start, end)


def _bent(start: Box, end: Box, bend: float) -> Arc:
    """The arc between two centres whose middle lies `bend` to the left of the chord; it rises fast and runs flat."""
    dx, dy = end.x - start.x, end.y - start.y
    length = max((dx * dx + dy * dy) ** 0.5, 1e-9)
    along, aside = min(1 / 3, 40 / length), 4 / 3 * bend / length
    first = start.x + along * dx + aside * dy, start.y + along * dy - aside * dx
    last = end.x - along * dx + aside * dy, end.y - along * dy - aside * dx
    return (start.x, start.y), first, last, (end.x, end.y)


def _is_free(arc: Arc, others: list[Box]) -> bool:
    xs, ys = zip(*arc, strict=True)
    near = [
        box
        for box in others
        if min(xs) < box.x + box.width and max(xs) > box.x - box.width and min(ys) < box.y + 40 and max(ys) > box.y - 40
    ]
    # A step of 20 points cannot leap over a box.
    steps = int(max(max(xs) - min(xs), max(ys) - min(ys)) / 20) + 2
    return not near or not any(_inside(_at(arc, t / steps), box, 5) for t in range(1, steps) for box in near)


def _at(arc: Arc, t: float) -> Point:
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = arc
    a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
    return a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3


def _inside(point: Point, box: Box, margin: float) -> bool:
    return abs(point[0] - box.x) < box.width / 2 + margin and abs(point[1] - box.y) < box.height / 2 + margin


def _trimmed(arc: Arc, start: Box, end: Box) -> Arc:
    """The part of an arc between two boxes: cut where it leaves the one, then where it enters the other."""
    for box, margin in ((start, 1), (end, 2)):
        inner, outer = 0.0, 0.5
        for _ in range(7):
            half = (inner + outer) / 2
            inner, outer = (half, outer) if _inside(_at(arc, half), box, margin) else (inner, half)
        # The part after the cut, turned round, so that the second pass cuts the other end and turns it back.
        arc = _after(arc, outer)[::-1]
    return arc


def _after(arc: Arc, t: float) -> Arc:
    """The part of a Bézier arc from t to its end (de Casteljau)."""
    points, kept = list(arc), []
    while points:
        kept.append(points[-1])
        points = [
            (p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])) for p, q in zip(points, points[1:], strict=False)
        ]
    return tuple(kept[::-1])
