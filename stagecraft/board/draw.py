"""Pictures of a circuit: matplotlib axes, mermaid text and inline SVG, all from one layered layout."""

import html
from typing import TYPE_CHECKING, Any

from stagecraft.board.circuit_board import CircuitBoard
from stagecraft.board.layout import Arc, Box, Layout, Point, arrange, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Lengths are in points, y downwards as in SVG. Blue and vermilion differ to every eye, and the dashes without colour.
_STYLES = {"forward": ("#0b62a4", None, "forward: pushes dist"), "backward": ("#c8501e", (5, 3), "backward: pulls sol")}


def draw(thing: Any, ax: "Axes | None" = None) -> "Axes":
    """Draw a circuit from left to right: forward movers solid above the line, backward movers dashed below it.

    **Arguments:**

    - `thing`: a `CircuitBoard`, or whatever offers one as `.board`: a stage, a period, a circuit. A circuit whose periods
      differ in kind is drawn kind by kind, each with its ages.
    - `ax`: matplotlib axes to draw on; new ones of a fitting size if left out.

    **Returns:** the axes. `ValueError` if there is no board.
    """
    from matplotlib import pyplot as plt

    layout = arrange(_board(thing))
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
    handles = [ax.plot([], [], label=_STYLES[k][2], **_pen(k, unit))[0] for k in _STYLES if k in layout.kinds]
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
        nodes = [f'  {ids[name]}(["{_quoted(label(name, group))}"])' for name in members]
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
    layout = arrange(_board(thing))
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
        ax.add_patch(FancyArrowPatch(path=path, arrowstyle=head, mutation_scale=1, zorder=1, **_pen(kind, unit)))
    for box in layout.perches.values():
        patch(box, box.height / 2, facecolor="white", edgecolor="#33332f", linewidth=1.2 * unit, zorder=2)
        ax.text(box.x, box.y, box.text, ha="center", zorder=3, **text)


def _pen(kind: str, unit: float) -> dict[str, Any]:
    colour, dash, _ = _STYLES[kind]
    return {"color": colour, "linewidth": 1.5 * unit, "linestyle": (0, dash) if dash else "-"}


def _board(thing: Any) -> CircuitBoard:
    board = thing if isinstance(thing, CircuitBoard) else getattr(thing, "folded", getattr(thing, "board", None))
    if not isinstance(board, CircuitBoard):
        raise ValueError(f"Expected a CircuitBoard, or something that offers one as `.board`; found {thing!r}.")
    return board


def _quoted(text: str) -> str:
    """Text inside mermaid's quotes, where a hash begins an entity."""
    for mark, entity in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("\n", " ")):
        text = text.replace(mark, entity)
    return text


def _rectangle(box: Box, radius: float, style: str) -> str:
    x, y = box.x - box.width / 2, box.y - box.height / 2
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="{radius:.0f}" {style}/>'


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
