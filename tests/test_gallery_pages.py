"""Every model of the gallery has a page, made from its file, its derivations, its figure and its oracle, once for each content."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))
pages = importlib.import_module("_gallery")
FILES = sorted(path.stem for path in pages.GALLERY.glob("*.yml"))


def test_every_file_has_a_text_an_oracle_and_its_numbers():
    assert sorted(pages.TOLD) == FILES == sorted(pages.oracles().ORACLES)
    for name, told in pages.TOLD.items():
        assert {"title", "field", "mechanism"} <= set(told) <= {"title", "field", "mechanism", "figure", "shows"}, name
        assert told["field"] and told["mechanism"] and ("figure" in told) == (len(told.get("shows", "")) > 150), name
        assert pages._known(name)["by"] == pages.against(name)
        assert pages.said((pages.GALLERY / f"{name}.yml").read_text()).endswith((".", "!", "?")), name


@pytest.mark.parametrize("name", pages.WITH_PAGE)
def test_the_program_of_a_figure_uses_what_it_imports(name):
    tree = ast.parse(pages.snippet(name))
    imported = {(a.asname or a.name).split(".")[0] for node in tree.body if isinstance(node, ast.Import) for a in node.names}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert {"jax", "jnp", "np", "plt", "sc"} & used == imported - ({"plt"} - used)
    assert len(TOLD := pages.TOLD[name]["figure"].splitlines()) <= 14, TOLD


def test_the_index_is_that_of_the_texts():
    page = pages.PAGE.read_text()
    assert pages.written(page) == page, "run python docs/_gallery.py"
    assert [kind for kind, _ in pages.MARK.findall(page)] == ["field", "mechanism", "model"]
    assert all(page.count(pages.link(name, "")[2:]) >= 3 for name in FILES) and len(pages.WITH_PAGE) >= 20


def test_oracles_import_nothing_of_ours():
    paths = [ROOT / "tests" / "gallery" / f"{name}.py" for name in ("oracles", "searches", "more", "others", "savers")]
    for path in (*paths, ROOT / "tests" / "theory" / "referee.py"):
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names} | {
            n.module for n in nodes if isinstance(n, ast.ImportFrom)
        }
        known = {"numpy", "scipy", "sys", "pathlib", "more", "others", "savers", "searches", "referee"}
        assert {name.split(".")[0] for name in names} <= known, path


def test_mathematics_is_written_for_the_page():
    latex = "% stage A: transitions\n\\begin{align*}\n  m &= a\n\\end{align*}\n\n% calibration of A\n\\begin{tabular}{ll}\n  $\\beta$ & $0.9$ \\\\\n\\end{tabular}"
    text = pages.mathematics(latex)
    assert "**Stage A: transitions**\n\n```{math}\n:nowrap:\n\n\\begin{align*}\n  m &= a\n\\end{align*}\n```" in text
    assert "| name | value |\n|---|---|\n| $\\beta$ | $0.9$ |\n" in text


@pytest.mark.slow
def test_a_page_is_made_once_for_its_content(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "CACHE", tmp_path)
    folder = pages.made("asset_price")
    text = (folder / "page.md").read_text()
    for part in (
        "# The price of a tree",
        "## The model",
        "<svg ",
        "\\begin{align*}",
        "(#oracle-asset_price)",
        "figure-asset_price.svg",
    ):
        assert part in text
    assert (folder / "figure.svg").read_text().count("<path") > 20
    # The numbers of the oracle stand beside those that were found, and are the same.
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "`TREE.value`" in line]
    assert rows and all(row[3] == row[4] for row in rows)
    monkeypatch.setattr(pages, "draw", lambda *args: pytest.fail("drawn again"))
    assert pages.made("asset_price") == folder
    monkeypatch.setitem(pages.TOLD, "asset_price", {**pages.TOLD["asset_price"], "shows": "Something else."})
    with pytest.raises(pytest.fail.Exception, match="drawn again"):
        pages.made("asset_price")
